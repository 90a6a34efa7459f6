//! VIGI cameras, and recorders that use the cameras' formats: legacy (14-digit time, a list of types) and enhanced (one
//! type per entry, boxes).

use serde_json::Value;

use super::Vendor;
use super::alarms::{Alarms, blank_alarm, unknown_camera};
use super::boxes::objects;
use super::channel::channel;
use super::fields::{Fields, items, member};
use super::names;
use crate::decode::report::{PictureKey, Report};
use crate::model::{Alarm, Reported};

/// Keys of an envelope; alone they are a report without events.
const ENVELOPE: [&str; 8] =
    ["ip", "mac", "protocol", "device_name", "device_id", "dev_id", "dev_name", "event_list"];

/// The camera formats.
#[derive(Debug)]
pub(crate) struct Vigi;

impl Vendor for Vigi {
    fn name(&self) -> &'static str {
        "vigi"
    }

    /// Recognises `event_list`, an envelope alone, or an entry merged into the envelope.
    fn recognises(&self, document: &Value) -> bool {
        let has = |key| member(document, key).is_some();
        let envelope_alone = || {
            document.as_object().is_some_and(|map| {
                map.keys().all(|key| ENVELOPE.iter().any(|known| key.eq_ignore_ascii_case(known)))
            })
        };
        has("event_list") || has("event_type") && has("mac") || envelope_alone()
    }

    fn decode(&self, document: &Value, report: &Report, alarms: &mut Alarms) {
        let mut envelope = Fields::without(document, "event_list");
        let device = device(&mut envelope);
        if let Some(list) = member(document, "event_list") {
            for item in items(list) {
                entry(item, &envelope, &device, report, alarms);
            }
        } else if member(document, "event_type").is_some() {
            let all = Value::Object(std::mem::take(&mut envelope).rest());
            entry(&all, &envelope, &device, report, alarms);
        }
    }
}

/// Reads the device from the envelope, and removes fields without meaning.
fn device(envelope: &mut Fields<'_>) -> Reported {
    // The protocol of the request is known already.
    envelope.take(&["protocol"]);
    Reported {
        mac: envelope.text(&["mac"]).and_then(|mac| mac.parse().ok()),
        device_id: envelope.name(&["device_id", "dev_id"]),
        name: envelope.name(&["device_name", "dev_name"]),
        ip: envelope.name(&["ip"]),
        ..unknown_camera("vigi")
    }
}

/// One entry of the list: an alarm for each of its types.
fn entry(item: &Value, envelope: &Fields<'_>, device: &Reported, report: &Report, alarms: &mut Alarms) {
    let number = alarms.entry();
    let types = match item {
        Value::Object(_) => member(item, "event_type"),
        bare => Some(bare),
    };
    alarms.add(names::all(types), || {
        let mut fields = if item.is_object() { Fields::of(item) } else { Fields::default() };
        fields.take(&["event_type"]);
        let time = fields.name(&["dateTime"]);
        let mut found = fields.take(&["extra_text"]).as_deref().map(objects).unwrap_or_default();
        if !found.rest.is_empty() {
            fields.put("extra_text", std::mem::take(&mut found.rest).into());
        }
        // A camera that names no channel has only one.
        let channel = channel(&mut fields, &["camera", "channel"]).or(Some(1));
        let count = fields.number(&["obj_num"]).or(found.count);
        let key = PictureKey { image: None, time: time.as_deref(), entry: number };
        let picture = report.picture_of(&key);
        let (extra, cut) = envelope.extra(&fields);
        Alarm {
            time_raw: time,
            count,
            regions: found.regions,
            boxes: found.boxes,
            picture,
            extra,
            truncated: cut || found.truncated,
            ..blank_alarm(Reported { channel, ..device.clone() })
        }
    });
}
