//! Checks of topic templates: each alone, and all against each other and the fixed topics.

use crate::config::Topics;
use crate::model::template::{Pattern, Placeholder, Template, TemplateError};

/// Reason why topics are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// One template is bad.
    #[error("topics.{topic} = {text:?}: {cause}")]
    Template {
        /// Key of the configuration.
        topic: &'static str,
        /// The template.
        text: String,
        /// Error in the template.
        cause: TemplateError,
    },
    /// A placeholder that would spread one value over many topics.
    #[error("topics.{topic} = {text:?}: {placeholder} has no place in it, the value is one for all of them")]
    Misplaced {
        /// Key of the configuration.
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
        /// Key of the configuration.
        one: &'static str,
        /// Its template.
        text: String,
        /// Topic it collides with: another key, or a fixed topic.
        other: String,
    },
    /// The base topic (or subject prefix) is bad.
    #[error("base topic {base:?}: {cause}")]
    Base {
        /// The base topic.
        base: String,
        /// Error in the base topic.
        cause: TemplateError,
    },
}

impl TopicError {
    /// Key below `topics`; `None` for the base topic.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Template { topic, .. } | Self::Misplaced { topic, .. } => Some(topic),
            Self::Collision { one, .. } => Some(one),
            Self::Base { .. } => None,
        }
    }

    /// Error, without the key.
    #[must_use]
    pub fn text(&self) -> String {
        let all = self.to_string();
        let head = self.key().map(|key| format!("topics.{key} = ")).unwrap_or_default();
        all.strip_prefix(&head).unwrap_or(&all).to_owned()
    }
}

/// Topics that no template may match.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a> {
    /// The base topic.
    pub base: &'a str,
    /// The level of the bridge's own topics.
    pub bridge: &'a str,
    /// The discovery prefix, where discovery is on.
    pub discovery: Option<&'a str>,
    /// Birth topic of Home Assistant, if it is subscribed to.
    pub birth: Option<&'a str>,
}

/// All templates, read and checked, in the order of the fields of [`Topics`].
///
/// # Errors
/// Every mistake there is, not only the first.
pub fn sound(topics: &Topics, fixed: &Fixed<'_>) -> Result<[Template; 11], Vec<TopicError>> {
    let entries = entries(topics);
    let mut errors = Vec::new();
    let mut good: Vec<(&Entry<'_>, Template)> = Vec::with_capacity(entries.len());
    for entry in &entries {
        match entry.parse() {
            Ok(template) => good.push((entry, template)),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(collisions(fixed, &good));
    let templates: Vec<Template> = good.into_iter().map(|(_, template)| template).collect();
    match <[Template; 11]>::try_from(templates) {
        Ok(all) if errors.is_empty() => Ok(all),
        _ => Err(errors),
    }
}

/// A template of the configuration, and its rules for placeholders.
struct Entry<'a> {
    /// The key of the configuration.
    topic: &'static str,
    /// The template.
    text: &'a str,
    /// Set if there is one topic for each kind.
    by_event: bool,
    /// Set if there may be one topic for each message.
    log: bool,
}

/// The templates in the order of their fields.
fn entries(topics: &Topics) -> [Entry<'_>; 11] {
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
            // Without it, a picture would replace an earlier one for a subscriber that stores by topic.
            (_, "picture") => &[Placeholder::Source, Placeholder::Event, Placeholder::Id],
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

/// All pairs of templates, and of templates and fixed topics, that could make the same topic.
fn collisions(fixed: &Fixed<'_>, templates: &[(&Entry<'_>, Template)]) -> Vec<TopicError> {
    let Fixed { base, bridge, discovery, birth } = *fixed;
    // Home Assistant's subscription to all events uses whole levels, so no other topic may match where `{event}`
    // stands.
    let wide = |entry: &Entry<'_>, template: &Template| {
        if entry.topic == "event" && discovery.is_some() { template.widened() } else { template.clone() }
    };
    let mut known: Vec<(String, Pattern)> = Vec::new();
    for what in ["state", "info", "health", "token"] {
        let text = format!("{base}/{bridge}/{what}");
        known.extend(Template::parse(&text, &[]).ok().map(|template| (text, template.pattern(base))));
    }
    if let Some(prefix) = discovery {
        let text = format!("{prefix}/device/alarmbus_{{source}}/config");
        known.extend(Template::parse(&text, &[]).ok().map(|template| (text, template.pattern(base))));
    }
    if let Some(text) = birth {
        known.extend(Template::topic(text).ok().map(|template| (text.to_owned(), template.pattern(base))));
    }
    let mut errors = Vec::new();
    for (entry, template) in templates {
        let pattern = wide(entry, template).pattern(base);
        for (other, _) in known.iter().filter(|(_, other)| pattern.meets(other)) {
            let (one, text, other) = (entry.topic, entry.text.into(), other.clone());
            errors.push(TopicError::Collision { one, text, other });
        }
        known.push((format!("topics.{}", entry.topic), pattern));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::{Fixed, TopicError, sound};
    use crate::config::Topics;

    const ALONE: Fixed<'_> = Fixed { base: "alarmbus", bridge: "bridge", discovery: None, birth: None };

    fn errors(topics: &Topics) -> Vec<String> {
        let birth = Some("homeassistant/status");
        match sound(topics, &Fixed { discovery: Some("homeassistant"), birth, ..ALONE }) {
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
        assert!(
            sound(&Topics::default(), &Fixed { base: "site/bus", bridge: "bridge-east", ..ALONE }).is_ok()
        );
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let topics = Topics {
            event: "{base}/event/{event}".into(),
            last: "{base}/{source}/{event}/last".into(),
            state: "{base}/{source}/{event}/{id}".into(),
            picture: "{base}/{source}/picture".into(),
            ..Topics::default()
        };
        let (last, state) = ("{event} has no place", "{id} has no place");
        refused(&topics, &["must contain {source}", "must contain {event}", state, last]);
    }

    #[test]
    fn two_templates_must_not_meet() {
        let topics = Topics { event: "{base}/{source}/{event}".into(), ..Topics::default() };
        let at = "could make the same topic as topics.event";
        refused(&topics, &[at, at, at, at]);
    }

    #[test]
    fn a_subscription_to_all_events_must_get_nothing_else() {
        let topics = Topics { event: "{base}/{source}/ev_{event}".into(), ..Topics::default() };
        refused(&topics, &["could make the same topic as topics.event"; 4]);
        assert!(sound(&topics, &ALONE).is_ok());
    }

    #[test]
    fn levels_may_be_added() {
        for event in [
            "{base}/cameras/{source}/{event}",
            "{base}/{vendor}/{source}/{event}",
            "site/{source}/{event}",
            "{base}/{source}/{channel}/{name}/{mac}/{event}/{id}",
            "{event}/of/{source}",
        ] {
            let topics = Topics { event: event.into(), ..Topics::default() };
            assert_eq!(errors(&topics), Vec::<String>::new(), "{event}");
        }
    }

    #[test]
    fn the_fixed_topics_stay_free() {
        let topics = Topics { last: "{base}/{name}-{source}/info".into(), ..Topics::default() };
        assert_eq!(errors(&topics), Vec::<String>::new(), "no source can be called \"bridge\"");
        let east = sound(&topics, &Fixed { bridge: "bridge-east", ..ALONE }).unwrap_err();
        assert!(east[0].to_string().contains("alarmbus/bridge-east/info"), "{}", east[0]);
        let topics = Topics { last: "homeassistant/device/{source}/config".into(), ..Topics::default() };
        refused(&topics, &["homeassistant/device/alarmbus_{source}/config"]);
    }
}
