//! Recorded requests, byte for byte, sent to the running bridge; and the responses to requests that are not alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::mqtt_client::Received;
use crate::support::published::{assert_valid, report};
use crate::support::{Bridge, Camera, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually};

/// Every recorded request.
fn requests() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut requests: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    requests.sort();
    requests
}

/// Expected result of a request.
fn expected(request: &Path) -> Value {
    serde_json::from_slice(&fs::read(request.with_extension("json")).unwrap()).unwrap()
}

/// Events as `source/kind` by the id of their alarm, on both sinks.
struct Watch {
    mqtt: Subscriber,
    nats: NatsReader,
    seen: BTreeMap<String, Value>,
}

impl Watch {
    /// The event of an alarm on MQTT.
    async fn event(&mut self, id: &str) -> Value {
        while !self.seen.contains_key(id) {
            let event = self.mqtt.wait_for(SOON, |m: &Received| m.topic.contains("/event/")).await;
            let json = event.json();
            assert_valid("alarm", &json);
            let topic = format!(
                "alarmbus/{}/event/{}",
                json["source"].as_str().unwrap(),
                json["event"].as_str().unwrap()
            );
            assert_eq!(event.topic, topic);
            self.seen.insert(json["id"].as_str().unwrap().into(), json);
        }
        self.seen[id].clone()
    }

    /// Waits until NATS has an event for each of these alarms, and no other.
    async fn all_on_nats(&self, ids: &BTreeSet<String>) {
        eventually(SOON, "every event on NATS", async || {
            let mut stored = self.nats.stored("ALARMBUS").await;
            stored.retain(|stored| stored.subject.contains(".event."));
            let found: BTreeSet<String> = stored
                .iter()
                .filter_map(|stored| Some(stored.id.as_deref()?.strip_suffix(":event")?.to_owned()))
                .collect();
            (found == *ids && stored.len() == ids.len()).then_some(())
        })
        .await;
    }
}

/// A bridge with both sinks.
async fn started(config: &str) -> (Mosquitto, Nats, Bridge, Watch) {
    let (broker, nats) = (Mosquitto::start().await, Nats::start().await);
    let mqtt = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let config =
        format!("[mqtt]\nserver = \"{}\"\n[nats]\nservers = [\"{}\"]\n{config}", broker.url(), nats.url());
    let bridge = Bridge::start(&config).await;
    let watch = Watch { mqtt, nats: NatsReader::connect(&nats.url()).await, seen: BTreeMap::new() };
    (broker, nats, bridge, watch)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_send_becomes_the_right_events_on_both_sinks() {
    let (_broker, _nats, bridge, mut watch) = started("").await;
    let recorder = "8021ab00000000000000000000000000deadbeef";
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("vigi-legacy-json-motion-people", &[("021a2b3c4d5e", "motion"), ("021a2b3c4d5e", "person")]),
        ("vigi-enhanced-json-two-people", &[("021a2b3c4d5e", "person")]),
        ("vigi-legacy-multipart-motion", &[("02f0a7313e84", "motion")]),
        ("vigi-nvr-json-body", &[("-3", "")]),
        ("vigi-nvr-multipart-picture", &[("-2", "")]),
        (
            "vigi-nvr-device-exceptions",
            &[("", "disk_full"), ("", "poe_port_overload"), ("", "alarm_input"), ("", "raid_degraded")],
        ),
    ];
    let mut ids = BTreeSet::new();
    for (name, events) in cases {
        let request = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wire/{name}.http"));
        let wanted = expected(&request);
        let answer = bridge.camera().file(&request).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let given = answer.json()["ids"].as_array().unwrap().clone();
        assert_eq!(given.len(), events.len(), "{name}");
        let mut kinds = Vec::new();
        for (id, (source, kind)) in given.iter().zip(*events) {
            let id = id.as_str().unwrap();
            let event = watch.event(id).await;
            let of_recorder = name.contains("nvr");
            let source = if of_recorder { format!("{recorder}{source}") } else { (*source).to_owned() };
            assert_eq!(event["source"], source, "{name}");
            assert!(kind.is_empty() || event["event"] == *kind, "{name}: {event:#}");
            assert_eq!(
                event["snapshot"].is_null(),
                wanted["pictures"].as_array().unwrap().is_empty(),
                "{name}"
            );
            kinds.push(event["event"].clone());
            ids.insert(id.to_owned());
        }
        let wanted: Vec<Value> =
            wanted["alarms"].as_array().unwrap().iter().map(|a| a["event"].clone()).collect();
        assert_eq!(kinds, wanted, "{name}");
    }
    watch.all_on_nats(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recorded_request_is_lost_or_harms_the_bridge() {
    let (_broker, _nats, bridge, mut watch) = started("[limits]\nbody_seconds = 5\n").await;
    let mut ids = BTreeSet::new();
    for request in requests() {
        let name = request.file_stem().unwrap().to_string_lossy().into_owned();
        let wanted = expected(&request);
        // Results that depend on settings of the webhook or on a limit differ in this bridge.
        let plain = ["hints", "bound", "skipped"].iter().all(|key| wanted[*key].is_null());
        let Some(answer) = bridge.camera().file_to_its_end(&request).await else {
            panic!("{name}: no answer");
        };
        assert!(answer.status < 500, "{name}: {answer:?}");
        let json = answer.json();
        let given: Vec<String> =
            json["ids"].as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect();
        if plain {
            let alarms = wanted["alarms"].as_array().map_or(0, Vec::len);
            assert_eq!(given.len(), alarms, "{name}: {answer:?}");
            assert_eq!(
                answer.status == 200,
                wanted["error"].is_null() || name.contains("body"),
                "{name}: {answer:?}"
            );
        }
        for id in &given {
            watch.event(id).await;
        }
        ids.extend(given);
    }
    assert!(ids.len() > 100, "only {} alarms", ids.len());
    let answer = bridge.camera().json(&report("PEOPLE")).await;
    assert_eq!(answer.status, 200, "it goes on");
    let log = bridge.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_no_secret(&bridge);
}

/// Checks that the secret part of the path is printed on standard output for the user (after `URL`), and never
/// logged.
fn assert_no_secret(bridge: &Bridge) {
    let path = bridge.camera().path;
    let secret = path.rsplit('/').next().unwrap();
    assert!(secret.len() >= 20, "{path}");
    let log = bridge.log();
    let leaks: Vec<&str> =
        log.lines().filter(|line| line.contains(secret) && !line.trim_start().starts_with("URL ")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// Waits for the only warning about a bad request.
async fn one_line(bridge: &Bridge, code: &str) -> String {
    let finding = format!("finding.code=\"{code}\"");
    let line = eventually(SOON, code, async || {
        bridge.log().lines().find(|line| line.contains(&finding)).map(str::to_owned)
    })
    .await;
    let count = bridge.log().lines().filter(|line| line.contains(&finding)).count();
    assert_eq!(count, 1, "{code} is said once:\n{}", bridge.log());
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_and_logged_once_without_the_secret() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let garbage = camera.raw(&camera.request("application/json", b"GIF89a\x01\x00\xff\xfe")).await;
    assert_eq!(garbage.status, 400, "{garbage:?}");
    assert_eq!(garbage.json()["status"], 400);
    assert_eq!(garbage.body.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    let line = one_line(&bridge, "not_understood").await;
    assert!(line.contains("GIF89a"), "{line}");

    let stranger = |path: &str| Camera { path: path.into(), ..camera.clone() };
    let wrong = stranger("/alarm/0123456789abcdef0123456789abcdef").json(&report("PEOPLE")).await;
    one_line(&bridge, "wrong_path").await;
    let other = stranger("/").get().await;
    let dated = |answer: &crate::support::camera::Answer| -> String {
        let lines = answer.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!((wrong.status, &wrong.body), (404, &other.body));
    assert_eq!(dated(&wrong), dated(&other));

    assert_eq!(camera.get().await.status, 200);
    let page = String::from_utf8(camera.get().await.body).unwrap();
    assert!(page.contains("<html"), "{page}");
    let empty = camera.raw(&camera.request("application/json", b"")).await;
    assert_eq!((empty.status, &empty.json()["alarms"]), (200, &0.into()));
    let delete =
        format!("DELETE {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", camera.path, camera.authority);
    let refused = camera.raw(delete.as_bytes()).await;
    assert_eq!((refused.status, &refused.body), (404, &wrong.body), "nobody learns which paths there are");
    let none =
        r#"{"ip":"192.0.2.1","mac":"98-ba-5f-8b-10-03","protocol":"HTTP","device_name":"x","event_list":[]}"#;
    let none = camera.raw(&camera.request("application/json", none.as_bytes())).await;
    assert_eq!((none.status, &none.json()["ids"]), (200, &serde_json::json!([])));
    camera.test_button().await;
    assert_no_secret(&bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_found_however_they_are_spelled() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let host = camera.authority.clone();
    for target in [
        format!("{}?a=b", camera.path),
        format!("/{}", camera.path),
        camera.path.trim_start_matches('/').to_owned(),
        format!("http://{host}{}", camera.path),
    ] {
        let body = report("PEOPLE").to_string();
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = camera.raw(request.as_bytes()).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
    }
}
