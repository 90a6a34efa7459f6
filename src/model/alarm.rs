//! A decoded alarm: one event type of one entry of a report, before it is committed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DeviceKind, EventName, Mac};

/// One event type of one entry of a report, as a vendor decoded it.
///
/// It knows nothing yet of its identifier, its sequence number, its activity or its resolved time: those come
/// with the commit and make it an [`AlarmRecord`](super::AlarmRecord).
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The canonical kind.
    pub event: EventName,
    /// The kind as the device named it, at most 128 characters.
    pub event_raw: String,
    /// What the report says of the device.
    pub device: Reported,
    /// The device's own time, as it wrote it.
    pub time_raw: Option<String>,
    /// Number of objects, where the device counts them.
    pub count: Option<u32>,
    /// Region numbers of the rule that fired.
    pub regions: Vec<u32>,
    /// Boxes around the objects.
    pub boxes: Vec<BoundingBox>,
    /// Which picture of the report belongs to it.
    pub picture: Option<usize>,
    /// Fields of the entry that no other field holds.
    pub extra: Map<String, Value>,
    /// Something was cut to stay within the bounds.
    pub truncated: bool,
}

/// What a report says of its device, unchecked against anything known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The MAC address, if the report has one that is an address.
    pub mac: Option<Mac>,
    /// An opaque identifier (recorders send one in place of a MAC).
    pub device_id: Option<String>,
    /// The device's name for itself, at most 128 characters.
    pub name: Option<String>,
    /// The address the report claims to come from.
    pub ip: Option<String>,
    /// The vendor that decoded it: `vigi`, `generic`.
    pub vendor: &'static str,
    /// Camera; or recorder: then a `channel` makes the alarm one of that channel, none one of the box.
    pub kind: DeviceKind,
    /// The channel, counted from 1.
    pub channel: Option<u32>,
    /// The recorder's name for the channel, at most 128 characters.
    pub channel_name: Option<String>,
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
