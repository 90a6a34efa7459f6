//! The JSON of `device`, `bridge/info` and `bridge/health` (DESIGN 6). Times are RFC 3339 in UTC.

use schemars::JsonSchema;
use serde::Serialize;

use jiff::Timestamp;

use super::clock::utc;
use super::record::DeviceRecord;
use super::{DeviceKind, Source};

/// The version of everything published as JSON.
pub const SCHEMA: u32 = 1;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Normal, but worth knowing.
    Info,
    /// Something is not as it should be; alarms get through.
    Warning,
    /// Alarms do not get through.
    Error,
}

/// A device as it stands, on `<source>/device`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "device", title = "Device")]
pub struct DeviceStatus {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The topic level of the device.
    pub source: String,
    /// The name to show.
    pub name: String,
    /// The device's name for itself.
    pub reported_name: Option<String>,
    /// The MAC address with colons.
    pub mac: Option<String>,
    /// The address it reports, else the peer's.
    pub ip: Option<String>,
    /// The vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's source, for a channel.
    pub parent: Option<String>,
    /// When it was first heard.
    #[schemars(extend("format" = "date-time"))]
    pub first_heard: String,
    /// When it was last heard; renewed at most once a minute.
    #[schemars(extend("format" = "date-time"))]
    pub last_heard: String,
    /// Device time less receipt time, in milliseconds, at its last alarm.
    pub clock_offset_ms: Option<i64>,
    /// Whether it is there; null while nothing checks it (silence proves nothing).
    pub available: Option<bool>,
    /// Why that is said.
    pub available_reason: Option<String>,
}

impl DeviceStatus {
    /// Puts it together. `available`: whether it is there and why that is said, where that is watched.
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
        }
    }
}

/// The bridge, on `bridge/info`: what changes only with a restart or a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "bridge_info", title = "Bridge info")]
pub struct BridgeInfo {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The instance's identifier.
    pub instance: String,
    /// The version of the software.
    pub version: String,
    /// When it started.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// The admin page as others reach it; null when only its own host does.
    pub public_url: Option<String>,
    /// The sinks that are on.
    pub sinks: Vec<SinkInfo>,
}

/// One sink in [`BridgeInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "sink_info")]
pub struct SinkInfo {
    /// Its section of the configuration: `mqtt`, `nats`, `stdout`.
    pub name: String,
    /// Where it goes, without secrets.
    pub target: String,
}

/// The bridge's health, on `bridge/health`: each minute and on change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "bridge_health", title = "Bridge health")]
pub struct BridgeHealth {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// When this was found.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// All in all.
    pub status: Status,
    /// Log messages that wait, over all sinks.
    pub backlog: u64,
    /// Messages parked, over all sinks.
    pub parked: u64,
    /// Log messages dropped undelivered since the start, over all sinks.
    pub dropped: u64,
    /// Alarms received since the start.
    pub alarms: u64,
    /// Requests refused since the start.
    pub refused: u64,
    /// Sources known.
    pub devices: u64,
    /// Each sink.
    pub sinks: Vec<SinkHealth>,
    /// What is wrong now, worst first.
    pub problems: Vec<Problem>,
}

/// All in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "status")]
pub enum Status {
    /// Alarms are kept and delivered.
    Ok,
    /// Something stands in the way: the disk, a sink.
    Degraded,
    /// Alarms cannot be committed, or a sink has taken none of those that wait for long.
    #[serde(rename = "not_ready")]
    NotReady,
}

/// One sink in [`BridgeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "sink_health")]
pub struct SinkHealth {
    /// Its section of the configuration.
    pub name: String,
    /// It has a session.
    pub connected: bool,
    /// Log messages that wait.
    pub backlog: u64,
    /// Messages parked.
    pub parked: u64,
    /// Log messages dropped undelivered since the start.
    pub dropped: u64,
    /// Messages acknowledged since the start.
    pub published: u64,
}

/// One finding in [`BridgeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "problem")]
pub struct Problem {
    /// The finding's code.
    pub code: String,
    /// How bad it is: `warning`, `error`.
    #[schemars(with = "String", extend("enum" = ["info", "warning", "error"]))]
    pub severity: Severity,
    /// What it means, in one line.
    pub title: String,
    /// Who it is about.
    pub subject: String,
    /// What was seen last.
    pub detail: String,
    /// How often.
    pub count: u64,
    /// When it was first seen.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// How a sink is doing, for page, health and metrics.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "sink")]
pub struct SinkStatus {
    /// The section it comes from.
    pub name: String,
    /// A session is open.
    pub connected: bool,
    /// Protocol, address and limits of the session.
    pub description: String,
    /// Why there is no session, or why nothing is accepted.
    pub trouble: Option<String>,
    /// Everything is refused: its position stands still.
    pub blocked: bool,
    /// Log entries it has not acknowledged.
    pub backlog: u64,
    /// Receipt of the oldest of them.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub oldest: Option<Timestamp>,
    /// Log messages handed to it since the start.
    pub sent: u64,
    /// Log messages acknowledged over all time.
    pub delivered: u64,
    /// Log entries dropped by the bounds over all time.
    pub dropped: u64,
    /// Sessions made since the start.
    pub sessions: u64,
    /// When something was acknowledged last.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last_delivery: Option<Timestamp>,
    /// Of the log messages of this session: how many found no subscriber.
    pub unheard: u64,
    /// Whether the latest log message found a subscriber; null while the far side does not say.
    pub heard: Option<bool>,
    /// Messages parked since the start.
    pub parked: u64,
    /// From receipt of the alarm to its acknowledgement, the latest one, in milliseconds.
    pub latency_ms: Option<u64>,
}
