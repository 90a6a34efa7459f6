//! The published JSON (DESIGN 4 and 6): field names, their order and that all are always there is the contract.
//!
//! The structs borrow from the record and are written straight to bytes: this is the hot path.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::record::{ActivityPhase, DeviceRecord, SnapshotProblem, TimeSource};
use crate::model::{ActivityRecord, AlarmRecord, BoundingBox, DeviceKind, EventName, Mac, Phase};

pub use crate::model::status::{
    BridgeHealth, BridgeInfo, DeviceStatus, Problem, SinkHealth, SinkInfo, Status,
};

pub use crate::model::status::SCHEMA;

/// An alarm as published on `event`, `last` and `snapshot_info`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm", title = "Alarm")]
pub struct AlarmJson<'a> {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// UUIDv7 of receipt, the same on every sink and for every redelivery.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub id: Uuid,
    /// Per source, one more for each alarm: a gap means that one was dropped or parked.
    pub seq: u64,
    /// The canonical kind.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event: &'a str,
    /// The same, under the name Home Assistant reads.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event_type: &'a str,
    /// The kind as the device named it.
    pub event_raw: &'a str,
    /// The kind for people.
    #[schemars(with = "String")]
    pub title: Cow<'static, str>,
    /// Where the alarm stands in its activity.
    pub phase: Phase,
    /// How many alarms of the activity came before it.
    pub repeat: u64,
    /// The activity; null for a moment.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub activity_id: Option<Uuid>,
    /// Published late, or again by hand.
    pub replayed: bool,
    /// The topic level of the device.
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,96}$"))]
    pub source: &'a str,
    /// The device.
    pub device: DeviceJson<'a>,
    /// RFC 3339: device time with its offset, or receipt time.
    #[schemars(extend("format" = "date-time"))]
    pub time: &'a str,
    /// The device's time as it wrote it.
    pub time_raw: Option<&'a str>,
    /// Whose clock `time` is.
    pub time_source: TimeSource,
    /// When the bridge had received the report, in UTC to the millisecond.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(serialize_with = "utc")]
    pub received_at: Timestamp,
    /// Device time less receipt time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Number of objects, where the device counts them.
    pub count: Option<u32>,
    /// Region numbers of the rule that fired.
    pub regions: &'a [u32],
    /// Boxes around the objects, as fractions of the picture.
    pub boxes: &'a [BoundingBox],
    /// The picture; null when none came.
    pub snapshot: Option<SnapshotJson<'a>>,
    /// Fields of the device's entry that no other field holds.
    pub extra: &'a Map<String, Value>,
    /// Something was cut to stay within the bounds.
    pub truncated: bool,
}

/// The start or end of an activity as published.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "activity", title = "Activity")]
pub struct ActivityJson<'a> {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The identifier of this notification.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub id: Uuid,
    /// The activity.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub activity_id: Uuid,
    /// The canonical kind.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event: &'a str,
    /// The same, under the name Home Assistant reads.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event_type: &'a str,
    /// The topic level of the device.
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,96}$"))]
    pub source: &'a str,
    /// The device.
    pub device: DeviceJson<'a>,
    /// Start or end.
    pub phase: ActivityPhase,
    /// Receipt of the first alarm, in UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(serialize_with = "utc")]
    pub started: Timestamp,
    /// When it ended, in UTC; null in a start.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(serialize_with = "maybe_utc")]
    pub ended: Option<Timestamp>,
    /// How many alarms it had so far.
    pub alarms: u64,
    /// The highest number of objects in one alarm.
    pub count_max: Option<u32>,
    /// The best picture: highest count, then earliest.
    pub snapshot: Option<SnapshotJson<'a>>,
    /// Published late.
    pub replayed: bool,
}

/// The device of an alarm.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_device")]
pub struct DeviceJson<'a> {
    /// The MAC address with colons.
    #[schemars(with = "Option<String>")]
    #[serde(serialize_with = "shown")]
    pub mac: Option<Mac>,
    /// The name to show.
    pub name: &'a str,
    /// The device's name for itself.
    pub reported_name: Option<&'a str>,
    /// The address it reports, else the peer's.
    pub ip: Option<&'a str>,
    /// The vendor that decoded it.
    pub vendor: &'a str,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's source, for a channel.
    pub parent: Option<&'a str>,
}

/// The picture of an alarm or an activity.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "snapshot")]
pub struct SnapshotJson<'a> {
    /// Where it was published on this sink; null when it was not.
    pub topic: Option<String>,
    /// Where the bridge serves it; null while nobody but its host could fetch it.
    pub url: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<&'a str>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Its key in the object store (NATS).
    pub object: Option<&'a str>,
    /// Why it is missing or was not published.
    pub problem: Option<SnapshotProblem>,
}

impl<'a> AlarmJson<'a> {
    /// The published form of an alarm with its picture's form.
    pub(super) fn new(alarm: &'a AlarmRecord, replayed: bool, snapshot: Option<SnapshotJson<'a>>) -> Self {
        Self {
            schema: SCHEMA,
            id: alarm.id,
            seq: alarm.seq,
            event: alarm.event.as_str(),
            event_type: alarm.event.as_str(),
            event_raw: &alarm.event_raw,
            title: title(&alarm.event),
            phase: alarm.phase,
            repeat: alarm.repeat,
            activity_id: alarm.activity_id,
            replayed,
            source: alarm.source.as_str(),
            device: DeviceJson::new(&alarm.device),
            time: &alarm.time,
            time_raw: alarm.time_raw.as_deref(),
            time_source: alarm.time_source,
            received_at: alarm.received_at,
            clock_offset_ms: alarm.clock_offset_ms,
            count: alarm.count,
            regions: &alarm.regions,
            boxes: &alarm.boxes,
            snapshot,
            extra: &alarm.extra,
            truncated: alarm.truncated,
        }
    }
}

impl<'a> ActivityJson<'a> {
    /// The published form of an activity's start or end with its picture's form.
    pub(super) fn new(
        record: &'a ActivityRecord,
        replayed: bool,
        snapshot: Option<SnapshotJson<'a>>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            id: record.id,
            activity_id: record.activity_id,
            event: record.event.as_str(),
            event_type: record.event.as_str(),
            source: record.source.as_str(),
            device: DeviceJson::new(&record.device),
            phase: record.phase,
            started: record.started,
            ended: record.ended,
            alarms: record.alarms,
            count_max: record.count_max,
            snapshot,
            replayed,
        }
    }
}

impl<'a> DeviceJson<'a> {
    /// The published form of a device.
    fn new(device: &'a DeviceRecord) -> Self {
        Self {
            mac: device.mac,
            name: &device.name,
            reported_name: device.reported_name.as_deref(),
            ip: device.ip.as_deref(),
            vendor: &device.vendor,
            kind: device.kind,
            channel: device.channel,
            parent: device.parent.as_ref().map(crate::model::Source::as_str),
        }
    }
}

/// The name of a kind for people, from the catalogue without a copy.
fn title(event: &EventName) -> Cow<'static, str> {
    event.kind().map_or_else(|| Cow::Owned(event.title()), |kind| Cow::Borrowed(kind.title))
}

/// `2026-10-05T08:25:32.104Z`
fn utc<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

/// The same, or null.
fn maybe_utc<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => utc(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// As it is shown, or null.
fn shown<S: Serializer>(mac: &Option<Mac>, serializer: S) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => serializer.collect_str(mac),
        None => serializer.serialize_none(),
    }
}
