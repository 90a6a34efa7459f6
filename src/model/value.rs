//! The two lanes as the outbox hands them to relays: log entries and current values.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::record::{AlarmRecord, DeviceRecord};
use super::{EventName, Record, Source};

/// A record of the log with what a sink needs besides to publish it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its number in the log; grows with every commit.
    pub no: i64,
    /// The record.
    pub record: Record,
    /// Its picture's bytes, only when each picture is published.
    pub picture: Option<Bytes>,
}

/// A current value as the outbox holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentValue {
    /// Whose it is; `None`: the bridge's own.
    pub source: Option<Source>,
    /// Which.
    pub what: What,
    /// Of which kind, where it is kept by kind.
    pub event: Option<EventName>,
    /// Grows with every change, over all values.
    pub version: i64,
    /// The device, for topic templates; `None` for the bridge's own.
    pub device: Option<DeviceRecord>,
    /// What it holds.
    pub content: Content,
}

/// Which value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// Home Assistant discovery; first, so that entities exist when their values come.
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
    /// Every one, in the order of [`number`](Self::number).
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

    /// The number it has in the store; never changes.
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

    /// Whether it is a document that hardly ever changes, one per source, and not kept by kind.
    #[must_use]
    pub fn is_document(self) -> bool {
        matches!(self, Self::Discovery | Self::Device | Self::Info | Self::Health)
    }

    /// Back from the store.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.number() == number)
    }
}

/// What a value holds.
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
    /// What Home Assistant is told of a device.
    Discovery(Box<Card>),
}

/// What Home Assistant is told of one source; a change of it is a new announcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The topic level.
    pub source: Source,
    /// The device.
    pub device: DeviceRecord,
    /// The area to suggest, if configured.
    pub area: Option<String>,
    /// The kinds seen, in order of first sight.
    pub kinds: Vec<KindSeen>,
    /// Kinds whose entities are left out by setting.
    pub entities_off: Vec<String>,
    /// A per-device availability is published (`expected_every_seconds` or `probe`).
    pub availability: bool,
}

/// One kind a source has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSeen {
    /// The kind.
    pub event: EventName,
    /// It came with a picture at least once.
    pub picture: bool,
    /// It came with a count at least once.
    pub counted: bool,
}
