//! Log entries and current values, as the outbox passes them to relays.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::record::{AlarmRecord, DeviceRecord};
use super::{EventName, Record, Source};

/// A record of the log with its picture.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Number in the log; rises with every commit.
    pub no: i64,
    /// The record.
    pub record: Record,
    /// Bytes of its picture, if each picture is published.
    pub picture: Option<Bytes>,
}

/// A current value.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentValue {
    /// The source; `None` for a value of the bridge itself.
    pub source: Option<Source>,
    /// Type of the value.
    pub what: What,
    /// Kind, for values that exist per kind.
    pub event: Option<EventName>,
    /// Version; rises with every change, over all values.
    pub version: i64,
    /// The device, for topic templates; `None` for the bridge's own.
    pub device: Option<DeviceRecord>,
    /// Content of the value.
    pub content: Content,
}

/// Type of a current value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// Home Assistant discovery; first, so that entities exist before their values are published.
    Discovery,
    /// JSON of the alarm whose picture is retained; just before the picture.
    SnapshotInfo,
    /// The latest picture.
    Snapshot,
    /// The latest alarm.
    Last,
    /// ON or OFF.
    State,
    /// Number of objects.
    Count,
    /// The device.
    Device,
    /// Bridge: version, start, sinks.
    Info,
    /// Bridge: backlog, counts, problems.
    Health,
}

impl What {
    /// All types, in the order of [`number`](Self::number).
    pub const ALL: [Self; 9] = [
        Self::Discovery,
        Self::SnapshotInfo,
        Self::Snapshot,
        Self::Last,
        Self::State,
        Self::Count,
        Self::Device,
        Self::Info,
        Self::Health,
    ];

    /// Number in the store; never changes.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Discovery => 0,
            Self::SnapshotInfo => 1,
            Self::Snapshot => 2,
            Self::Last => 3,
            Self::State => 4,
            Self::Count => 5,
            Self::Device => 6,
            Self::Info => 7,
            Self::Health => 8,
        }
    }

    /// Returns whether it is a document that rarely changes, one per source, and not per kind.
    #[must_use]
    pub fn is_document(self) -> bool {
        matches!(self, Self::Discovery | Self::Device | Self::Info | Self::Health)
    }

    /// Type for a number in the store.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.number() == number)
    }
}

/// Content of a current value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A short text: ON, OFF, a number.
    Text(String),
    /// A JSON document, as it is published.
    Json(String),
    /// The alarm it is made from (`last`, `snapshot_info`).
    Alarm(Arc<AlarmRecord>),
    /// The picture of this alarm.
    Picture(Arc<AlarmRecord>, Bytes),
    /// Data for the announcement of a device to Home Assistant.
    Discovery(Box<Card>),
}

/// Data for the announcement of one source to Home Assistant; a change publishes a new announcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The topic level.
    pub source: Source,
    /// The device.
    pub device: DeviceRecord,
    /// Its model, where it says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The area to suggest, if configured.
    pub area: Option<String>,
    /// Kinds in the order of their first alarms.
    pub kinds: Vec<KindSeen>,
    /// Kinds without entities, by configuration.
    pub entities_off: Vec<String>,
    /// Set if an availability of the device is published (`expected_every_seconds` or `probe`).
    pub availability: bool,
}

/// A kind that a source has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSeen {
    /// The kind.
    pub event: EventName,
    /// Set if it had a picture at least once.
    pub picture: bool,
    /// Set if it had a count at least once.
    pub counted: bool,
}
