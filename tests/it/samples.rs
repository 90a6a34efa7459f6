//! Every recorded request sent to the running bridge: MQTT and NATS receive what was decoded, and no request answered
//! 200 is lost, even if it was changed on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use alarmbus::decode::{DecodeError, Decoded};
use alarmbus::model::device::identity::identify;
use alarmbus::model::{Alarm, DeviceKind, ReportedState};
use serde_json::{Value, json};

use crate::support::camera::Answer;
use crate::support::published::assert_valid;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually};
use crate::wire::{GIVEN, decoded, requests};

mod mutations;

/// Limits that are not reached by many requests of one peer.
const LIMITS: &str = "[homeassistant]\nenabled = false\n[limits]\nstrangers_per_second = 1000000\n";

/// A recorded request.
struct Sample {
    name: String,
    bytes: Vec<u8>,
}

/// The recorded requests to a webhook without settings of its own.
fn samples() -> Vec<Sample> {
    let plain = |path: &Path| {
        let expected = fs::read(path.with_extension("json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        GIVEN.iter().all(|key| expected[key].is_null())
    };
    let sample = |path: &Path| Sample {
        name: path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string(),
        bytes: fs::read(path).unwrap(),
    };
    requests().iter().filter(|path| plain(path)).map(|path| sample(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_published_on_mqtt_and_nats_as_it_was_decoded() {
    let (broker, nats) = (Mosquitto::start().await, Nats::start().await);
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let (server, servers) = (broker.url(), nats.url());
    let sinks = format!("[mqtt]\nserver = \"{server}\"\n[nats]\nservers = [\"{servers}\"]\n{LIMITS}");
    let bridge = Bridge::start(&sinks).await;
    let mut published = BTreeMap::new();
    for sample in samples() {
        let name = &sample.name;
        let seen = findings(&bridge).await;
        let answer = bridge.camera().to_its_end(&sample.bytes).await;
        let answer = answer.unwrap_or_else(|| panic!("{name}: no answer"));
        let decoded = decoded(&sample.bytes);
        assert_eq!(answer.status, status(&decoded), "{name}: {answer:?}");
        // An empty body is a sign of life of the device with this address.
        if matches!(decoded, Err(DecodeError::Empty)) {
            continue;
        }
        let Ok(decoded) = decoded else {
            assert_ne!(findings(&bridge).await, seen, "{name}: no finding");
            continue;
        };
        if let Some(wanted) = &decoded.answer {
            assert_eq!(String::from_utf8_lossy(&answer.body), wanted.body, "{name}");
        }
        let mut wanted: Vec<&Alarm> = decoded.alarms.iter().filter(|alarm| !is_end(alarm)).collect();
        while !wanted.is_empty() {
            let event = events.wait_for(SOON, |message| message.topic.contains("/event/")).await;
            let event = event.json();
            assert_valid("alarm", &event);
            let same = wanted.iter().position(|alarm| differs(alarm, &decoded, &event).is_none());
            let Some(same) = same else {
                panic!(
                    "{name}: {event} is none of {:?}",
                    wanted.iter().map(|alarm| differs(alarm, &decoded, &event)).collect::<Vec<_>>()
                );
            };
            wanted.remove(same);
            published.insert(event["id"].as_str().unwrap().to_owned(), event);
        }
        let told = !decoded.alarms.is_empty() || !decoded.signs.is_empty();
        assert!(told || findings(&bridge).await != seen, "{name} vanished");
    }
    assert!(published.len() > 150, "only {} events", published.len());
    same_on_nats(&nats, &published).await;
}

/// Compares the events of the stream with those received by MQTT.
async fn same_on_nats(nats: &Nats, published: &BTreeMap<String, Value>) {
    let reader = NatsReader::connect(&nats.url()).await;
    eventually(SOON, "every event on NATS", async || {
        let stored = reader.stored("ALARMBUS").await;
        let events = stored.iter().filter(|message| message.subject.contains(".event."));
        let events: BTreeMap<String, Value> = events
            .map(|message| {
                let event: Value = serde_json::from_slice(&message.payload).unwrap();
                (event["id"].as_str().unwrap().to_owned(), event)
            })
            .collect();
        let same = |(id, one): (&String, &Value)| {
            let other = events.get(id).unwrap_or(&Value::Null);
            ["event", "source", "details", "time", "seq", "phase"].iter().all(|key| one[key] == other[key])
        };
        (events.len() == published.len() && published.iter().all(same)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_changed_sample_is_answered_200_and_vanishes() {
    let broker = Mosquitto::start().await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n{LIMITS}", broker.url())).await;
    let (mut sent, mut silent) = (0, Vec::new());
    for sample in samples() {
        for (how, bytes) in mutations::of(&sample.bytes) {
            sent += 1;
            let Some(answer) = bridge.camera().to_its_end(&bytes).await else { continue };
            assert!(answer.status < 500, "{} {how}: {answer:?}", sample.name);
            if answer.status != 200
                || tells(&answer)
                || decoded(&bytes).is_ok_and(|it| !it.signs.is_empty() || !it.alarms.is_empty())
            {
                continue;
            }
            let seen = findings(&bridge).await;
            bridge.camera().to_its_end(&bytes).await;
            if findings(&bridge).await == seen {
                silent.push(format!("{} {how}: {}", sample.name, String::from_utf8_lossy(&answer.body)));
            }
        }
    }
    assert!(sent > 1_000, "only {sent} requests");
    assert!(silent.is_empty(), "{} of {sent} vanished:\n{}", silent.len(), silent.join("\n"));
}

/// Returns whether an answer reports alarms.
fn tells(answer: &Answer) -> bool {
    serde_json::from_slice(&answer.body).is_ok_and(|body: Value| body["alarms"].as_u64() > Some(0))
}

/// Status of the response to a result.
fn status(decoded: &Result<Decoded, DecodeError>) -> u16 {
    match decoded {
        Ok(_) | Err(DecodeError::Empty) => 200,
        Err(DecodeError::NotUnderstood(_)) => 400,
        Err(DecodeError::Truncated(_)) => 408,
        Err(DecodeError::TooLarge(_)) => 413,
    }
}

fn is_end(alarm: &Alarm) -> bool {
    alarm.state == Some(ReportedState::End)
}

/// Differences between an event and its alarm.
fn differs(alarm: &Alarm, decoded: &Decoded, event: &Value) -> Option<String> {
    let source = identify(&alarm.device, [127, 0, 0, 1].into(), |_| None).source;
    let channel = alarm.device.channel_name.as_ref().filter(|_| alarm.device.channel.is_some());
    // A channel of a recorder keeps the name of an earlier report, which is not the recorder's.
    let of_channel = alarm.device.kind == DeviceKind::Recorder && alarm.device.channel.is_some();
    let name = channel.or(alarm.device.name.as_ref().filter(|_| !of_channel));
    let picture = alarm.picture.and_then(|index| decoded.pictures.get(index)?.sha256.clone());
    let boxes: Vec<Value> = alarm
        .boxes
        .iter()
        .map(|it| json!({"x": it.x, "y": it.y, "width": it.width, "height": it.height}))
        .collect();
    let wanted = [
        ("/event", json!(alarm.event)),
        ("/event_raw", json!(alarm.event_raw)),
        ("/source", json!(source)),
        ("/device/name", json!(name)),
        ("/details", json!(alarm.details)),
        ("/regions", json!(alarm.regions)),
        ("/boxes", json!(boxes)),
        ("/snapshot/sha256", json!(picture)),
    ];
    wanted.into_iter().find_map(|(at, value)| {
        let found = event.pointer(at).unwrap_or(&Value::Null);
        let blank = |value: &Value| [json!(null), json!([]), json!({})].contains(value);
        // The bridge gives a name where the report has none, and adds the channel.
        let named = |value: &str| found.as_str().is_some_and(|name| name.starts_with(value));
        let free = at == "/device/name" && value.as_str().is_none_or(named);
        (!free && *found != value && !(blank(found) && blank(&value)))
            .then(|| format!("{at}: {value} is {found}"))
    })
}

/// Number of findings raised so far.
async fn findings(bridge: &Bridge) -> u64 {
    let all = get(bridge.admin(), "/api/v1/findings", &[]).await.json();
    all["findings"].as_array().unwrap().iter().filter_map(|of| of["count"].as_u64()).sum()
}
