//! Drafts of requests that nobody knows, and what they decode to.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Draft, Role};
use crate::config::mapping::read;
use crate::decode::{Body, BodyEnd, Decoded, Hints, decode};

fn body(bytes: &str, content_type: &str) -> Body {
    Body {
        bytes: bytes.to_owned().into(),
        content_type: Some(content_type.into()),
        end: BodyEnd::Complete,
        skipped: 0,
        coding: None,
    }
}

/// The draft of a body, and what the body decodes to with it.
fn tried(draft: &Draft, body: &Body) -> Decoded {
    let text = draft.toml();
    let (mapping, warnings) =
        read(Path::new("draft.toml"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    // A word that nobody knows is a kind of its own, which is only warned of.
    assert!(warnings.iter().all(|warning| warning.text.contains("not a kind alarmbus knows")), "{text}");
    let hints = Hints { vendor: "auto".into(), mappings: vec![Arc::new(mapping)], ..Hints::default() };
    decode(body, &hints).unwrap()
}

fn drafted(body: &Body) -> Draft {
    Draft::of(body, &Hints::default()).unwrap()
}

#[test]
fn an_unknown_json_report_is_understood_by_its_draft() {
    let came = json!({"event": {"type": "HumanDetected", "at": 1_795_864_805, "time": "2026-11-28 12:20:05", "score": 0.9},
        "camera": {"serial": "SN-1", "name": "Gate", "channel": 0}, "token": "hunter2", "image": format!("/9j/{}", "A".repeat(400))});
    let body = body(&came.to_string(), "application/json");
    let draft = drafted(&body);
    let text = draft.toml();
    assert!(!text.contains("hunter2"), "{text}");
    let decoded = tried(&draft, &body);
    let alarm = &decoded.alarms[0];
    assert_eq!((alarm.event.as_str(), alarm.event_raw.as_str()), ("person", "HumanDetected"), "{text}");
    assert_eq!(alarm.time_raw.as_deref(), Some("2026-11-28 12:20:05"));
    assert_eq!(
        (alarm.device.device_id.as_deref(), alarm.device.name.as_deref()),
        (Some("SN-1"), Some("Gate"))
    );
    assert_eq!((alarm.device.channel, &alarm.details["confidence"]), (Some(1), &json!(0.9)));
    assert_eq!((decoded.pictures.len(), alarm.device.vendor.as_ref()), (1, "mine"));
}

#[test]
fn lists_forms_and_xml_are_drafted_too() {
    let list = json!({"site": "s", "sentAt": "2026-11-28T12:20:05Z", "alerts": [
        {"kind": "smoke", "cam": "c1"}, {"kind": "car seen", "cam": "c2"}]});
    let list = body(&list.to_string(), "application/json");
    let decoded = tried(&drafted(&list), &list);
    let seen: Vec<_> =
        decoded.alarms.iter().map(|it| (it.event.as_str(), it.device.device_id.as_deref())).collect();
    assert_eq!(seen, [("smoke", Some("c1")), ("car_seen", Some("c2"))]);
    assert_eq!(decoded.alarms[1].time_raw.as_deref(), Some("2026-11-28T12:20:05Z"));

    let form = body("uid=K1&alarm_kind=move&trigger=move", "application/x-www-form-urlencoded");
    assert_eq!(tried(&drafted(&form), &form).alarms[0].device.device_id.as_deref(), Some("K1"));

    let xml =
        body("<Push><Device id=\"7\">Yard</Device><Alarm><Type>Smoke</Type></Alarm></Push>", "text/xml");
    assert_eq!(tried(&drafted(&xml), &xml).alarms[0].event.as_str(), "smoke");
}

#[test]
fn a_person_says_what_a_value_is() {
    let body = body(r#"{"what":"zz9","who":"front","x":{"y":"77"}}"#, "application/json");
    let mut draft = drafted(&body);
    draft.set("/what", &Role::Kind);
    draft.set("/who", &Role::Id);
    draft.set("/x/y", &Role::Detail("door"));
    draft.kinds = vec![("zz9".into(), "doorbell".into())];
    draft.name = "acme".into();
    let decoded = tried(&draft, &body);
    let alarm = &decoded.alarms[0];
    assert_eq!((alarm.event.as_str(), alarm.device.device_id.as_deref()), ("doorbell", Some("front")));
    assert_eq!(Value::from(alarm.details.clone()), json!({"door": 77}));
    draft.set("/who", &Role::Kind);
    assert_eq!(draft.kinds, [("front".to_owned(), "front".to_owned())]);
}

#[test]
fn hostile_keys_and_values_make_no_other_file() {
    let came = json!({"ev\"ent\n[x]": "a", "event": "x\"\n[device]\nmac=1", "~/": {"/": "\u{7f}\u{0}b"}});
    let body = body(&came.to_string(), "application/json");
    let decoded = tried(&drafted(&body), &body);
    assert_eq!(decoded.alarms[0].event_raw, "x\"\n[device]\nmac=1");
}
