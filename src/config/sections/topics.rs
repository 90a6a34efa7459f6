//! MQTT topic templates.

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::check::topic_check::{Fixed, sound};
use crate::config::keypath::KeyPath;

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

impl Topics {
    /// Checks the templates, each and all against each other.
    pub(crate) fn check(&self, fixed: &Fixed<'_>, check: &mut Check<'_>) {
        let Err(mistakes) = sound(self, fixed) else { return };
        for mistake in mistakes {
            if let Some(key) = mistake.key() {
                check.mistake(&KeyPath::of(["topics", key]), mistake.text());
            }
        }
    }
}
