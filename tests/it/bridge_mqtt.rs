//! Alarms from the camera's bytes to MQTT, through the real binary and a real mosquitto.

use std::collections::BTreeSet;

use crate::support::mqtt_client::Received;
use crate::support::published::{CAMERA, assert_valid, jpeg, report, sha256};
use crate::support::{Bridge, Mosquitto, SOON, Subscriber};

/// The last level or two of a topic of the camera; `None` for others.
fn of_camera(message: &Received) -> Option<&str> {
    message.topic.strip_prefix("alarmbus/")?.strip_prefix(CAMERA)?.strip_prefix('/')
}

/// A broker, a subscriber to everything, and a bridge that publishes to the broker.
async fn started(config: &str) -> (Mosquitto, Subscriber, Bridge) {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n{config}", broker.url())).await;
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    (broker, all, bridge)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_alarm_is_on_every_topic_in_order() {
    let (_broker, mut all, bridge) = started("").await;
    let picture = jpeg(90);
    let answer = bridge.camera().multipart(&report("PEOPLE"), &picture).await;
    assert_eq!((answer.status, &answer.json()["alarms"]), (200, &1.into()), "{answer:?}");
    assert_eq!(answer.json()["durable"], true);

    let mut came = Vec::new();
    while !came.iter().any(|m| of_camera(m) == Some("event/person")) {
        came.push(all.wait_for(SOON, |_| true).await);
    }
    let order: Vec<&str> = came.iter().filter_map(of_camera).filter(|topic| *topic != "device").collect();
    let place = |topic: &str| {
        let at = order.iter().position(|one| *one == topic);
        at.unwrap_or_else(|| panic!("{topic} did not come before the event: {order:?}"))
    };
    for pair in [
        ["snapshot_info/person", "snapshot/person"],
        ["snapshot_info", "snapshot"],
        ["snapshot/person", "last"],
        ["snapshot", "last"],
        ["last", "state/person"],
        ["state/person", "event/person"],
        ["count/person", "event/person"],
    ] {
        assert!(place(pair[0]) < place(pair[1]), "{pair:?} in {order:?}");
    }
    let get = |topic: &str| came.iter().find(|m| of_camera(m) == Some(topic)).unwrap();
    for topic in ["snapshot/person", "snapshot"] {
        assert_eq!(sha256(&get(topic).payload), sha256(&picture), "{topic}");
        assert_eq!(get(topic).content_type.as_deref(), Some("image/jpeg"));
    }
    let event = get("event/person");
    let json = event.json();
    assert_valid("alarm", &json);
    for topic in ["last", "snapshot_info", "snapshot_info/person"] {
        assert_valid("alarm", &get(topic).json());
        assert_eq!(get(topic).json()["id"], json["id"], "{topic}");
    }
    assert_eq!(json["id"], answer.json()["ids"][0]);
    assert_eq!(
        (&json["phase"], &json["repeat"], &json["replayed"]),
        (&"start".into(), &0.into(), &false.into())
    );
    assert_eq!((&json["count"], &json["event_raw"]), (&2.into(), &"PEOPLE".into()));
    assert_eq!(json["snapshot"]["topic"], format!("alarmbus/{CAMERA}/snapshot/person"));
    assert_eq!(json["snapshot"]["sha256"], sha256(&picture));
    assert_eq!((&json["snapshot"]["width"], &json["snapshot"]["height"]), (&32.into(), &16.into()));
    assert_eq!(get("state/person").text(), "ON");
    assert_eq!(get("count/person").text(), "2");

    assert_eq!(event.content_type.as_deref(), Some("application/json"));
    assert_eq!(event.property("id"), json["id"].as_str());
    assert_eq!(event.property("event"), Some("person"));
    assert_eq!(event.property("time"), json["time"].as_str());

    let start = all.topic(&format!("alarmbus/{CAMERA}/activity/person")).await;
    assert_valid("activity", &start.json());
    assert_eq!(start.json()["phase"], "start");
    assert_eq!(start.json()["activity_id"], json["activity_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_goes_on_and_ends_once() {
    let (broker, mut all, bridge) = started("[activity]\nhold_seconds = 3\n").await;
    let camera = bridge.camera();
    camera.multipart(&report("PEOPLE"), &jpeg(1)).await;
    camera.json(&report("PEOPLE")).await;
    let topic = |name: &str| format!("alarmbus/{CAMERA}/{name}");
    let first = all.topic(&topic("event/person")).await.json();
    let second = all.topic(&topic("event/person")).await.json();
    assert_eq!((&second["phase"], &second["repeat"]), (&"update".into(), &1.into()));
    assert_eq!(second["activity_id"], first["activity_id"]);
    assert_eq!(second["seq"].as_u64(), first["seq"].as_u64().map(|seq| seq + 1));
    assert!(second["snapshot"].is_null(), "no picture came with the second");

    let state = topic("state/person");
    let off = all.wait_for(SOON, |m| m.topic == state && m.text() == "OFF").await;
    assert!(!off.retain, "it was sent live");
    let count = topic("count/person");
    all.wait_for(SOON, |m| m.topic == count && m.text() == "0").await;
    let activity = topic("activity/person");
    let end = all.wait_for(SOON, |m| m.topic == activity && m.json()["phase"] == "end").await.json();
    assert_valid("activity", &end);
    assert_eq!((&end["alarms"], &end["count_max"]), (&2.into(), &2.into()));
    assert_eq!(end["snapshot"]["sha256"], sha256(&jpeg(1)));
    assert_ne!(end["id"], end["activity_id"]);
    let ons = all.drain().into_iter().filter(|m| m.topic == state && m.text() == "ON").count();
    assert_eq!(ons, 1, "repeats change no state");

    // The broker retains current values, and no log messages.
    let mut late = Subscriber::connect(broker.port(), "#").await;
    late.topic("alarmbus/bridge/token").await;
    late.topic(&state).await;
    let expected: BTreeSet<String> = [
        "count/person",
        "snapshot/person",
        "snapshot",
        "snapshot_info/person",
        "snapshot_info",
        "last",
        "device",
    ]
    .into_iter()
    .map(topic)
    .chain(["state", "info", "health"].map(|name| format!("alarmbus/bridge/{name}")))
    .chain([format!("homeassistant/device/alarmbus_{CAMERA}/config")])
    .collect();
    let mut found = BTreeSet::new();
    while !expected.is_subset(&found) {
        let message = late.wait_for(SOON, |_| true).await;
        assert!(
            !message.topic.contains("/event/") && !message.topic.contains("/activity/"),
            "{}",
            message.topic
        );
        match message.topic.as_str() {
            "alarmbus/bridge/info" => assert_valid("bridge_info", &message.json()),
            "alarmbus/bridge/health" => assert_valid("bridge_health", &message.json()),
            other if other.ends_with("/device") => assert_valid("device", &message.json()),
            _ => {}
        }
        found.insert(message.topic);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_says_when_it_is_there_and_the_broker_when_it_is_not() {
    let (_broker, mut all, mut bridge) = started("").await;
    let says =
        |word: &'static str| move |m: &Received| m.topic == "alarmbus/bridge/state" && m.text() == word;
    bridge.kill();
    all.wait_for(SOON, says("offline")).await;
    bridge.restart().await;
    all.wait_for(SOON, says("online")).await;
    assert!(bridge.terminate().await.success());
    all.wait_for(SOON, says("offline")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_have_no_state_and_several_kinds_come_in_order() {
    let (_broker, mut all, bridge) = started("").await;
    let report = serde_json::json!({
        "ip": "192.0.2.101", "mac": "98-ba-5f-8b-10-03", "protocol": "HTTP", "device_name": "Door",
        "event_list": [{"dateTime": "20261005150501", "event_type": ["PEOPLE", "DOORBELL", "MOTION"]}],
    });
    let answer = bridge.camera().json(&report).await;
    assert_eq!(answer.json()["alarms"], 3, "{answer:?}");
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let event = all.wait_for(SOON, |m| m.topic.contains("/event/")).await.json();
        kinds
            .push((event["event"].as_str().unwrap().to_owned(), event["phase"].as_str().unwrap().to_owned()));
    }
    let expected = [("motion", "start"), ("person", "start"), ("doorbell", "once")];
    assert_eq!(kinds, expected.map(|(kind, phase)| (kind.to_owned(), phase.to_owned())), "motion goes first");
    let states: Vec<_> = all.drain().into_iter().filter(|m| m.topic.contains("/state/")).collect();
    assert_eq!(states.len(), 2, "{states:?}");
}
