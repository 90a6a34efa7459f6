//! MQTT topic templates.

use serde::{Deserialize, Serialize};

use super::Config;
use super::check::Check;
use super::keypath::KeyPath;
use super::template::{Placeholder, Template};

/// MQTT topics as templates over `{base} {source} {event} {id} {mac} {channel} {name} {vendor}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Every alarm.
    pub event: String,
    /// Start and end of activities.
    pub activity: String,
    /// Every picture (`snapshots.each`).
    pub picture: String,
    /// ON or OFF.
    pub state: String,
    /// Number of objects.
    pub count: String,
    /// Latest picture of a kind.
    pub snapshot_event: String,
    /// Latest picture of any kind.
    pub snapshot: String,
    /// The alarm of the latest picture of a kind.
    pub snapshot_info_event: String,
    /// The alarm of the latest picture of any kind.
    pub snapshot_info: String,
    /// The latest alarm.
    pub last: String,
    /// The device.
    pub device: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            event: "{base}/{source}/event/{event}".into(),
            activity: "{base}/{source}/activity/{event}".into(),
            picture: "{base}/{source}/picture/{event}/{id}".into(),
            state: "{base}/{source}/state/{event}".into(),
            count: "{base}/{source}/count/{event}".into(),
            snapshot_event: "{base}/{source}/snapshot/{event}".into(),
            snapshot: "{base}/{source}/snapshot".into(),
            snapshot_info_event: "{base}/{source}/snapshot_info/{event}".into(),
            snapshot_info: "{base}/{source}/snapshot_info".into(),
            last: "{base}/{source}/last".into(),
            device: "{base}/{source}/device".into(),
        }
    }
}

/// A topic that the bridge itself owns, and what it is for.
pub type FixedTopic = (Template, &'static str);

/// One mistake among templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    /// The key: `event`, `state` …
    pub key: &'static str,
    /// What is wrong and the remedy.
    pub text: String,
}

impl Topics {
    /// Every template with its key.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &str); 11] {
        [
            ("event", &self.event),
            ("activity", &self.activity),
            ("picture", &self.picture),
            ("state", &self.state),
            ("count", &self.count),
            ("snapshot_event", &self.snapshot_event),
            ("snapshot", &self.snapshot),
            ("snapshot_info_event", &self.snapshot_info_event),
            ("snapshot_info", &self.snapshot_info),
            ("last", &self.last),
            ("device", &self.device),
        ]
    }

    /// Finds every mistake among the templates. Pure.
    #[must_use]
    pub fn mistakes(&self, base: &str, fixed: &[FixedTopic]) -> Vec<TemplateMistake> {
        let (mut sound, mut mistakes): (Vec<(&'static str, Template)>, Vec<TemplateMistake>) =
            Default::default();
        for (key, text) in self.all() {
            let template = Template::parse(text).and_then(|template| {
                let problem =
                    content_problem(key, &template).or_else(|| clash(&template, base, &sound, fixed));
                problem.map_or(Ok(template), Err)
            });
            match template {
                Ok(template) => sound.push((key, template)),
                Err(problem) => {
                    mistakes.push(TemplateMistake { key, text: format!("{text:?}: {problem}") });
                }
            }
        }
        mistakes
    }

    /// Checks the templates.
    pub(super) fn check(&self, base: &str, fixed: &[FixedTopic], check: &mut Check<'_>) {
        for mistake in self.mistakes(base, fixed) {
            check.mistake(&KeyPath::of(["topics", mistake.key]), mistake.text);
        }
    }
}

/// What a template must hold, and must not because nobody knows it there.
fn content_problem(key: &str, template: &Template) -> Option<String> {
    let by_kind = matches!(
        key,
        "event" | "activity" | "picture" | "state" | "count" | "snapshot_event" | "snapshot_info_event"
    );
    let of_the_log = matches!(key, "event" | "activity" | "picture");
    if !template.holds(Placeholder::Source) {
        return Some("{source} is missing: devices would share a topic".into());
    }
    if key == "picture" && !template.holds(Placeholder::Id) {
        return Some("{id} is missing: pictures would share a topic".into());
    }
    match template.holds(Placeholder::Event) {
        false if by_kind => Some("{event} is missing: kinds would share a topic".into()),
        true if !by_kind => Some("{event} does not belong here: there is one topic for all kinds".into()),
        _ if !of_the_log && template.holds(Placeholder::Id) => {
            Some("{id} does not belong here: each alarm would leave a retained topic behind".into())
        }
        _ => None,
    }
}

/// The template, or topic of the bridge, that could render the same topic.
fn clash(
    template: &Template,
    base: &str,
    others: &[(&'static str, Template)],
    fixed: &[FixedTopic],
) -> Option<String> {
    let other =
        others.iter().find(|(_, other)| template.meets(other, base)).map(|(key, _)| format!("topics.{key}"));
    let other = other.or_else(|| {
        fixed.iter().find(|(other, _)| template.meets(other, base)).map(|(_, what)| (*what).to_owned())
    });
    other.map(|other| format!("it could render the same topic as {other}: put a level of its own into it"))
}

impl Config {
    /// The topics of the bridge that no template may meet.
    pub(super) fn fixed_topics(&self) -> Vec<FixedTopic> {
        let bridge =
            self.instance.as_ref().map_or("bridge".to_owned(), |instance| format!("bridge-{instance}"));
        let own = ["state", "info", "health", "token"].map(|what| format!("{{base}}/{bridge}/{what}"));
        let discovery = format!("{}/device/alarmbus_{{source}}/config", self.homeassistant.discovery_topic);
        let birth = self.homeassistant.birth_topic.clone();
        let all = own.into_iter().map(|topic| (topic, "a topic of the bridge itself"));
        let all = all.chain([(discovery, "Home Assistant discovery"), (birth, "homeassistant.birth_topic")]);
        // One that cannot be parsed is a mistake of its own key, found there.
        all.filter_map(|(topic, what)| Template::parse(&topic).ok().map(|topic| (topic, what))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Topics;
    use crate::config::Config;

    #[track_caller]
    fn check(change: impl Fn(&mut Topics), expected: &[(&str, &str)]) {
        let mut config = Config::default();
        change(&mut config.topics);
        let found = config.topics.mistakes(&config.mqtt.base_topic, &config.fixed_topics());
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (mistake, (key, text)) in found.iter().zip(expected) {
            assert!(mistake.key == *key && mistake.text.contains(text), "{mistake:?}");
        }
    }

    #[test]
    fn the_defaults_are_sound() {
        check(|_| (), &[]);
    }

    #[test]
    fn added_values_and_other_orders_are_fine() {
        check(|t| t.event = "{base}/{source}/event/{channel}/{event}".into(), &[]);
        check(|t| t.state = "house/state/{event}/{source}/{name}".into(), &[]);
    }

    #[test]
    fn what_is_missing_or_does_not_belong_is_named() {
        check(|t| t.event = "{base}/{event}".into(), &[("event", "{source} is missing")]);
        check(|t| t.state = "{base}/{source}/state".into(), &[("state", "{event} is missing")]);
        check(|t| t.last = "{base}/{source}/last/{event}".into(), &[("last", "does not belong")]);
        check(|t| t.count = "{base}/{source}/count/{event}/{id}".into(), &[("count", "retained")]);
    }

    #[test]
    fn collisions_are_refused() {
        check(|t| t.last = "{base}/{source}/snapshot".into(), &[("last", "topics.snapshot")]);
        check(|t| t.device = "{base}/{name}/{source}".into(), &[("device", "same topic")]);
        check(
            |t| t.device = "homeassistant/device/alarmbus_{source}/config".into(),
            &[("device", "Home Assistant discovery")],
        );
    }
}
