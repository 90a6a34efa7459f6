//! Activities during faults between start and end: one start, one end, no state ON permanently, and the same phase on
//! every sink.

use std::time::Duration;

use serde_json::Value;

use crate::support::alarms::{report, send, source};
use crate::support::mqtt_client::Received;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually};

fn config(broker: &Mosquitto, hold: u64, more: &str) -> String {
    format!(
        "[mqtt]\nserver = \"{}\"\n[activity]\nhold_seconds = {hold}\n[homeassistant]\nenabled = false\n{more}",
        broker.url()
    )
}

fn state(camera: u8) -> String {
    format!("alarmbus/{}/state/person", source(camera))
}

/// Waits until the state of a camera changes to this.
async fn turns(subscriber: &mut Subscriber, camera: u8, to: &str) {
    let topic = state(camera);
    subscriber.wait_for(SOON, |message| message.topic == topic && message.text() == to).await;
}

/// Start and end records of a camera among messages, each identifier once: phase and whether it was replayed.
fn records(messages: &[Received], camera: u8) -> Vec<(String, Value)> {
    let topic = format!("alarmbus/{}/activity/person", source(camera));
    let mut seen = std::collections::HashSet::new();
    let of_it = messages.iter().filter(|message| message.topic == topic).map(Received::json);
    let once = of_it.filter(|record| seen.insert(record["id"].to_string()));
    once.map(|record| (record["phase"].as_str().unwrap_or_default().to_owned(), record)).collect()
}

#[track_caller]
fn one_start_and_one_end(messages: &[Received], camera: u8) -> Value {
    let records = records(messages, camera);
    let phases: Vec<&str> = records.iter().map(|(phase, _)| phase.as_str()).collect();
    assert_eq!(phases, ["start", "end"], "{records:?}");
    let (start, end) = (&records[0].1, &records[1].1);
    assert_eq!(start["activity_id"], end["activity_id"]);
    end.clone()
}

/// Pushes one event of a Hikvision camera.
async fn hikvision(bridge: &Bridge, event: &str, state: &str) {
    let body = format!(
        "<EventNotificationAlert version=\"2.0\"><macAddress>02:00:5e:10:01:02</macAddress><channelID>1</channelID>\
         <eventType>{event}</eventType><eventState>{state}</eventState></EventNotificationAlert>"
    );
    let camera = bridge.camera();
    let answer = camera.raw(&camera.request("application/xml", body.as_bytes())).await;
    assert_eq!(answer.status, 200);
}

/// An end reported by a device ends the activity at once; a second end, or one without a start, has no effect.
#[tokio::test]
async fn an_end_from_a_device_ends_its_activity() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let bridge = Bridge::start(&config(&broker, 600, "")).await;
    hikvision(&bridge, "linedetection", "inactive").await;
    hikvision(&bridge, "VMD", "active").await;
    hikvision(&bridge, "VMD", "active").await;
    hikvision(&bridge, "VMD", "inactive").await;
    hikvision(&bridge, "VMD", "inactive").await;
    hikvision(&bridge, "fielddetection", "active").await;
    let mut all = Vec::new();
    eventually(SOON, "the alarm after the ends", async || {
        all.extend(subscriber.drain());
        all.iter().any(|message| message.topic.ends_with("/state/intrusion")).then_some(())
    })
    .await;
    let of = |end: &str| -> Vec<String> {
        let topic = format!("alarmbus/02005e100102/{end}");
        all.iter().filter(|message| message.topic == topic).map(|message| message.text().to_owned()).collect()
    };
    // Of a value only the newest is sent, so ON may be replaced before it is sent.
    assert_eq!(of("state/motion").last().map(String::as_str), Some("OFF"));
    assert_eq!((of("event/motion").len(), of("event/line_crossing").len()), (2, 0));
    let phases: Vec<Value> = of("activity/motion")
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).unwrap()["phase"].clone())
        .collect();
    assert_eq!(phases, ["start", "end"]);
    // The end of the line crossing had no start; the second end of the motion is a repeat.
    let found = get(bridge.admin(), "/api/v1/findings", &[]).await.json();
    let found: Vec<&Value> =
        found["findings"].as_array().unwrap().iter().filter(|of| of["code"] == "end_without_start").collect();
    assert_eq!((found.len(), &found[0]["count"]), (1, &Value::from(1)));
    assert!(found[0]["detail"].as_str().unwrap().contains("line_crossing"), "{found:?}");
    let metrics = get(bridge.admin(), "/metrics", &[]).await.text();
    assert!(metrics.contains("alarmbus_ends_without_start_total 1\n"));
}

#[tokio::test]
async fn a_restart_inside_the_hold_goes_on_with_it() {
    for crash in [true, false] {
        let broker = Mosquitto::start().await;
        let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        let mut bridge = Bridge::start(&config(&broker, 20, "")).await;
        send(&bridge.camera(), 1, "PEOPLE", None).await;
        turns(&mut subscriber, 1, "ON").await;
        if crash {
            bridge.kill();
        } else {
            assert!(bridge.terminate().await.success());
        }
        bridge.configure(&config(&broker, 2, ""));
        bridge.restart().await;
        let again = send(&bridge.camera(), 1, "PEOPLE", None).await;
        let mut all = Vec::new();
        eventually(Duration::from_secs(40), "the end", async || {
            all.extend(subscriber.drain());
            records(&all, 1).iter().any(|(phase, _)| phase == "end").then_some(())
        })
        .await;
        let event = all.iter().filter(|m| m.topic.contains("/event/")).map(Received::json);
        let event = event.into_iter().find(|event| event["id"] == again.id).expect("the second alarm came");
        assert_eq!((event["phase"].as_str(), event["repeat"].as_u64()), (Some("update"), Some(1)));
        let states: Vec<String> =
            all.iter().filter(|m| m.topic == state(1)).map(|m| m.text().to_owned()).collect();
        assert_eq!(states.last().map(String::as_str), Some("OFF"), "{states:?}");
        let ends = records(&all, 1).iter().filter(|(phase, _)| phase == "end").count();
        assert_eq!(ends, 1, "crash: {crash}");
    }
}

#[tokio::test]
async fn a_restart_after_the_hold_ends_it_in_the_past() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let mut bridge = Bridge::start(&config(&broker, 3, "")).await;
    send(&bridge.camera(), 1, "PEOPLE", None).await;
    let mut all = Vec::new();
    eventually(SOON, "the start", async || {
        all.extend(subscriber.drain());
        (!records(&all, 1).is_empty()).then_some(())
    })
    .await;
    bridge.kill();
    let killed = tokio::time::Instant::now();
    eventually(SOON, "the hold to pass", async || (killed.elapsed().as_secs() >= 4).then_some(())).await;
    bridge.restart().await;
    eventually(SOON, "the end", async || {
        all.extend(subscriber.drain());
        records(&all, 1).iter().any(|(phase, _)| phase == "end").then_some(())
    })
    .await;
    let end = one_start_and_one_end(&all, 1);
    let time = |key: &str| end[key].as_str().unwrap_or_default().parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(time("ended").duration_since(time("started")).as_secs(), 3, "{end}");
    turns(&mut Subscriber::connect(broker.port(), &state(1)).await, 1, "OFF").await;
}

#[tokio::test]
async fn two_at_once_are_one_activity_and_the_same_on_every_sink() {
    let (broker, nats) = (Mosquitto::start().await, Nats::start().await);
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let more = format!("[nats]\nservers = [\"{}\"]\n[stdout]\nenabled = true\n", nats.url());
    let bridge = Bridge::start(&config(&broker, 2, &more)).await;
    let mut cameras = tokio::task::JoinSet::new();
    let together = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    for n in 0..8_u8 {
        let (camera, together) = (bridge.camera(), std::sync::Arc::clone(&together));
        cameras.spawn(async move {
            let bytes = camera.request("application/json", report(n / 2, "PEOPLE").to_string().as_bytes());
            together.wait().await;
            camera.raw(&bytes).await.status
        });
    }
    assert_eq!(cameras.join_all().await, [200; 8]);
    let mut all = Vec::new();
    eventually(SOON, "four ends", async || {
        all.extend(subscriber.drain());
        (0..4).all(|camera| records(&all, camera).len() == 2).then_some(())
    })
    .await;
    let events = |of: &dyn Fn(&Value)| {
        all.iter().filter(|m| m.topic.contains("/event/")).for_each(|message| of(&message.json()));
    };
    let phases = std::cell::RefCell::new(std::collections::BTreeMap::new());
    events(&|event| {
        phases.borrow_mut().insert(event["id"].to_string(), event["phase"].to_string());
    });
    let phases = phases.into_inner();
    assert_eq!(phases.values().filter(|phase| *phase == "\"start\"").count(), 4, "{phases:?}");
    assert_eq!(phases.values().filter(|phase| *phase == "\"update\"").count(), 4, "{phases:?}");
    for camera in 0..4 {
        one_start_and_one_end(&all, camera);
    }
    let reader = NatsReader::connect(&nats.url()).await;
    eventually(SOON, "the same at NATS", async || {
        let stored = reader.stored("ALARMBUS").await;
        let events = stored.iter().filter(|message| message.subject.contains(".event."));
        let same = events.filter(|message| {
            let event: Value = serde_json::from_slice(&message.payload).expect("JSON");
            phases.get(&event["id"].to_string()) == Some(&event["phase"].to_string())
        });
        (same.count() == 8).then_some(())
    })
    .await;
    eventually(SOON, "the same on standard output", async || {
        let log = bridge.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let same = lines.filter(|event| {
            event["event"] == "person"
                && phases.get(&event["id"].to_string()) == Some(&event["phase"].to_string())
        });
        (same.count() >= 8).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_database_sets_off_what_the_broker_still_holds() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker, 600, "")).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/state/+").await;
    send(&bridge.camera(), 1, "PEOPLE", None).await;
    turns(&mut subscriber, 1, "ON").await;
    bridge.kill();
    for companion in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(bridge.storage().join(format!("outbox.db{companion}"))));
    }
    bridge.restart().await;
    turns(&mut subscriber, 1, "OFF").await;
}
