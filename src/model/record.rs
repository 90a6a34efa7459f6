//! What the log keeps: alarms with everything the commit added, and the start and end of activities.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{BoundingBox, DeviceKind, EventName, Mac, Source};

/// Where an alarm stands in its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first alarm of an activity.
    Start,
    /// A repeat within the hold.
    Update,
    /// A moment: no activity, no state.
    Once,
}

/// Whose clock `time` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// The device's own wall time, read in its time zone.
    Device,
    /// The bridge's clock at receipt: the device sent none, or one that fits no zone.
    Receipt,
}

/// Why a picture is missing or was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotProblem {
    /// The connection ended before the picture did.
    Truncated,
    /// The report was larger than the bound.
    TooLarge,
    /// The part is no JPEG, or one without readable dimensions.
    NotAJpeg,
    /// The excess of a rate or memory limit cost this picture.
    Limited,
    /// Held in memory while the disk refused writes, and dropped when memory ran out.
    Dropped,
    /// Larger than the broker takes.
    OverBrokerLimit,
}

/// A picture as the log refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// The stored picture; none when it was thrown away (then `problem` says why).
    pub picture: Option<Uuid>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Why it is missing.
    pub problem: Option<SnapshotProblem>,
}

/// The device as it stood when the record was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The MAC address, reported or configured.
    pub mac: Option<Mac>,
    /// The name to show: configured, renamed, reported, or made up from the source.
    pub name: String,
    /// The device's name for itself.
    pub reported_name: Option<String>,
    /// The address it reports, else the peer's.
    pub ip: Option<String>,
    /// The vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's source, for a channel.
    pub parent: Option<Source>,
}

/// One alarm as committed. Rendering adds what differs between sinks (topic, URL, `replayed`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// UUIDv7 of receipt, the same for every sink and redelivery.
    pub id: Uuid,
    /// Per source, one more for each alarm.
    pub seq: u64,
    /// The canonical kind.
    pub event: EventName,
    /// The kind as the device named it.
    pub event_raw: String,
    /// Where it stands in its activity.
    pub phase: Phase,
    /// How many alarms of the activity came before it.
    pub repeat: u64,
    /// The activity; none for a moment.
    pub activity_id: Option<Uuid>,
    /// The topic level.
    pub source: Source,
    /// The device.
    pub device: DeviceRecord,
    /// RFC 3339 with the device's offset, or receipt time in UTC.
    pub time: String,
    /// The device's time as it wrote it.
    pub time_raw: Option<String>,
    /// Whose clock `time` is.
    pub time_source: TimeSource,
    /// When the bridge had received the report.
    pub received_at: Timestamp,
    /// Device time less receipt time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Number of objects.
    pub count: Option<u32>,
    /// Region numbers.
    pub regions: Vec<u32>,
    /// Boxes around the objects.
    pub boxes: Vec<BoundingBox>,
    /// The picture, if one came.
    pub snapshot: Option<SnapshotRecord>,
    /// Fields of the entry that no other field holds.
    pub extra: Map<String, Value>,
    /// Something was cut to stay within the bounds.
    pub truncated: bool,
}

/// Whether an activity record marks the start or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActivityPhase {
    /// The activity began.
    Start,
    /// The hold ran out, or somebody cleared it.
    End,
}

/// The start or the end of an activity: one notification per occurrence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityRecord {
    /// Its own identifier.
    pub id: Uuid,
    /// The activity.
    pub activity_id: Uuid,
    /// The kind.
    pub event: EventName,
    /// The topic level.
    pub source: Source,
    /// The device.
    pub device: DeviceRecord,
    /// Start or end.
    pub phase: ActivityPhase,
    /// Receipt of the first alarm.
    pub started: Timestamp,
    /// When it ended; none in a start.
    pub ended: Option<Timestamp>,
    /// How many alarms it had so far.
    pub alarms: u64,
    /// The highest number of objects seen in one alarm.
    pub count_max: Option<u32>,
    /// The alarm with the best picture: highest count, then earliest.
    pub snapshot: Option<BestSnapshot>,
}

/// The best picture of an activity and the alarm it came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestSnapshot {
    /// The alarm it came with (its URL is made from it).
    pub alarm: Uuid,
    /// The picture.
    pub snapshot: SnapshotRecord,
}

/// One row of the log lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Record {
    /// An alarm.
    Alarm(Arc<AlarmRecord>),
    /// The start or end of an activity.
    Activity(Box<ActivityRecord>),
}

impl Record {
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Alarm(alarm) => alarm.id,
            Self::Activity(activity) => activity.id,
        }
    }

    /// The source whose order it keeps.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Alarm(alarm) => &alarm.source,
            Self::Activity(activity) => &activity.source,
        }
    }

    /// The kind.
    #[must_use]
    pub fn event(&self) -> &EventName {
        match self {
            Self::Alarm(alarm) => &alarm.event,
            Self::Activity(activity) => &activity.event,
        }
    }

    /// The moment lateness is counted from: receipt, start or end.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Alarm(alarm) => alarm.received_at,
            Self::Activity(activity) => activity.ended.unwrap_or(activity.started),
        }
    }
}
