//! Dividing and reading messages.

use serde_json::json;

use super::*;

fn device(mac: &str) -> Value {
    let mac = if mac.is_empty() { Value::Null } else { mac.into() };
    json!({"mac": mac, "device_id": null, "name": null, "ip": null, "vendor": "generic", "kind": "camera",
        "channel": null, "channel_name": null})
}

fn input(heard: &[Value], alarms: &[Value]) -> Input {
    let report = json!({"id": Uuid::now_v7(), "received_at": "2026-11-28T13:30:00Z", "webhook": "default",
        "peer": "10.0.0.7", "zone": null, "alarms": alarms, "heard": heard, "pictures": []});
    Input::read(json!({"v": 1, "by": "a", "report": report}).to_string().as_bytes()).unwrap()
}

#[test]
fn a_sign_of_life_without_identity_goes_to_the_partitions_of_its_address() {
    let heard = [device(""), device("02-00-00-00-00-01")];
    let of = |reported: Reported, _| if reported.mac.is_some() { 5 } else { 7 };
    let heard_by = |known: &[u64]| {
        let parts = input(&heard, &[]).by_partition(of, |_| known.iter().copied().collect());
        parts.into_iter().map(|(k, part)| (k, part.report.unwrap().heard.len())).collect::<Vec<_>>()
    };
    assert_eq!(heard_by(&[2, 5]), [(2, 1), (5, 2)]);
    assert_eq!(heard_by(&[]), [(5, 1), (7, 1)], "nobody is known there");
}

#[test]
fn a_message_of_a_newer_version_is_not_taken_for_an_old_one() {
    let newer = json!({"v": 2, "by": "b", "do": {"Remove": "020000000001"}});
    assert!(Input::read(newer.to_string().as_bytes()).unwrap_err().contains("b wrote it in version 2"));
    for text in ["", "null", r#"{"v": 1, "by": "b"}"#, r#"{"by": "b", "do": {}}"#] {
        assert!(Input::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn no_part_is_larger_than_a_message() {
    let alarm = |bytes: usize| {
        json!({"id": Uuid::now_v7(), "event": "person", "event_raw": "PEOPLE", "device": device(""), "time_raw": null,
            "count": null, "regions": [], "boxes": [], "picture": null, "details": {}, "state": null,
            "extra": {"a": "short", "b": "x".repeat(bytes)}, "truncated": false})
    };
    let parts = input(&[], &[alarm(100), alarm(900_000), alarm(100_000), alarm(200_000)]).parts();
    let sizes: Vec<usize> = parts.iter().map(|part| serde_json::to_vec(part).unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= MAX_MESSAGE_BYTES), "{sizes:?}");
    let alarms: Vec<AlarmMessage> = parts.into_iter().flat_map(|part| part.report.unwrap().alarms).collect();
    let cut: Vec<bool> = alarms.iter().map(|alarm| alarm.truncated).collect();
    assert_eq!(cut, [false, true, false, false]);
    assert_eq!(alarms[1].extra.len(), 1, "fields that fit stay");
}
