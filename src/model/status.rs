//! What is said of a device as a whole: the JSON of the `device` topic.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::utc;
use super::record::DeviceRecord;
use super::{DeviceKind, Source};

/// The JSON of the `device` topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceStatus {
    /// Version of this form.
    pub schema: u32,
    /// The topic level.
    pub source: String,
    /// The name to show.
    pub name: String,
    /// The device's name for itself.
    pub reported_name: Option<String>,
    /// The MAC address, with colons.
    pub mac: Option<String>,
    /// The address.
    pub ip: Option<String>,
    /// The vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel.
    pub channel: Option<u32>,
    /// The recorder's source.
    pub parent: Option<String>,
    /// Receipt of its first alarm.
    pub first_heard: String,
    /// Receipt of its latest alarm (renewed at most once a minute).
    pub last_heard: String,
    /// Device time less receipt time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// `false` only where availability is watched (`expected_every_seconds`, `probe`) and it is not there.
    pub available: bool,
    /// Why `available` is what it is; `null` where it is not watched.
    pub available_reason: Option<String>,
}

impl DeviceStatus {
    /// Puts it together.
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
            schema: 1,
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
            available: available.is_none_or(|(is, _)| *is),
            available_reason: available.map(|(_, why)| why.clone()),
        }
    }
}
