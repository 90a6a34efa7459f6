//! Test vectors of the key, which every build must reproduce.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Keys, again, at_hour, canonical, key, of_text, partition};
use crate::decode::{self, Body, BodyEnd, Hints};
use crate::model::{Alarm, Source};

fn vectors() -> Value {
    serde_json::from_str(include_str!("keys.json")).unwrap()
}

fn list(name: &str) -> Vec<Value> {
    vectors()[name].as_array().unwrap().clone()
}

#[test]
fn the_text_and_the_identifier_of_every_vector() {
    for vector in list("keys") {
        let text = canonical(&vector["array"]);
        assert_eq!(text, vector["text"].as_str().unwrap(), "{}", vector["what"]);
        assert_eq!(of_text(&text).to_string(), vector["id"].as_str().unwrap(), "{}", vector["what"]);
    }
}

#[test]
fn the_partition_of_every_vector() {
    for vector in list("partitions") {
        let source = Source::from_known(vector["source"].as_str().unwrap()).unwrap();
        assert_eq!(
            partition(&source, vector["of"].as_u64().unwrap()),
            vector["k"].as_u64().unwrap(),
            "{vector}"
        );
    }
}

#[test]
fn the_identifier_of_an_alarm_that_only_looks_like_another() {
    for vector in list("again") {
        let id: Uuid = vector["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            at_hour(id, vector["hour"].as_u64().unwrap()).to_string(),
            vector["new_id"].as_str().unwrap()
        );
        let first = Timestamp::from_second(497_000 * 3_600).unwrap();
        assert_eq!(again(id, first, first + SignedDuration::from_mins(30)), None);
        assert!(again(id, first, first + SignedDuration::from_mins(31)).is_some());
    }
}

/// An alarm of a camera, received a few seconds after it happened.
fn alarm(time: &str, picture_name: &str) -> (Alarm, Timestamp) {
    let json = json!({"device_name": picture_name, "ip": "192.168.0.60", "mac": "98-BA-5F-8B-10-03", "event_list": [
        {"dateTime": time, "event_type": "PEOPLE", "extra_text": [{"obj_num": 2, "region_id": [1]}]}]});
    let body = Body {
        bytes: json.to_string().into(),
        content_type: Some("application/json".into()),
        end: BodyEnd::Complete,
        skipped: 0,
        coding: None,
    };
    let hints = Hints { vendor: "auto".into(), alarms_per_report: 9, ..Hints::default() };
    let alarm = decode::decode(&body, &hints).unwrap().alarms.remove(0);
    (alarm, "2026-10-05T08:25:33Z".parse().unwrap())
}

#[test]
fn what_the_device_sent_decides_and_not_how_it_names_itself() {
    let (one, at) = alarm("2026-10-05 16:25:31", "Door");
    let (other, _) = alarm("2026-10-05 16:25:31", "Gate");
    assert!(key(&one, at, 0).is_some_and(|id| id.get_version_num() == 8), "{one:?}");
    assert_eq!(key(&one, at, 0), key(&other, at, 0));
    let (later, _) = alarm("2026-10-05 16:25:32", "Door");
    assert_ne!(key(&one, at, 0), key(&later, at, 0));
}

#[test]
fn without_a_time_of_its_own_an_alarm_has_no_key() {
    for time in ["", "2026-10-05 16:25", "2020-01-01 00:00:07"] {
        let (one, at) = alarm(time, "Door");
        assert_eq!(key(&one, at, 0), None, "{time}");
    }
}

#[test]
fn equal_alarms_of_one_instance_are_told_apart_for_ten_minutes() {
    let (one, at) = alarm("2026-10-05 16:25:31", "Door");
    let keys = Keys::default();
    let pair = keys.of_report(&[one.clone(), one.clone()], at);
    assert!(pair[0].is_some() && pair[0] != pair[1]);
    assert_eq!(Keys::default().of_report(&[one.clone(), one.clone()], at), pair, "the same everywhere");
    let later = keys.of_report(&[one], at + SignedDuration::from_mins(11));
    assert_eq!(later[0], pair[0]);
}
