//! The JSON of `device`, `bridge/info` and `bridge/health`. Times are RFC 3339 in UTC.

use schemars::JsonSchema;
use serde::Serialize;

use jiff::Timestamp;

use super::record::DeviceRecord;
use super::time::clock::utc;
use super::{DeviceKind, Mute, Source};

/// The version of everything published as JSON.
pub const SCHEMA: u32 = 1;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Normal, but worth knowing.
    Info,
    /// Something is wrong, but alarms are delivered.
    Warning,
    /// Alarms are not delivered.
    Error,
}

/// A device, on `<source>/device`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "device", title = "Device")]
pub struct DeviceStatus {
    /// Version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Topic level of the device.
    pub source: String,
    /// Name to show.
    pub name: String,
    /// Name the device reports of itself.
    pub reported_name: Option<String>,
    /// MAC address with colons.
    pub mac: Option<String>,
    /// IP address it reports, otherwise the peer's.
    pub ip: Option<String>,
    /// Vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's source, for a channel.
    pub parent: Option<String>,
    /// Time of receipt of its first alarm.
    #[schemars(extend("format" = "date-time"))]
    pub first_heard: String,
    /// Time of its latest alarm or sign of life; renewed at most once a minute.
    #[schemars(extend("format" = "date-time"))]
    pub last_heard: String,
    /// Device time minus receipt time at its latest alarm, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// True if it is available; null while nothing checks it (silence proves nothing).
    pub available: Option<bool>,
    /// Reason of the availability.
    pub available_reason: Option<String>,
    /// True if every kind of it is muted: its alarms should notify nobody.
    pub muted: bool,
    /// Muted kinds with the ends of the mutes.
    pub mutes: Vec<MuteStatus>,
}

/// One mute of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "mute_status")]
pub struct MuteStatus {
    /// Muted kind; null: every kind.
    pub event: Option<String>,
    /// End; null: until it is lifted.
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
}

impl From<&Mute> for MuteStatus {
    fn from(mute: &Mute) -> Self {
        Self { event: mute.event.as_ref().map(ToString::to_string), until: mute.until.map(utc) }
    }
}

impl DeviceStatus {
    /// Creates the status. `available`: availability and its reason, if it is watched.
    #[must_use]
    pub fn new(
        device: &DeviceRecord,
        source: &Source,
        first: Timestamp,
        last: Timestamp,
        clock_offset_ms: Option<i64>,
        available: Option<&(bool, String)>,
    ) -> Self {
        Self {
            schema: SCHEMA,
            source: source.to_string(),
            name: device.name.clone(),
            reported_name: device.reported_name.clone(),
            mac: device.mac.map(|mac| mac.to_string()),
            ip: device.ip.clone(),
            vendor: device.vendor.clone(),
            kind: device.kind,
            channel: device.channel,
            parent: device.parent.as_ref().map(ToString::to_string),
            first_heard: utc(first),
            last_heard: utc(last),
            clock_offset_ms,
            available: available.map(|(is, _)| *is),
            available_reason: available.map(|(_, why)| why.clone()),
            muted: false,
            mutes: Vec::new(),
        }
    }

    /// Adds the mutes.
    #[must_use]
    pub fn with_mutes<'a>(self, mutes: impl Iterator<Item = &'a Mute>) -> Self {
        let mutes: Vec<MuteStatus> = mutes.map(MuteStatus::from).collect();
        Self { muted: mutes.iter().any(|mute| mute.event.is_none()), mutes, ..self }
    }
}

/// The bridge, on `bridge/info`: data that change only with a restart or a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "bridge_info", title = "Bridge info")]
pub struct BridgeInfo {
    /// Version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Identifier of the instance.
    pub instance: String,
    /// Version of the software.
    pub version: String,
    /// Time of the start.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// URL of the admin page for other hosts; null when only its own host can reach it.
    pub public_url: Option<String>,
    /// The sinks that are on.
    pub sinks: Vec<SinkInfo>,
}

/// One sink in [`BridgeInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "sink_info")]
pub struct SinkInfo {
    /// Its section of the configuration: `mqtt`, `nats`, `notify`, `stdout`.
    pub name: String,
    /// Address of the broker, without secrets.
    pub target: String,
}

/// Health of the bridge, on `bridge/health`: each minute and on change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "bridge_health", title = "Bridge health")]
pub struct BridgeHealth {
    /// Version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Time of this report.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Overall status.
    pub status: Status,
    /// Number of undelivered log messages, over all sinks.
    pub backlog: u64,
    /// Number of parked messages, over all sinks.
    pub parked: u64,
    /// Number of log messages dropped undelivered since the start, over all sinks.
    pub dropped: u64,
    /// Number of alarms received since the start.
    pub alarms: u64,
    /// Number of requests refused since the start.
    pub refused: u64,
    /// Number of known sources.
    pub devices: u64,
    /// Health of each sink.
    pub sinks: Vec<SinkHealth>,
    /// Active problems, worst first.
    pub problems: Vec<HealthProblem>,
}

/// Overall status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "status")]
pub enum Status {
    /// Alarms are stored and delivered.
    Ok,
    /// Delivery is blocked by the disk or a sink.
    Degraded,
    /// Alarms cannot be committed, or a sink has acknowledged none of the waiting ones for long.
    #[serde(rename = "not_ready")]
    NotReady,
}

/// One sink in [`BridgeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "sink_health")]
pub struct SinkHealth {
    /// Section of the configuration.
    pub name: String,
    /// True while it has a session.
    pub connected: bool,
    /// Number of undelivered log messages.
    pub backlog: u64,
    /// Number of parked messages.
    pub parked: u64,
    /// Number of log messages dropped undelivered since the start.
    pub dropped: u64,
    /// Number of messages acknowledged since the start.
    pub published: u64,
}

/// One finding in [`BridgeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "problem")]
pub struct HealthProblem {
    /// Code of the finding.
    pub code: String,
    /// Severity: `warning`, `error`.
    #[schemars(with = "String", extend("enum" = ["info", "warning", "error"]))]
    pub severity: Severity,
    /// Title of the finding.
    pub title: String,
    /// Subject of the finding.
    pub subject: String,
    /// Detail of the latest occurrence.
    pub detail: String,
    /// Number of occurrences.
    pub count: u64,
    /// Time of the first occurrence.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// Status of a sink, for page, health and metrics.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "sink")]
pub struct SinkStatus {
    /// Section of the configuration.
    pub name: String,
    /// True while a session is open.
    pub connected: bool,
    /// Another instance of the cluster publishes; this one would be next.
    #[serde(skip)]
    pub standby: bool,
    /// Protocol, address and limits of the session.
    pub description: String,
    /// Reason why there is no session, or why nothing is accepted.
    pub trouble: Option<String>,
    /// True while every message is refused, so that its position does not advance.
    pub blocked: bool,
    /// Number of log entries it has not acknowledged.
    pub backlog: u64,
    /// Time of receipt of the oldest of them.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub oldest: Option<Timestamp>,
    /// Number of log messages sent since the start.
    pub sent: u64,
    /// Number of log messages acknowledged over all time.
    pub delivered: u64,
    /// Number of log entries dropped by the bounds over all time.
    pub dropped: u64,
    /// Number of sessions since the start.
    pub sessions: u64,
    /// Time of the latest acknowledgement.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_delivery: Option<Timestamp>,
    /// Number of log messages of this session without a subscriber.
    pub unheard: u64,
    /// True if the latest log message had a subscriber; null while the broker does not report it.
    pub heard: Option<bool>,
    /// Number of messages parked since the start.
    pub parked: u64,
    /// Time from receipt of the latest alarm to its acknowledgement, in milliseconds.
    pub latency_ms: Option<u64>,
}
