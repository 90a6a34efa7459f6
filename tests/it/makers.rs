//! Makers with a mapping file, against the running bridge: responses, details, signs of life.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::published::assert_valid;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name)
}

async fn started() -> (Mosquitto, Subscriber, Bridge) {
    let broker = Mosquitto::start().await;
    let subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let bridge =
        Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url()))
            .await;
    (broker, subscriber, bridge)
}

#[tokio::test]
async fn a_device_gets_the_answer_it_waits_for() {
    let (_broker, _subscriber, bridge) = started().await;
    for (name, body) in [
        ("uniview/motion.http", json!({"ResponseCode": 0})),
        ("dahua/itsapi-plate.http", json!({"Result": true})),
    ] {
        let answer = bridge.camera().file(sample(name)).await;
        assert_eq!((answer.status, answer.json()), (200, body), "{name}");
    }
}

#[tokio::test]
async fn signs_of_life_and_tests_are_no_alarms_and_plates_have_details() {
    let (_broker, mut subscriber, bridge) = started().await;
    for name in
        ["hikvision/heartbeat.http", "hikvision/field-heartbeat-json.http", "reolink/field-test-button.http"]
    {
        let answer = bridge.camera().file(sample(name)).await;
        assert_eq!((answer.status, &answer.json()["alarms"]), (200, &json!(0)), "{name}");
    }
    assert_eq!(bridge.camera().file(sample("hikvision/plate.http")).await.status, 200);
    // The first event is the plate's: those before it made none.
    let event = subscriber.wait_for(SOON, |message| message.topic.contains("/event/")).await;
    assert_eq!(event.topic, "alarmbus/02005e100103/event/license_plate");
    let event = event.json();
    assert_valid("alarm", &event);
    assert_eq!(
        (&event["details"]["plate"], &event["details"]["confidence"]),
        (&json!("AB12CDE"), &json!(97))
    );
    assert_eq!(event["phase"], "once");
}

#[tokio::test]
async fn a_query_is_an_alarm_or_a_finding_and_never_nothing() {
    let (_broker, mut subscriber, bridge) = started().await;
    let base = bridge.ready("/webhooks/0").to_owned();
    let path = base.strip_prefix(bridge.ingest()).expect("the webhook is at the listener").to_owned();
    let send = async |method: &str, query: &str| {
        let request = format!(
            "{method} {path}?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        bridge.camera().raw(request.as_bytes()).await
    };
    for (method, camera) in [("GET", "yard"), ("POST", "gate")] {
        assert_eq!(send(method, &format!("camera={camera}&event=motion_start")).await.status, 200);
        let event = subscriber.wait_for(SOON, |message| message.topic.contains("/event/")).await;
        assert_eq!(event.topic, format!("alarmbus/{camera}/event/motion"));
    }
    for method in ["GET", "POST"] {
        assert_eq!(send(method, "colour=blue").await.status, 200);
    }
    let findings = get(bridge.admin(), "/api/v1/findings", &[]).await.json();
    let found =
        findings["findings"].as_array().unwrap().iter().find(|of| of["code"] == "query_not_understood");
    assert_eq!(found.map(|of| of["count"].clone()), Some(json!(2)), "{findings}");
    let page = get(bridge.ingest(), &format!("{path}?colour=blue"), &["Accept: text/html"]).await;
    assert!(page.text().contains("This URL is right"));
}

#[tokio::test]
async fn a_secret_in_a_body_is_published_nowhere() {
    let (_broker, mut subscriber, bridge) = started().await;
    assert_eq!(bridge.camera().file(sample("meraki/motion.http")).await.status, 200);
    let event = subscriber.wait_for(SOON, |message| message.topic.contains("/event/motion")).await;
    assert!(event.text().contains("networkName") && !event.text().contains("sample-not-to-be-published"));
}

/// Sends JSON to the first webhook; returns the number of alarms in the answer.
async fn taken(bridge: &Bridge, body: &Value) -> u64 {
    let before = alarms(bridge).await;
    assert_eq!(bridge.camera().json(body).await.status, 200);
    alarms(bridge).await - before
}

/// Number of alarms committed so far.
async fn alarms(bridge: &Bridge) -> u64 {
    let metrics = get(bridge.admin(), "/metrics", &[]).await.text();
    let counts = metrics.lines().filter(|line| line.starts_with("alarmbus_alarms_total{"));
    counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn what_a_device_sends_more_than_once_is_one_alarm() {
    let (_broker, _subscriber, bridge) = started().await;
    let press = |code: &str, action: &str| json!({"Code": code, "Action": action, "Index": 0, "Data": {"SN": "DOOR1", "Action": "Invite", "State": 1}});
    assert_eq!(taken(&bridge, &press("_DoTalkAction_", "Pulse")).await, 1);
    for (code, action) in
        [("CallNoAnswered", "Start"), ("BackKeyLight", "Pulse"), ("DoorbellPressed", "Pulse")]
    {
        assert_eq!(taken(&bridge, &press(code, action)).await, 0, "{code}");
    }
    let plate = sample("dahua/itsapi-plate.http");
    let before = alarms(&bridge).await;
    for _ in 0..3 {
        assert_eq!(bridge.camera().file(&plate).await.json(), json!({"Result": true}));
    }
    assert_eq!(alarms(&bridge).await - before, 1);
}

#[tokio::test]
async fn an_alarm_and_what_was_seen_in_it_are_one_event_with_a_picture() {
    let (broker, _, bridge) = started().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let mut alarm = json!({"Reference": "192.0.2.70:80/LAPI/x", "AlarmInfo": {"AlarmType": "LineDetectorCrossed",
        "TimeStamp": 1_795_864_805, "AlarmSrcID": 1, "AlarmSrcType": 8, "RelatedID": "rk1SAMPLE0000001"}});
    let mut next = async |part: &'static str| {
        subscriber.wait_for(SOON, move |message| message.topic.contains(part)).await.json()
    };
    assert_eq!(taken(&bridge, &alarm).await, 1);
    let first = next("/event/").await;
    assert!(first["phase"] == "start" && first["snapshot"].is_null(), "{first}");
    for _ in 0..2 {
        let answer = bridge.camera().file(sample("uniview/structure-line.http")).await;
        assert_eq!(answer.json(), json!({"ResponseCode": 0}));
    }
    assert_eq!(taken(&bridge, &alarm).await, 0);
    let picture = next("/snapshot_info/line_crossing").await;
    assert_eq!(picture["activity_id"], first["activity_id"]);
    assert!(picture["snapshot"]["sha256"].is_string(), "{picture}");
    alarm["AlarmInfo"]["RelatedID"] = json!("another");
    assert_eq!(taken(&bridge, &alarm).await, 1);
    let second = next("/event/").await;
    assert!(second["snapshot"].is_null(), "only the picture of the first was published: {second}");
}

#[tokio::test]
async fn what_is_sent_again_after_an_outage_begins_no_activity() {
    let (_broker, mut subscriber, bridge) = started().await;
    assert_eq!(bridge.camera().file(sample("hikvision/retransmission.http")).await.status, 200);
    let event = subscriber.wait_for(SOON, |message| message.topic.contains("/event/")).await.json();
    assert_eq!((&event["phase"], &event["details"]["late"]), (&json!("once"), &json!(true)));
    assert!(event["activity_id"].is_null(), "{event}");
    assert_eq!(event["time"], "2026-11-28T12:20:05+01:00");
}

#[tokio::test]
async fn a_header_of_a_request_is_an_alarm_where_a_mapping_reads_it() {
    let makers = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/makers");
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let config = format!(
        "[mqtt]\nserver = \"{}\"\n[[webhooks]]\npath = \"/alarm/s3cr3t-of-porch\"\nmapping = {:?}\n",
        broker.url(),
        makers.join("wyze.toml")
    );
    let bridge = Bridge::start(&config).await;
    assert_eq!(bridge.camera().file(makers.join("samples/wyze-motion.http")).await.status, 200);
    let event = subscriber.wait_for(SOON, |message| message.topic.contains("/event/motion")).await.json();
    assert_eq!(event["details"]["message"], "Motion detected on Porch");
}
