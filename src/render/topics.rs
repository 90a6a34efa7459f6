//! All topics of a sink: the templates of its configuration, checked against each other, and the bridge's own.

use uuid::Uuid;

use super::What;
use super::overlap::overlap;
use super::template::{Placeholder, Template, TemplateError, Values};
use crate::config;
use crate::model::record::DeviceRecord;
use crate::model::{EventName, Source};

/// The topics of one sink.
#[derive(Debug, Clone)]
pub struct TopicSet {
    /// The base topic.
    base: String,
    /// The level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    bridge: String,
    /// Every alarm.
    event: Template,
    /// Start and end of activities.
    activity: Template,
    /// Every picture.
    picture: Template,
    /// ON or OFF.
    state: Template,
    /// Number of objects.
    count: Template,
    /// Latest picture of a kind.
    snapshot_event: Template,
    /// Latest picture of any kind.
    snapshot: Template,
    /// The alarm of the latest picture of a kind.
    snapshot_info_event: Template,
    /// The alarm of the latest picture of any kind.
    snapshot_info: Template,
    /// The latest alarm.
    last: Template,
    /// The device.
    device: Template,
}

/// Why topics are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// One template is bad.
    #[error("topics.{topic} = {text:?}: {cause}")]
    Template {
        /// The key of the configuration.
        topic: &'static str,
        /// The template.
        text: String,
        /// What is wrong with it.
        cause: TemplateError,
    },
    /// A placeholder that would spread one value over many topics.
    #[error("topics.{topic} = {text:?}: {placeholder} has no place in it, the value is one for all of them")]
    Misplaced {
        /// The key of the configuration.
        topic: &'static str,
        /// The template.
        text: String,
        /// The placeholder.
        placeholder: Placeholder,
    },
    /// Two templates that could make the same topic.
    #[error(
        "topics.{one} = {text:?} could make the same topic as {other}; give it a level that {other} does not have"
    )]
    Collision {
        /// The key of the configuration.
        one: &'static str,
        /// Its template.
        text: String,
        /// What it collides with: another key, or a fixed topic.
        other: String,
    },
    /// The base topic (or subject prefix) is bad.
    #[error("base topic {base:?}: {cause}")]
    Base {
        /// The base topic.
        base: String,
        /// What is wrong with it.
        cause: TemplateError,
    },
}

/// One template of the configuration and what must and may stand in it.
struct Entry<'a> {
    topic: &'static str,
    text: &'a str,
    by_event: bool,
    log: bool,
}

/// The templates in one order; [`TopicSet::new`] takes them apart in the same.
fn entries(topics: &config::Topics) -> [Entry<'_>; 11] {
    let entry = |topic, text, by_event, log| Entry { topic, text, by_event, log };
    [
        entry("event", topics.event.as_str(), true, true),
        entry("activity", &topics.activity, true, true),
        entry("picture", &topics.picture, true, true),
        entry("state", &topics.state, true, false),
        entry("count", &topics.count, true, false),
        entry("snapshot_event", &topics.snapshot_event, true, false),
        entry("snapshot", &topics.snapshot, false, false),
        entry("snapshot_info_event", &topics.snapshot_info_event, true, false),
        entry("snapshot_info", &topics.snapshot_info, false, false),
        entry("last", &topics.last, false, false),
        entry("device", &topics.device, false, false),
    ]
}

impl Entry<'_> {
    /// Reads the template and checks its placeholders.
    fn parse(&self) -> Result<Template, TopicError> {
        let required: &[_] = match (self.by_event, self.topic) {
            (true, "picture") => &[Placeholder::Source, Placeholder::Event, Placeholder::Id],
            (true, _) => &[Placeholder::Source, Placeholder::Event],
            (false, _) => &[Placeholder::Source],
        };
        let template = Template::parse(self.text, required).map_err(|cause| TopicError::Template {
            topic: self.topic,
            text: self.text.into(),
            cause,
        })?;
        let misplaced = [(Placeholder::Event, self.by_event), (Placeholder::Id, self.log)]
            .into_iter()
            .find(|(placeholder, allowed)| !allowed && template.contains(*placeholder));
        match misplaced {
            None => Ok(template),
            Some((placeholder, _)) => {
                Err(TopicError::Misplaced { topic: self.topic, text: self.text.into(), placeholder })
            }
        }
    }
}

impl TopicSet {
    /// Reads and checks all templates. `discovery` is the discovery prefix, where discovery is on.
    ///
    /// # Errors
    /// Every mistake there is, not only the first.
    pub fn new(
        base: &str,
        bridge: &str,
        topics: &config::Topics,
        discovery: Option<&str>,
    ) -> Result<Self, Vec<TopicError>> {
        Template::parse(base, &[]).map_err(|cause| vec![TopicError::Base { base: base.into(), cause }])?;
        let entries = entries(topics);
        let mut errors = Vec::new();
        let mut templates = Vec::with_capacity(entries.len());
        for entry in &entries {
            match entry.parse() {
                Ok(template) => templates.push(template),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            errors = collisions(base, bridge, discovery, &entries, &templates);
        }
        let Ok(all) = <[Template; 11]>::try_from(templates) else { return Err(errors) };
        if !errors.is_empty() {
            return Err(errors);
        }
        let [
            event,
            activity,
            picture,
            state,
            count,
            snapshot_event,
            snapshot,
            snapshot_info_event,
            snapshot_info,
            last,
            device,
        ] = all;
        Ok(Self {
            base: base.into(),
            bridge: bridge.into(),
            event,
            activity,
            picture,
            state,
            count,
            snapshot_event,
            snapshot,
            snapshot_info_event,
            snapshot_info,
            last,
            device,
        })
    }

    /// The topic of an alarm.
    #[must_use]
    pub fn event(&self, source: &Source, event: &EventName, id: Uuid, device: &DeviceRecord) -> String {
        self.event.fill(&self.values(source, Some(event), Some(id), Some(device)))
    }

    /// The topic of the start or end of an activity; `id` is the record's own.
    #[must_use]
    pub fn activity(&self, source: &Source, event: &EventName, id: Uuid, device: &DeviceRecord) -> String {
        self.activity.fill(&self.values(source, Some(event), Some(id), Some(device)))
    }

    /// The topic of the picture of one alarm.
    #[must_use]
    pub fn picture(&self, source: &Source, event: &EventName, alarm: Uuid, device: &DeviceRecord) -> String {
        self.picture.fill(&self.values(source, Some(event), Some(alarm), Some(device)))
    }

    /// The subscription filter for all alarms of a device.
    #[must_use]
    pub fn events(&self, source: &Source, device: Option<&DeviceRecord>) -> String {
        self.event.filter(&self.values(source, None, None, device))
    }

    /// The subscription filter for all alarms of one kind of a device.
    #[must_use]
    pub fn event_filter(&self, source: &Source, event: &EventName, device: &DeviceRecord) -> String {
        let values = self.values(source, Some(event), None, Some(device));
        self.event.filter_one(&values)
    }

    /// The topic of a current value of a device; `None` for discovery and what is the bridge's.
    #[must_use]
    pub fn value(
        &self,
        what: What,
        source: &Source,
        event: Option<&EventName>,
        device: Option<&DeviceRecord>,
    ) -> Option<String> {
        let template = match (what, event) {
            (What::SnapshotInfo, Some(_)) => &self.snapshot_info_event,
            (What::SnapshotInfo, None) => &self.snapshot_info,
            (What::Snapshot, Some(_)) => &self.snapshot_event,
            (What::Snapshot, None) => &self.snapshot,
            (What::Last, _) => &self.last,
            (What::State, Some(_)) => &self.state,
            (What::Count, Some(_)) => &self.count,
            (What::Device, _) => &self.device,
            (What::State | What::Count, None) | (What::Discovery | What::Info | What::Health, _) => {
                return None;
            }
        };
        Some(template.fill(&self.values(source, event, None, device)))
    }

    /// A topic of the bridge itself: `state`, `info`, `health`, `token`.
    #[must_use]
    pub fn bridge(&self, what: &str) -> String {
        format!("{}/{}/{what}", self.base, self.bridge)
    }

    /// Puts together what templates are filled with.
    fn values<'a>(
        &'a self,
        source: &'a Source,
        event: Option<&'a EventName>,
        id: Option<Uuid>,
        device: Option<&'a DeviceRecord>,
    ) -> Values<'a> {
        Values { base: &self.base, source, event, id, device }
    }
}

/// Every pair of templates that could make the same topic, those with the fixed topics included.
fn collisions(
    base: &str,
    bridge: &str,
    discovery: Option<&str>,
    entries: &[Entry<'_>],
    templates: &[Template],
) -> Vec<TopicError> {
    // A subscription to all events takes whole levels, so nothing else may fit where `{event}` stands.
    let wide = |entry: &Entry<'_>, template: &Template| {
        if entry.topic == "event" { template.widened() } else { template.clone() }
    };
    let mut known: Vec<(String, Template)> = Vec::new();
    for what in ["state", "info", "health", "token"] {
        let text = format!("{base}/{bridge}/{what}");
        known.extend(Template::parse(&text, &[]).ok().map(|template| (text, template)));
    }
    if let Some(prefix) = discovery {
        let text = format!("{prefix}/device/alarmbus_{{source}}/config");
        known.extend(Template::parse(&text, &[]).ok().map(|template| (text, template)));
    }
    let mut errors = Vec::new();
    for (entry, template) in entries.iter().zip(templates) {
        let template = wide(entry, template);
        for (other, _) in known.iter().filter(|(_, other)| overlap(&template, other, base)) {
            let (one, text, other) = (entry.topic, entry.text.into(), other.clone());
            errors.push(TopicError::Collision { one, text, other });
        }
        known.push((format!("topics.{}", entry.topic), template));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::{TopicError, TopicSet};
    use crate::config::Topics;

    fn errors(topics: &Topics) -> Vec<String> {
        match TopicSet::new("alarmbus", "bridge", topics, Some("homeassistant")) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(TopicError::to_string).collect(),
        }
    }

    #[track_caller]
    fn refused(topics: &Topics, parts: &[&str]) {
        let errors = errors(topics);
        assert_eq!(errors.len(), parts.len(), "{errors:#?}");
        for (error, part) in errors.iter().zip(parts) {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(errors(&Topics::default()), Vec::<String>::new());
        assert!(TopicSet::new("site/bus", "bridge-east", &Topics::default(), None).is_ok());
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let topics = Topics {
            event: "{base}/event/{event}".into(),
            last: "{base}/{source}/{event}/last".into(),
            state: "{base}/{source}/{event}/{id}".into(),
            picture: "{base}/{source}/picture/{event}".into(),
            ..Topics::default()
        };
        let (last, state) = ("{event} has no place", "{id} has no place");
        refused(&topics, &["must contain {source}", "must contain {id}", state, last]);
    }

    #[test]
    fn two_templates_must_not_meet() {
        let topics = Topics { event: "{base}/{source}/{event}".into(), ..Topics::default() };
        let at = "could make the same topic as topics.event";
        refused(&topics, &[at, at, at, at]);
        let topics = Topics { event: "{base}/{source}/ev_{event}".into(), ..Topics::default() };
        refused(&topics, &[at, at, at, at]);
    }

    #[test]
    fn the_fixed_topics_stay_free() {
        let topics = Topics { last: "{base}/{name}-{source}/info".into(), ..Topics::default() };
        assert_eq!(errors(&topics), Vec::<String>::new(), "no source can be called \"bridge\"");
        let east = TopicSet::new("alarmbus", "bridge-east", &topics, None).unwrap_err();
        assert!(east[0].to_string().contains("alarmbus/bridge-east/info"), "{}", east[0]);
        let topics = Topics { last: "homeassistant/device/{source}/config".into(), ..Topics::default() };
        refused(&topics, &["homeassistant/device/alarmbus_{source}/config"]);
    }

    #[test]
    fn a_bad_base_topic_is_refused() {
        for base in ["", "a//b", "a/#", "$share/x", "{x}", "a/"] {
            assert!(TopicSet::new(base, "bridge", &Topics::default(), None).is_err(), "{base}");
        }
    }
}
