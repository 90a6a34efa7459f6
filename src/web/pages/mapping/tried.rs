//! Result of a request with a draft.

use crate::decode::{Decoded, Sign};
use crate::model::{Alarm, Reported};
use crate::web::texts::{fill, tr, tr_any};

/// Result of a request.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Error, if there is no result.
    pub(super) error: Option<String>,
    /// Alarms of the result.
    pub(super) alarms: Vec<TriedAlarm>,
    /// Signs of life and tests, as text.
    pub(super) signs: Vec<String>,
}

/// An alarm, as text.
#[derive(Debug)]
pub(super) struct TriedAlarm {
    pub(super) title: String,
    pub(super) event: String,
    /// Its properties, each with a name.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl Tried {
    /// Result with an error only.
    pub(super) fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Result of decoding.
    pub(super) fn new(decoded: &Decoded) -> Self {
        let alarms = decoded.alarms.iter().map(|alarm| TriedAlarm::new(alarm, decoded)).collect();
        Self { error: None, alarms, signs: decoded.signs.iter().map(sign).collect() }
    }
}

impl TriedAlarm {
    fn new(alarm: &Alarm, decoded: &Decoded) -> Self {
        let device = &alarm.device;
        let picture = alarm.picture.and_then(|index| decoded.pictures.get(index));
        let mut facts = vec![(tr("Device"), device_text(device))];
        facts.extend(device.name.clone().map(|name| (tr("Name"), name)));
        facts.extend(device.channel.map(|channel| (tr("Channel"), channel.to_string())));
        facts.push((
            tr("Time"),
            alarm.time_raw.clone().unwrap_or_else(|| tr("none: the time of receipt counts").into()),
        ));
        facts.push((
            tr("Picture"),
            picture.map_or_else(|| tr("none").into(), |picture| fill("{} bytes", picture.bytes)),
        ));
        facts.extend(alarm.count.map(|count| (tr("Number"), count.to_string())));
        if !alarm.details.is_empty() {
            facts.push((tr("Details"), serde_json::Value::from(alarm.details.clone()).to_string()));
        }
        Self { title: tr_any(&alarm.event.title()), event: alarm.event.to_string(), facts }
    }
}

/// Identity of a device as text.
fn device_text(device: &Reported) -> String {
    let mac = device.mac.map(|mac| mac.to_string());
    mac.or_else(|| device.device_id.clone())
        .or_else(|| device.ip.clone())
        .unwrap_or_else(|| tr("not said: the address of the sender counts").into())
}

/// A sign of life or test as text.
fn sign(sign: &Sign) -> String {
    let device = device_text(&sign.device);
    match sign.test {
        true => fill("A test of {}: no alarm.", device),
        false => fill("A sign of life of {}: no alarm.", device),
    }
}
