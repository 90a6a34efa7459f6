//! The published JSON. Field names, their order, and the presence of every field are a public contract
//! (`docs/schema.json`).
//!
//! The structs borrow from the record and are serialised directly to bytes, since every alarm passes here.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::record::{ActivityPhase, DeviceRecord, SnapshotProblem, TimeSource};
use crate::model::{ActivityRecord, AlarmRecord, BoundingBox, DeviceKind, EventName, Mac, Phase};

pub use crate::model::status::{
    BridgeHealth, BridgeInfo, DeviceStatus, HealthProblem, MuteStatus, SinkHealth, SinkInfo, Status,
};

pub use crate::model::status::SCHEMA;

/// An alarm as published on `event`, `last` and `snapshot_info`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm", title = "Alarm")]
pub struct AlarmJson<'a> {
    /// Version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// UUIDv7 of receipt, the same on every sink and for every redelivery.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub id: Uuid,
    /// Sequence number per source: a gap means that an alarm was dropped or parked.
    pub seq: u64,
    /// The canonical kind.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event: &'a str,
    /// The canonical kind, under the name Home Assistant reads.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event_type: &'a str,
    /// Kind as the device named it.
    pub event_raw: &'a str,
    /// Title of the kind for people.
    #[schemars(with = "String")]
    pub title: Cow<'static, str>,
    /// Place of the alarm in its activity.
    pub phase: Phase,
    /// Number of alarms of the activity before it.
    pub repeat: u64,
    /// Identifier of the activity; null for a single event.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub activity_id: Option<Uuid>,
    /// True if published late, or replayed by hand.
    pub replayed: bool,
    /// True if its device or its kind was muted at receipt: it should notify nobody.
    pub muted: bool,
    /// Topic level of the device.
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,96}$"))]
    pub source: &'a str,
    /// The device.
    pub device: DeviceJson<'a>,
    /// RFC 3339: device time with its offset, or receipt time.
    #[schemars(extend("format" = "date-time"))]
    pub time: &'a str,
    /// The device's time as received.
    pub time_raw: Option<&'a str>,
    /// Clock that `time` is from.
    pub time_source: TimeSource,
    /// Time of receipt of the report, in UTC to the millisecond.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(serialize_with = "utc")]
    pub received_at: Timestamp,
    /// Device time minus receipt time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Number of objects, if the device counts them.
    pub count: Option<u32>,
    /// Region numbers of the rule that fired.
    pub regions: &'a [u32],
    /// Boxes around the objects, as fractions of the picture.
    pub boxes: &'a [BoundingBox],
    /// Details of the detected object, with the same names for all makers: `plate` (null: seen but not read),
    /// `confidence`, `direction`, `list`, `vehicle_color`, `target`, `region`, `rule`, `person`, `person_id`, `door`,
    /// `code`, `input`, `message`, `late` (true: sent again after an outage; no activity begins). May be empty.
    pub details: &'a Map<String, Value>,
    /// The picture; null if there was none.
    pub snapshot: Option<SnapshotJson<'a>>,
    /// Fields of the device's entry that no other field holds.
    pub extra: &'a Map<String, Value>,
    /// True if something was cut to stay within limits.
    pub truncated: bool,
}

/// The start or end of an activity as published.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "activity", title = "Activity")]
pub struct ActivityJson<'a> {
    /// Version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Identifier of this notification.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub id: Uuid,
    /// Identifier of the activity.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub activity_id: Uuid,
    /// The canonical kind.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event: &'a str,
    /// The canonical kind, under the name Home Assistant reads.
    #[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))]
    pub event_type: &'a str,
    /// Topic level of the device.
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,96}$"))]
    pub source: &'a str,
    /// The device.
    pub device: DeviceJson<'a>,
    /// Start or end.
    pub phase: ActivityPhase,
    /// Time of receipt of the first alarm, in UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(serialize_with = "utc")]
    pub started: Timestamp,
    /// Time of the end, in UTC; null in a start.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    #[serde(serialize_with = "maybe_utc")]
    pub ended: Option<Timestamp>,
    /// Number of alarms so far.
    pub alarms: u64,
    /// Highest number of objects in one alarm.
    pub count_max: Option<u32>,
    /// The best picture: highest count, then earliest.
    pub snapshot: Option<SnapshotJson<'a>>,
    /// True if published late.
    pub replayed: bool,
    /// True if its device or its kind was muted: it should notify nobody.
    pub muted: bool,
}

/// The device of an alarm.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_device")]
pub struct DeviceJson<'a> {
    /// MAC address with colons.
    #[schemars(with = "Option<String>")]
    #[serde(serialize_with = "shown")]
    pub mac: Option<Mac>,
    /// Name to show.
    pub name: &'a str,
    /// Name the device reports of itself.
    pub reported_name: Option<&'a str>,
    /// IP address it reports, otherwise the peer's.
    pub ip: Option<&'a str>,
    /// Vendor that decoded it.
    pub vendor: &'a str,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// Number of the channel, counted from 1.
    pub channel: Option<u32>,
    /// Source of the recorder, for a channel.
    pub parent: Option<&'a str>,
}

/// The picture of an alarm or an activity.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "snapshot")]
pub struct SnapshotJson<'a> {
    /// Topic of the picture on this sink; null if it was not published.
    pub topic: Option<String>,
    /// URL of the picture at the bridge; null if no other host could fetch it.
    pub url: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: Option<&'a str>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Key in the object store (NATS).
    pub object: Option<&'a str>,
    /// Reason why it is missing or was not published.
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
            muted: alarm.muted,
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
            details: &alarm.details,
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
            muted: record.muted,
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

/// Writes an optional time in the same form, or null.
fn maybe_utc<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => utc(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// Writes a MAC address with colons, or null.
fn shown<S: Serializer>(mac: &Option<Mac>, serializer: S) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => serializer.collect_str(mac),
        None => serializer.serialize_none(),
    }
}
