//! Records of the log: alarms with the data added at the commit, and the start and end of activities.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{BoundingBox, DeviceKind, EventName, Mac, Source};

/// Place of an alarm in its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first alarm of an activity.
    Start,
    /// A repeat within the hold.
    Update,
    /// A single event: no activity, no state.
    Once,
}

/// Clock that `time` is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// The device's own wall time, read in its time zone.
    Device,
    /// The bridge's clock at receipt: the device sent no time, or an implausible one.
    Receipt,
}

/// Reason why a picture is missing or was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotProblem {
    /// The connection ended within the picture.
    Truncated,
    /// The report was larger than `limits.body_bytes`.
    TooLarge,
    /// The part is not a JPEG, or one without readable dimensions.
    NotAJpeg,
    /// Dropped by a rate or memory limit.
    Limited,
    /// Held in memory while the disk refused writes, and dropped when memory ran out.
    Dropped,
    /// Too large for the broker.
    OverBrokerLimit,
}

/// Reference to a picture in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Identifier of the stored picture; null when it was dropped (then `problem` has the reason).
    pub picture: Option<Uuid>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Reason why it is missing.
    pub problem: Option<SnapshotProblem>,
}

/// The device at the time of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The MAC address, reported or configured.
    pub mac: Option<Mac>,
    /// Name to show: configured, renamed, reported, or generated from the source.
    pub name: String,
    /// Name the device reports of itself.
    pub reported_name: Option<String>,
    /// IP address it reports, otherwise the peer's.
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

/// A committed alarm. Rendering adds what differs between sinks (topic, URL, `replayed`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// UUIDv7 of receipt, the same for every sink and redelivery.
    pub id: Uuid,
    /// Sequence number per source.
    pub seq: u64,
    /// The canonical kind.
    pub event: EventName,
    /// The kind as the device named it.
    pub event_raw: String,
    /// Place in its activity.
    pub phase: Phase,
    /// Number of alarms of the activity before it.
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
    /// Clock that `time` is from.
    pub time_source: TimeSource,
    /// Time of receipt of the report.
    pub received_at: Timestamp,
    /// Device time minus receipt time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Number of objects.
    pub count: Option<u32>,
    /// Region numbers.
    pub regions: Vec<u32>,
    /// Boxes around the objects.
    pub boxes: Vec<BoundingBox>,
    /// Details of the detected object as the device reports them; empty in rows written before details existed.
    #[serde(default)]
    pub details: Map<String, Value>,
    /// The picture, if there was one.
    pub snapshot: Option<SnapshotRecord>,
    /// Fields of the entry that no other field holds.
    pub extra: Map<String, Value>,
    /// Set if something was cut to stay within limits.
    pub truncated: bool,
    /// Set if its device or its kind was muted; `false` in rows from before mutes existed.
    #[serde(default)]
    pub muted: bool,
    /// The same event was published before, and this brings the picture of it: only the picture is published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adds_picture: bool,
}

/// Start or end of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActivityPhase {
    /// The activity began.
    Start,
    /// The hold ended, or a user cleared it.
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
    /// Time of receipt of the first alarm.
    pub started: Timestamp,
    /// Time of its end; `None` in a start.
    pub ended: Option<Timestamp>,
    /// Number of its alarms so far.
    pub alarms: u64,
    /// Highest number of objects in one alarm.
    pub count_max: Option<u32>,
    /// The alarm with the best picture: highest count, then earliest.
    pub snapshot: Option<BestSnapshot>,
    /// Set if its device or its kind was muted; `false` in rows from before mutes existed.
    #[serde(default)]
    pub muted: bool,
}

/// The best picture of an activity and its alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BestSnapshot {
    /// Alarm of the picture (its URL is made from it).
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

    /// Source, within which the order is kept.
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

    /// Time from which lateness is counted: receipt, start or end.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Alarm(alarm) => alarm.received_at,
            Self::Activity(activity) => activity.ended.unwrap_or(activity.started),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::model::{AlarmRecord, testing};

    #[test]
    fn a_row_without_details_reads_as_one_with_none() {
        let mut row = serde_json::to_value(testing::person()).unwrap();
        assert_eq!(
            row.as_object_mut().unwrap().shift_remove("details"),
            Some(Value::Object(Default::default()))
        );
        assert_eq!(serde_json::from_value::<AlarmRecord>(row).unwrap(), testing::person());
    }
}
