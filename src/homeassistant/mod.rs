//! Home Assistant MQTT discovery: announcements of devices and of the bridge. Pure.
//!
//! Home Assistant rejects a whole device for one unknown key at the top level. So every announcement is a struct with
//! fixed fields ([`announcement`]), and every template reads only keys that always exist.

pub mod announcement;
pub mod ids;

mod bridge;
mod device;
mod entities;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use announcement::Announcement;

use crate::config::HomeAssistant;
pub use crate::model::value::{Card, KindSeen};
use crate::model::{EventName, Source};

/// Purpose of a topic that an entity uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// All alarms of the device: a filter.
    Events,
    /// The alarms of one kind: a filter, where the topic has the alarm's identifier in it.
    Event,
    /// ON or OFF of a kind.
    State,
    /// Number of objects of a kind.
    Count,
    /// The latest picture, of a kind or of any.
    Snapshot,
    /// The alarm of that picture.
    SnapshotInfo,
    /// The latest alarm.
    Last,
    /// The device.
    Device,
    /// The topic on which mutes of the device are received.
    MuteSet,
    /// `online` or `offline` of the bridge.
    Bridge,
}

/// Returns the topic for a purpose; `None` when it is not published.
pub type TopicOf<'a> = &'a dyn Fn(Topic, Option<&EventName>) -> Option<String>;

/// A component that was announced before and is now omitted. It is announced once more with its platform alone, which
/// removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its key among the components.
    pub key: String,
    /// Its platform: `binary_sensor`, `event`, `image`, `sensor`, `switch`.
    pub platform: String,
}

/// Data that all announcements of a bridge share.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// The prefix, and which alarms fire the event entity.
    pub homeassistant: HomeAssistant,
    /// The instance's identifier, `[A-Za-z0-9_-]`: part of the bridge's identity, so it never changes.
    pub instance: String,
    /// The instance's name, if several instances share a broker.
    pub label: Option<String>,
    /// The version of the software.
    pub version: String,
    /// Support page; a full URL.
    pub support_url: Option<String>,
    /// Address of the admin page for other hosts; a full URL.
    pub public_url: Option<String>,
}

/// Number of event entities that a device is announced with. A new event entity receives nothing until Home Assistant
/// has subscribed to its topic.
#[must_use]
pub fn event_entities(card: &Card) -> usize {
    1 + usize::from(card.kinds.iter().any(|kind| kind.event.as_str() == entities::DOORBELL))
}

impl Discovery {
    /// Discovery topic of a device.
    #[must_use]
    pub fn device_topic(&self, source: &Source) -> String {
        self.topic(&ids::device(source))
    }

    /// Discovery topic of the bridge.
    #[must_use]
    pub fn bridge_topic(&self) -> String {
        self.topic(&ids::bridge(&self.instance))
    }

    /// The source a discovery topic belongs to; `None` for other topics and the bridge's own.
    #[must_use]
    pub fn source_of(&self, topic: &str) -> Option<Source> {
        let node = topic.strip_prefix(self.homeassistant.discovery_topic.as_str())?;
        let node = node.strip_prefix("/device/")?.strip_suffix("/config")?;
        (node != ids::bridge(&self.instance)).then(|| ids::source_of(node)).flatten()
    }

    /// Returns the announcement of a device. `removed` are components that were announced before and are now omitted.
    #[must_use]
    pub fn device(&self, card: &Card, removed: &[Removed], topic_of: TopicOf<'_>) -> Announcement {
        device::announcement(self, card, removed, topic_of)
    }

    /// Returns the announcement of the bridge; `topic_of` names its topics (`state`, `info`, `health`).
    #[must_use]
    pub fn bridge(&self, topic_of: &dyn Fn(&str) -> String) -> Announcement {
        bridge::announcement(self, topic_of)
    }

    /// The discovery topic of a device identifier.
    fn topic(&self, device: &str) -> String {
        format!("{}/device/{device}/config", self.homeassistant.discovery_topic)
    }
}
