//! VIGI recorders: numeric types, no MAC address. The numbers are from the Open API document of the recorder.

use serde_json::Value;

use super::Vendor;
use super::alarms::{Alarms, blank_alarm, unknown_camera};
use super::channel::channel;
use super::fields::{Fields, cut, items, member, number, text};
use super::names::{self, Named};
use crate::decode::report::{PictureKey, Report};
use crate::model::{Alarm, DeviceKind, EventName, Reported};

/// Type, sub-type, slug. An empty slug is not an alarm, such as a timer or the push of an I-frame.
const NUMBERS: &[(u32, u32, &str)] = &[
    (1, 1, ""),
    (1, 2, "motion"),
    (1, 3, "tamper"),
    (1, 4, "line_crossing"),
    (1, 5, "intrusion"),
    (1, 6, "region_entrance"),
    (1, 7, "region_exit"),
    (1, 8, "loitering"),
    (1, 9, "crowd"),
    (1, 10, "fast_motion"),
    (1, 11, "parking"),
    (1, 12, "object_left"),
    (1, 13, "object_removed"),
    (1, 14, "audio_anomaly"),
    (1, 15, "defocus"),
    (1, 16, "scene_change"),
    (1, 17, "face"),
    (1, 18, "alarm_signal"),
    (1, 19, "video_loss"),
    (1, 20, "video_message"),
    (1, 21, "person"),
    (1, 22, "vehicle"),
    (1, 23, "object_left_or_removed"),
    (1, 24, "doorbell"),
    (1, 25, "baby_cry"),
    (1, 26, "emergency_call"),
    (1, 36, ""),
    (2, 1, "sd_card_missing"),
    (2, 2, "sd_card_full"),
    (2, 3, "disk_missing"),
    (2, 4, "disk_full"),
    (2, 5, "device_offline"),
    (2, 6, "sd_card_error"),
    (2, 7, "disk_error"),
    (2, 8, "login_error"),
    (2, 9, "poe_port_short"),
    (2, 10, "poe_port_overload"),
    (2, 11, "poe_overheat"),
    (2, 12, "poe_overload"),
    (2, 13, "alarm_input"),
    (2, 14, "fan_fault"),
    (2, 15, "ip_conflict"),
    (2, 17, "disk_disabled"),
    (7, 1, "raid_offline"),
    (7, 2, "raid_degraded"),
    (7, 3, "raid_disk_fault"),
    (7, 4, "raid_spare_fault"),
    (7, 5, "raid_missing"),
    (7, 6, "raid_full"),
    (7, 7, "raid_no_disk"),
    (7, 8, "raid_disk_password_error"),
];

/// The recorder format.
#[derive(Debug)]
pub(crate) struct VigiNvr;

impl Vendor for VigiNvr {
    fn name(&self) -> &'static str {
        "vigi_nvr"
    }

    fn recognises(&self, document: &Value) -> bool {
        member(document, "messages").is_some()
    }

    fn decode(&self, document: &Value, report: &Report, alarms: &mut Alarms) {
        let mut envelope = Fields::without(document, "messages");
        let device = Reported {
            mac: envelope.text(&["mac"]).and_then(|mac| mac.parse().ok()),
            device_id: envelope.name(&["device_id", "dev_id"]),
            name: envelope.text(&["device_name", "dev_name"]).map(|name| cut(&unescaped(name))),
            ip: envelope.name(&["ip"]),
            kind: DeviceKind::Recorder,
            ..unknown_camera("vigi")
        };
        envelope.take(&["protocol"]);
        for message in member(document, "messages").into_iter().flat_map(items) {
            one(message, &envelope, &device, report, alarms);
        }
    }
}

/// One message: an alarm for each sub-type.
fn one(message: &Value, envelope: &Fields<'_>, device: &Reported, report: &Report, alarms: &mut Alarms) {
    let entry = alarms.entry();
    alarms.add(kinds(message), || {
        let mut fields = Fields::of(message);
        fields.take(&["type"]);
        fields.take(&["sub_type"]);
        let time = fields.name(&["localtime", "local_time", "dateTime"]);
        let channel = channel(&mut fields, &["channel"]);
        let channel_name = fields.text(&["channel_name"]).map(|name| cut(&unescaped(name)));
        let image = fields.number(&["imgId", "img_id"]);
        let picture = report.picture_of(&PictureKey { image, time: time.as_deref(), entry });
        let (extra, truncated) = envelope.extra(&fields);
        Alarm {
            time_raw: time,
            picture,
            extra,
            truncated,
            ..blank_alarm(Reported { channel, channel_name, ..device.clone() })
        }
    });
}

/// Kinds of a message, each once; empty when none of its numbers is an alarm.
fn kinds(message: &Value) -> Vec<Named> {
    let kind = member(message, "type");
    let subs = member(message, "sub_type").unwrap_or(&Value::Null);
    let mut flat = Vec::new();
    flatten(subs, &mut flat);
    let mut seen = std::collections::HashSet::new();
    let mut named: Vec<Named> = if flat.is_empty() {
        vec![numbered(kind, &Value::Null)].into_iter().flatten().collect()
    } else {
        flat.into_iter().filter_map(|sub| numbered(kind, sub)).collect()
    };
    named.retain(|named| seen.insert(named.event.clone()));
    named
}

/// The values in a list, or in lists in it.
fn flatten<'v>(value: &'v Value, flat: &mut Vec<&'v Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| flatten(item, flat)),
        Value::Null => {}
        single => flat.push(single),
    }
}

/// The kind of a pair of numbers: from the table, or `nvr_<type>_<sub-type>`. A name in place of the sub-type is
/// read as a camera's.
fn numbered(kind: Option<&Value>, sub: &Value) -> Option<Named> {
    let known = kind.and_then(number).zip(number(sub)).and_then(|pair| {
        NUMBERS.iter().find(|(kind, sub, _)| (*kind, *sub) == pair).map(|(_, _, slug)| *slug)
    });
    let word = |value: &Value| text(value).map_or_else(|| "?".to_owned(), |text| cut(&text));
    let (kind, sub_text) = (kind.map_or_else(|| "?".to_owned(), word), word(sub));
    let raw = cut(&format!("{kind}/{sub_text}"));
    let is_name = sub_text.starts_with(|character: char| character.is_ascii_alphabetic());
    let event = match known {
        Some("") => return None,
        Some(slug) => EventName::new(slug),
        None if is_name => names::event(&sub_text),
        None if kind == "?" && sub_text == "?" => EventName::new("unknown"),
        None => EventName::new(&format!("nvr_{kind}_{sub_text}")),
    };
    Some(Named { event, raw })
}

/// Decodes a name when all of it is valid percent-encoding without a blank. The recorder's control interface encodes
/// every string this way; it is not known whether its pushes do.
fn unescaped(name: String) -> String {
    decoded(&name).unwrap_or(name)
}

/// The decoded name; `None` if it is not percent-encoded throughout.
fn decoded(name: &str) -> Option<String> {
    if !name.contains('%') || name.contains(char::is_whitespace) {
        return None;
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let mut byte = *first;
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            byte = u8::from_str_radix(digits, 16).ok()?;
            rest = tail;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{NUMBERS, kinds, unescaped};
    use crate::model::EventName;

    #[test]
    fn every_number_is_a_kind_with_a_title() {
        for (kind, sub, slug) in NUMBERS {
            assert!(slug.is_empty() || EventName::new(slug).kind().is_some(), "{kind}/{sub}");
        }
    }

    #[track_caller]
    fn check(message: &Value, expected: &[(&str, &str)]) {
        let found = kinds(message);
        let found: Vec<_> = found.iter().map(|named| (named.event.as_str(), named.raw.as_str())).collect();
        assert_eq!(found, expected, "{message}");
    }

    #[test]
    fn numbers_in_any_shape() {
        check(&json!({"type": 1, "sub_type": [2, 101]}), &[("motion", "1/2"), ("nvr_1_101", "1/101")]);
        check(&json!({"type": "1", "sub_type": "21"}), &[("person", "1/21")]);
        check(&json!({"type": 1, "sub_type": [[21], [21, 36]]}), &[("person", "1/21")]);
        check(&json!({"type": 1, "sub_type": [1, 36]}), &[]);
        check(&json!({"type": 9, "sub_type": -3}), &[("nvr_9_3", "9/-3")]);
        check(&json!({"type": 1, "sub_type": ["PEOPLE"]}), &[("person", "1/PEOPLE")]);
        check(&json!({"type": 2}), &[("nvr_2", "2/?")]);
        check(&json!("odd"), &[("unknown", "?/?")]);
    }

    #[test]
    fn names_are_decoded_only_when_wholly_encoded() {
        for (name, expected) in [
            ("Front%20door", "Front door"),
            ("%E5%89%8D%E9%97%A8", "前门"),
            ("100% door", "100% door"),
            ("100%", "100%"),
            ("a%zz", "a%zz"),
            ("%ff", "%ff"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(unescaped(name.to_owned()), expected);
        }
    }
}
