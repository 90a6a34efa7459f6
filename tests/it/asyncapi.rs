//! The AsyncAPI document holds for what is really published, on MQTT and on NATS; and the attributes of CloudEvents.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::mqtt_client::Received;
use crate::support::published::{CAMERA, jpeg, report};
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually};

/// Topics, states and pictures of every sort, soon over.
const EVERYTHING: &str = "[snapshots]\neach = true\n[activity]\nhold_seconds = 1\n";

/// The schema of a message, with the components that it refers to.
fn schema_of(document: &Value, message: &str) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [document["components"]["messages"][message]["payload"]],
        "components": {"schemas": document["components"]["schemas"]},
    })
}

/// Returns whether a topic fits an address with parameters, level by level.
fn fits(address: &str, topic: &str, separator: char) -> bool {
    let (wanted, found): (Vec<&str>, Vec<&str>) =
        (address.split(separator).collect(), topic.split(separator).collect());
    let level = |(wanted, found): (&&str, &&str)| match wanted.split_once('{') {
        None => wanted == found,
        Some((before, _)) => found.starts_with(before) && before.len() < found.len(),
    };
    wanted.len() == found.len() && wanted.iter().zip(&found).all(level)
}

/// Holds one message against the document. Returns the channel it belongs to.
#[track_caller]
fn hold(document: &Value, server: &str, topic: &str, kind: Option<&str>, payload: &[u8]) -> String {
    let separator = if server == "mqtt" { '/' } else { '.' };
    let channels = document["channels"].as_object().unwrap();
    let fitting: Vec<_> = channels
        .iter()
        .filter(|(id, channel)| {
            id.starts_with(server) && fits(channel["address"].as_str().unwrap(), topic, separator)
        })
        .collect();
    // `alarmbus/bridge/state` also has the form of a device's topic; no device has this name.
    let bridge = |(id, _): &&(&String, &Value)| id.contains("_bridge_");
    let (id, channel) =
        fitting.iter().find(bridge).or(fitting.first()).unwrap_or_else(|| panic!("no channel for {topic}"));
    let name = channel["messages"].as_object().unwrap().keys().next().unwrap();
    let message = &document["components"]["messages"][name];
    if let Some(kind) = kind {
        assert_eq!(message["contentType"], kind, "{topic}");
    }
    let value = match message["contentType"].as_str().unwrap() {
        "application/json" => {
            serde_json::from_slice(payload).unwrap_or_else(|error| panic!("{topic}: {error}"))
        }
        "text/plain" => Value::from(std::str::from_utf8(payload).unwrap()),
        _ => Value::from("bytes"),
    };
    let schema = jsonschema::validator_for(&schema_of(document, name)).expect("the schema is one");
    let mistakes: Vec<String> =
        schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(mistakes.is_empty(), "{topic} is no valid {name}: {mistakes:#?}\n{value:#}");
    (*id).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_on_mqtt_is_described() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let config = format!(
        "instance = \"north\"\n[mqtt]\nserver = \"{}\"\nbase_topic = \"house/cams\"\npictures = [\"small\", \"boxes\"]\n{EVERYTHING}",
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    let document = bridge.api("/asyncapi.json").await;
    bridge.camera().multipart(&report("PEOPLE"), &jpeg(1)).await;
    let state = format!("house/cams/{CAMERA}/state/person");
    let off = all.wait_for(SOON, |message| message.topic == state && message.text() == "OFF").await;
    // The event waits until Home Assistant can have subscribed; the end of the activity comes last.
    let event = all.topic(&format!("house/cams/{CAMERA}/event/person")).await;
    let end = |message: &Received| message.topic.contains("/activity/") && message.json()["phase"] == "end";
    let end = all.wait_for(SOON, end).await;
    let token = all.topic("house/cams/bridge-north/token").await;
    let health = all.topic("house/cams/bridge-north/health").await;
    let mut seen = all.drain();
    seen.extend([off, event, end, token, health]);
    let mut channels = BTreeSet::new();
    for message in seen.iter().filter(|message| !message.payload.is_empty()) {
        let kind = message.content_type.as_deref();
        channels.insert(hold(&document, "mqtt", &message.topic, kind, &message.payload));
    }
    let missing: Vec<&String> = document["channels"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|id| id.starts_with("mqtt_") && !channels.contains(*id))
        .collect();
    assert_eq!(missing, ["mqtt_mute_set", "mqtt_response", "mqtt_request"], "each other channel was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_on_nats_is_described_and_is_a_cloud_event_by_setting() {
    let nats = Nats::start().await;
    let config = format!(
        "[nats]\nservers = [\"{}\"]\ncloudevents = true\npictures = [\"small\", \"boxes\"]\n{EVERYTHING}",
        nats.url()
    );
    let bridge = Bridge::start(&config).await;
    let document = bridge.api("/asyncapi.json").await;
    let answer = bridge.camera().multipart(&report("PEOPLE"), &jpeg(1)).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let reader = NatsReader::connect(&nats.url()).await;
    let log = eventually(SOON, "three pictures, event, start and end", async || {
        async_nats::jetstream::new(reader.client().clone()).get_stream("ALARMBUS").await.ok()?;
        let stored = reader.stored("ALARMBUS").await;
        (stored.len() == 6).then_some(stored)
    })
    .await;
    for stored in log.iter().chain(&reader.stored("ALARMBUS_LAST").await) {
        hold(&document, "nats", &stored.subject, None, &stored.payload);
    }
    let headers = |subject: &str| {
        let stored = log.iter().rev().find(|stored| stored.subject.contains(subject)).unwrap();
        stored.headers.clone()
    };
    let of = |headers: &async_nats::HeaderMap, name: &str| headers.get(name).unwrap().as_str().to_owned();
    let event = headers(".event.");
    assert_eq!(of(&event, "ce-specversion"), "1.0");
    assert_eq!((of(&event, "ce-id"), of(&event, "id")), (id.clone(), id.clone()));
    assert_eq!(
        (of(&event, "ce-type"), of(&event, "ce-source")),
        ("alarmbus.alarm".into(), "/alarmbus/bridge".into())
    );
    assert_eq!(of(&event, "ce-subject"), format!("alarmbus/{CAMERA}/event/person"));
    assert_eq!(of(&headers(".picture."), "ce-id"), format!("{id}/picture"));
    assert_eq!(of(&headers(".activity."), "ce-type"), "alarmbus.activity.end");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_messages_on_mqtt_are_cloud_events_by_setting_only() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = |lines: &str| format!("[mqtt]\nserver = \"{}\"\n{lines}", broker.url());
    let mut bridge = Bridge::start(&config("")).await;
    let topic = format!("alarmbus/{CAMERA}/event/person");
    bridge.camera().json(&report("PEOPLE")).await;
    let plain = all.topic(&topic).await;
    let names: Vec<&str> = plain.user_properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "event", "time"]);

    bridge.configure(&config("cloudevents = true\n"));
    bridge.restart().await;
    let answer = bridge.camera().json(&report("PEOPLE")).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let event = all.wait_for(SOON, |m| m.topic == topic && m.property("id") == Some(&id)).await;
    let names: Vec<&str> = event.user_properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["specversion", "id", "source", "type", "subject", "time", "event"]);
    assert_eq!(event.property("specversion"), Some("1.0"));
    assert_eq!(event.property("type"), Some("alarmbus.alarm"));
    assert_eq!(event.property("source"), Some("/alarmbus/bridge"));
    assert_eq!(event.property("subject"), Some(topic.as_str()));
    assert_eq!(event.property("time"), event.json()["time"].as_str());
    assert_eq!(event.content_type.as_deref(), Some("application/json"), "it is the datacontenttype");
}

#[test]
fn the_document_is_valid_asyncapi() {
    let read = |path: &str| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let (schema, document) = (read("tests/asyncapi/asyncapi-3.0.0.schema.json"), read("docs/asyncapi.json"));
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let mistakes: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}
