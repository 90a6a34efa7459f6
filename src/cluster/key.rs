//! Idempotency key: two instances that get the same alarm give it the same identifier.
//!
//! The identifier is a UUIDv8 made of the first 16 bytes of SHA-256 over a JSON array of what the device sent: its
//! identity, the kind, its own time, the objects. Parts that differ between receivers (picture, name, order of
//! fields) are left out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::model::time::clock;
use crate::model::{Alarm, Reported};
pub use crate::outbox::cluster::partition;

/// First element of every key: its version.
const VERSION: &str = "alarmbus-key-1";
/// Period in which equal alarms of one instance are numbered.
const NUMBERING_PERIOD: Duration = Duration::from_secs(600);
/// Maximum difference of device time, read as UTC, from receipt; past it the device's clock was never set.
const MAX_CLOCK_OFFSET: SignedDuration = SignedDuration::from_hours(15);
/// Maximum difference between two receipts of one key; past it they are two alarms, because the device's clock was
/// set back.
const MAX_RECEIPT_DISTANCE: SignedDuration = SignedDuration::from_mins(30);
/// Fields that a device fills differently for each receiver.
const FIELDS_PER_RECEIVER: [&str; 1] = ["activePostCount"];

/// Key of an alarm; `None` if nothing in it distinguishes it from other alarms of the device.
#[must_use]
pub fn key(alarm: &Alarm, received_at: Timestamp, number: u64) -> Option<Uuid> {
    let mut parts = parts(alarm, received_at)?;
    parts.push(number.into());
    Some(of_text(&canonical(&Value::Array(parts))))
}

/// The array without its last element.
fn parts(alarm: &Alarm, received_at: Timestamp) -> Option<Vec<Value>> {
    let who = identity_of(&alarm.device)?;
    let time_raw = alarm.time_raw.as_deref()?;
    let wall = clock::parse_wall(time_raw)?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    if MAX_CLOCK_OFFSET < wall.duration_since(received_at).abs() {
        return None;
    }
    let boxes: Vec<Value> = alarm
        .boxes
        .iter()
        .map(|of| [of.x, of.y, of.width, of.height].into_iter().map(millionths).collect())
        .collect();
    let mut extra: Map<String, Value> = alarm.details.clone();
    extra.extend(alarm.extra.clone());
    extra.retain(|name, _| !FIELDS_PER_RECEIVER.contains(&name.as_str()));
    Some(vec![
        VERSION.into(),
        who.into(),
        alarm.device.channel.into(),
        alarm.event_raw.as_str().into(),
        time_raw.into(),
        alarm.count.into(),
        json!(alarm.regions),
        Value::Array(boxes),
        Value::Object(extra),
    ])
}

/// Identity of the device that sent the report, as reported.
fn identity_of(device: &Reported) -> Option<String> {
    let mac = device.mac.map(|mac| format!("mac:{}", mac.hex()));
    let id = || device.device_id.as_ref().map(|id| format!("id:{id}"));
    let ip = || device.ip.as_ref().map(|ip| format!("ip:{ip}"));
    mac.or_else(id).or_else(ip)
}

/// A fraction in millionths, rounded.
fn millionths(fraction: f64) -> Value {
    let rounded = (fraction * 1e6).round().clamp(-1e12, 1e12);
    #[expect(clippy::cast_possible_truncation, reason = "clamped to what an i64 holds")]
    let number = rounded as i64;
    number.into()
}

/// JSON with the keys of objects in the order of their bytes.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            let field = |key: &String| {
                let value = map.get(key).map(canonical).unwrap_or_default();
                format!("{}:{value}", Value::from(key.as_str()))
            };
            format!("{{{}}}", keys.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

/// UUIDv8 of the first 16 bytes of SHA-256.
fn of_text(text: &str) -> Uuid {
    of_digest(Sha256::digest(text.as_bytes()).as_slice())
}

fn of_digest(digest: &[u8]) -> Uuid {
    let mut bytes = [0_u8; 16];
    for (byte, of) in bytes.iter_mut().zip(digest) {
        *byte = *of;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Identifier for an alarm whose key is taken by an alarm received at another time; `None` if it is the same alarm.
#[must_use]
pub fn again(id: Uuid, first: Timestamp, received_at: Timestamp) -> Option<Uuid> {
    (MAX_RECEIPT_DISTANCE < received_at.duration_since(first).abs())
        .then(|| at_hour(id, received_at.as_second().max(0).unsigned_abs() / 3_600))
}

fn at_hour(id: Uuid, hour: u64) -> Uuid {
    let digest = Sha256::new().chain_update(id.as_bytes()).chain_update(hour.to_be_bytes()).finalize();
    of_digest(digest.as_slice())
}

/// Identifier derived from another one: the same at every instance.
#[must_use]
pub fn derived(id: Uuid, what: &str) -> Uuid {
    let digest = Sha256::new().chain_update(id.as_bytes()).chain_update(what.as_bytes()).finalize();
    of_digest(digest.as_slice())
}

/// Numbers equal alarms of this instance, so that each has a key of its own.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<Uuid, VecDeque<Timestamp>>>);

impl Keys {
    /// Identifiers of the alarms of a report; `None` for alarms without a key.
    pub fn of_report(&self, alarms: &[Alarm], received_at: Timestamp) -> Vec<Option<Uuid>> {
        let mut seen = self.0.lock();
        let begin =
            SignedDuration::try_from(NUMBERING_PERIOD).ok().and_then(|by| received_at.checked_sub(by).ok());
        if 4_096 < seen.len() {
            seen.retain(|_, times| times.back().copied() >= begin);
        }
        let mut number = |alarm: &Alarm| {
            let first = key(alarm, received_at, 0)?;
            let times = seen.entry(first).or_default();
            while times.front().is_some_and(|time| Some(*time) < begin) {
                times.pop_front();
            }
            let before = u64::try_from(times.len()).unwrap_or(u64::MAX);
            times.push_back(received_at);
            key(alarm, received_at, before)
        };
        alarms.iter().map(&mut number).collect()
    }
}

#[cfg(test)]
mod tests;
