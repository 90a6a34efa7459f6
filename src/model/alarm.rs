//! A decoded alarm: one event type of one entry of a report, before it is committed.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DeviceKind, EventName, Mac};

/// One event type of one entry of a report, as a vendor decoded it.
///
/// Its identifier, sequence number, activity and resolved time are added by the commit, which makes it an
/// [`AlarmRecord`](super::AlarmRecord).
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The canonical kind.
    pub event: EventName,
    /// The kind as the device named it, at most 128 characters.
    pub event_raw: String,
    /// Device as reported.
    pub device: Reported,
    /// The device's own time, as received.
    pub time_raw: Option<String>,
    /// Number of objects, if the device counts them.
    pub count: Option<u32>,
    /// Region numbers of the rule that fired.
    pub regions: Vec<u32>,
    /// Boxes around the objects.
    pub boxes: Vec<BoundingBox>,
    /// Index of its picture in the report.
    pub picture: Option<usize>,
    /// Details of the detected object (plate, direction, person …), under the same names for all makers.
    pub details: Map<String, Value>,
    /// Start, end or single event, if the device reports it.
    pub state: Option<ReportedState>,
    /// Key by which it is recognised as the same event as another alarm of its source, for makers that send an event
    /// more than once.
    pub same: Option<SameEvent>,
    /// Fields of the entry that no other field holds.
    pub extra: Map<String, Value>,
    /// Set if something was cut to stay within limits.
    pub truncated: bool,
}

/// Key that all alarms of one event share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SameEvent {
    /// The device's own key of the event; empty: any alarm of the kind is the same.
    pub key: String,
    /// Time within which such alarms arrive, in seconds.
    pub seconds: u64,
}

/// State of an event as the device reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedState {
    /// Start or continuation.
    Start,
    /// End.
    End,
    /// Single event.
    Once,
}

impl ReportedState {
    /// Reads `start`, `end` or `once`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "start" => Some(Self::Start),
            "end" => Some(Self::End),
            "once" => Some(Self::Once),
            _ => None,
        }
    }
}

/// Device as a report describes it, not yet compared with known devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// MAC address, if the report has a valid one.
    pub mac: Option<Mac>,
    /// Opaque identifier (sent by recorders in place of a MAC).
    pub device_id: Option<String>,
    /// Name the device reports of itself, at most 128 characters.
    pub name: Option<String>,
    /// IP address in the report.
    pub ip: Option<String>,
    /// Vendor that decoded it: `vigi`, `generic`.
    pub vendor: Cow<'static, str>,
    /// Camera or recorder; for a recorder, a `channel` makes the alarm one of that channel, none makes it one of the
    /// recorder itself.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's name for the channel, at most 128 characters.
    pub channel_name: Option<String>,
    /// Its model, at most 128 characters.
    pub model: Option<String>,
}

impl Reported {
    /// Returns whether the report says nothing about its device.
    #[must_use]
    pub fn is_unidentified(&self) -> bool {
        self.mac.is_none() && self.device_id.is_none() && self.name.is_none() && self.ip.is_none()
    }
}

/// A box around an object, as fractions of the picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BoundingBox {
    /// Left edge, 0 to 1.
    pub x: f64,
    /// Top edge, 0 to 1.
    pub y: f64,
    /// Width, 0 to 1.
    pub width: f64,
    /// Height, 0 to 1.
    pub height: f64,
}
