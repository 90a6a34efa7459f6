//! From meaning to bytes: what is published where. Pure; only here (and in `homeassistant`) topics are known.

pub mod schema;

use bytes::Bytes;
use uuid::Uuid;

use crate::model::{EventName, Record, Source, record::AlarmRecord};

/// One thing to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic, levels parted by `/` (NATS turns them to tokens).
    pub topic: String,
    /// The bytes.
    pub payload: Bytes,
    /// Retained, newest only (the value lane), or a log message.
    pub retain: bool,
    /// The MIME type of the payload.
    pub content_type: &'static str,
    /// What it is, for de-duplication and statistics.
    pub part: Part,
    /// The alarm or activity record it is made from.
    pub id: Option<Uuid>,
    /// The kind, for the user property.
    pub event: Option<EventName>,
    /// RFC 3339, for the user property.
    pub time: Option<String>,
    /// SHA-256 of a picture payload, hex (the object store's key).
    pub sha256: Option<String>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// An alarm.
    Event,
    /// An activity began.
    ActivityStart,
    /// An activity ended.
    ActivityEnd,
    /// A picture of the log lane.
    Picture,
    /// A current value.
    Value,
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
    /// The device's reported MAC, names … for topic templates; `None` for the bridge's own.
    pub device: Option<crate::model::record::DeviceRecord>,
    /// What it holds.
    pub content: Content,
}

/// Which value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// What a value holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A short text: ON, OFF, a number.
    Text(String),
    /// A JSON document, as it is published.
    Json(String),
    /// The alarm it is made from (`last`, `snapshot_info`).
    Alarm(Box<AlarmRecord>),
    /// The picture of this alarm.
    Picture(Box<AlarmRecord>, Bytes),
    /// What Home Assistant is told of a device.
    Discovery(Box<crate::homeassistant::Card>),
}

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
