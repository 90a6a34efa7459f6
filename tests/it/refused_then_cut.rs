//! A broker that refuses a message and ends the connection because of it: all permitted messages are delivered.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cutting_broker::{Cut, CuttingBroker};
use crate::support::mosquitto::Settings;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

/// Maximum time until all permitted messages are delivered.
const FLOWS_ON: Duration = Duration::from_secs(10);
/// Number of cameras.
const SOURCES: u8 = 30;

fn report(source: u8, kinds: &[&str]) -> Value {
    json!({"ip": "192.0.2.9", "mac": format!("02-00-00-00-00-{source:02X}"), "device_name": "Yard",
        "event_list": [{"dateTime": "20261005150501", "event_type": kinds}]})
}

/// Sends alarms of all cameras, several times; returns the ids of the last event of each.
async fn send(bridge: &Bridge, kinds: &[&str], times: usize) -> Vec<String> {
    let (camera, mut ids) = (bridge.camera(), Vec::new());
    for _ in 0..times {
        for source in 0..SOURCES {
            let answer = camera.json(&report(source, kinds)).await;
            assert_eq!(answer.status, 200);
            let all = answer.json()["ids"].as_array().expect("a list").clone();
            ids.push(all.last().and_then(Value::as_str).expect("an id").to_owned());
        }
    }
    ids
}

fn config(url: &str) -> String {
    format!("[mqtt]\nserver = \"{url}\"\n")
}

/// Number of these events that a broker has.
fn arrived(broker: &CuttingBroker, ids: &[String]) -> usize {
    let seen = broker.seen().accepted;
    let events = seen.iter().filter(|(topic, _)| topic.contains("/event/"));
    let have: std::collections::HashSet<String> = events
        .filter_map(|(_, payload)| {
            serde_json::from_slice::<Value>(payload).ok()?["id"].as_str().map(str::to_owned)
        })
        .collect();
    ids.iter().filter(|id| have.contains(*id)).count()
}

/// The status of the sink.
async fn sink(bridge: &Bridge) -> Value {
    let url = format!("{}/api/v1/sinks", bridge.admin());
    crate::support::Camera::new(&url).get().await.json()["sinks"][0].clone()
}

/// The findings by code: their details.
async fn findings(bridge: &Bridge) -> Vec<(String, String)> {
    let url = format!("{}/api/v1/findings", bridge.admin());
    let all = crate::support::Camera::new(&url).get().await.json();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let list = all["findings"].as_array().expect("a list");
    list.iter().map(|finding| (text(finding, "code"), text(finding, "detail"))).collect()
}

async fn all_arrive(broker: &CuttingBroker, ids: &[String]) {
    let what = format!("{} permitted events", ids.len());
    eventually(FLOWS_ON, &what, async || (arrived(broker, ids) == ids.len()).then_some(())).await;
}

/// Waits until the backlog is empty, and checks that no finding blames the network.
async fn settles(bridge: &Bridge, code: &str, topic: &str) {
    eventually(SOON, "an empty backlog", async || {
        let sink = sink(bridge).await;
        (sink["backlog"] == 0 && sink["connected"] == true).then_some(())
    })
    .await;
    let (code, topic) = (code.to_owned(), topic.to_owned());
    eventually(SOON, "the finding, and no other", async || {
        let findings = findings(bridge).await;
        let named = findings.iter().any(|(found, detail)| *found == code && detail.contains(&topic));
        (named && findings.iter().all(|(found, _)| found != "broker_unreachable")).then_some(())
    })
    .await;
}

async fn forbidden_values(cut: Cut) {
    let broker = CuttingBroker::start(cut, |topic, _| topic.ends_with("/last")).await;
    let bridge = Bridge::start(&config(&broker.url())).await;
    let ids = send(&bridge, &["PEOPLE"], 3).await;
    all_arrive(&broker, &ids).await;
    settles(&bridge, "value_refused", "/last").await;
    assert_eq!(sink(&bridge).await["parked"], 0, "no log message was refused");
}

async fn forbidden_events(cut: Cut) {
    let broker = CuttingBroker::start(cut, |topic, _| topic.ends_with("/event/motion")).await;
    let bridge = Bridge::start(&config(&broker.url())).await;
    let ids = send(&bridge, &["MOTION", "PEOPLE"], 3).await;
    all_arrive(&broker, &ids).await;
    settles(&bridge, "parked", "/event/motion").await;
    assert_eq!(sink(&bridge).await["parked"], 3 * u64::from(SOURCES));
}

#[tokio::test]
async fn values_refused_by_puback_then_cut() {
    forbidden_values(Cut::Puback).await;
}

#[tokio::test]
async fn values_refused_by_disconnect() {
    forbidden_values(Cut::Disconnect).await;
}

#[tokio::test]
async fn values_refused_by_a_bare_close() {
    forbidden_values(Cut::Close).await;
}

#[tokio::test]
async fn events_refused_by_puback_then_cut() {
    forbidden_events(Cut::Puback).await;
}

#[tokio::test]
async fn events_refused_by_disconnect() {
    forbidden_events(Cut::Disconnect).await;
}

#[tokio::test]
async fn events_refused_by_a_bare_close() {
    forbidden_events(Cut::Close).await;
}

#[tokio::test]
async fn discovery_documents_and_topics_of_the_bridge_refused_then_cut() {
    for cut in [Cut::Puback, Cut::Disconnect] {
        let refuses =
            |topic: &str, _: &[u8]| topic.starts_with("homeassistant/") || topic.contains("/bridge/");
        let broker = CuttingBroker::start(cut, refuses).await;
        let bridge = Bridge::start(&config(&broker.url())).await;
        let ids = send(&bridge, &["PEOPLE"], 2).await;
        all_arrive(&broker, &ids).await;
    }
}

#[tokio::test]
async fn the_emptying_of_topics_refused_then_cut() {
    for cut in [Cut::Puback, Cut::Disconnect, Cut::Close] {
        let broker = CuttingBroker::start(cut, |_, payload| payload.is_empty()).await;
        let mut bridge = Bridge::start(&config(&broker.url())).await;
        let ids = send(&bridge, &["PEOPLE"], 1).await;
        all_arrive(&broker, &ids).await;
        bridge.terminate().await;
        bridge.configure(&format!("{}base_topic = \"moved\"\n", config(&broker.url())));
        bridge.restart().await;
        let ids = send(&bridge, &["PEOPLE"], 2).await;
        all_arrive(&broker, &ids).await;
    }
}

/// A real broker with an access list; `max_queued_messages 0` makes it end the connection over a refused message.
async fn with_mosquitto(acl: &'static str, extra: &'static str, kinds: &[&str]) -> Bridge {
    let broker =
        Mosquitto::with(Settings { acl: Some(acl), extra, quiet: true, ..Settings::default() }).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let bridge = Bridge::start(&config(&broker.url())).await;
    let mut missing: std::collections::HashSet<String> = send(&bridge, kinds, 3).await.into_iter().collect();
    eventually(FLOWS_ON, "the permitted events", async || {
        for message in subscriber.drain() {
            missing.remove(message.json()["id"].as_str().unwrap_or_default());
        }
        missing.is_empty().then_some(())
    })
    .await;
    eventually(SOON, "an empty backlog", async || (sink(&bridge).await["backlog"] == 0).then_some(())).await;
    bridge
}

const NO_VALUES: &str = "topic readwrite alarmbus/bridge/#\ntopic readwrite homeassistant/#\n\
    topic readwrite alarmbus/+/event/+\ntopic readwrite alarmbus/+/activity/+\ntopic read #\n";
const NO_MOTION: &str = "topic readwrite #\ntopic deny alarmbus/+/event/motion\n";

#[tokio::test]
async fn mosquitto_refuses_values() {
    with_mosquitto(NO_VALUES, "", &["PEOPLE"]).await;
}

#[tokio::test]
async fn mosquitto_refuses_values_and_cuts() {
    with_mosquitto(NO_VALUES, "max_queued_messages 0", &["PEOPLE"]).await;
}

#[tokio::test]
async fn mosquitto_refuses_a_kind_of_event() {
    let bridge = with_mosquitto(NO_MOTION, "", &["MOTION", "PEOPLE"]).await;
    assert_eq!(sink(&bridge).await["parked"], 3 * u64::from(SOURCES));
}

#[tokio::test]
async fn mosquitto_refuses_a_kind_of_event_and_cuts() {
    let bridge = with_mosquitto(NO_MOTION, "max_queued_messages 0", &["MOTION", "PEOPLE"]).await;
    assert_eq!(sink(&bridge).await["parked"], 3 * u64::from(SOURCES));
}
