//! Changes of the wall clock while the bridge runs and while it does not: only the monotonic clock affects running
//! activities.

use std::time::Duration;

use crate::support::alarms::{Arrived, send, send_some, source};
use crate::support::faults::{Faults, Wrong};
use crate::support::mqtt_client::Received;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

const LONG: Duration = Duration::from_secs(60);
const BACK: i64 = -3_600;
const FORWARD: i64 = 86_400;

fn clock(seconds: i64) -> Wrong {
    Wrong { clock: seconds, ..Wrong::default() }
}

async fn start(broker: &Mosquitto, hold: u64) -> (Bridge, Faults) {
    let faults = Faults::none();
    let mut bridge = Bridge::prepare(&config(broker, hold));
    bridge.environment(faults.environment(&bridge.storage()));
    bridge.restart().await;
    (bridge, faults)
}

fn config(broker: &Mosquitto, hold: u64) -> String {
    format!(
        "[mqtt]\nserver = \"{}\"\n[activity]\nhold_seconds = {hold}\n[homeassistant]\nenabled = false\n",
        broker.url()
    )
}

/// The activity records of a camera so far, each once.
fn activities(all: &[Received], camera: u8) -> Vec<serde_json::Value> {
    let topic = format!("alarmbus/{}/activity/person", source(camera));
    let mut seen = std::collections::HashSet::new();
    let records = all.iter().filter(|message| message.topic == topic).map(Received::json);
    records.filter(|record| seen.insert(record["id"].to_string())).collect()
}

#[tokio::test]
async fn a_clock_set_while_it_runs_changes_no_activity() {
    for set_to in [BACK, FORWARD] {
        let broker = Mosquitto::start().await;
        let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        let (bridge, faults) = start(&broker, 4).await;
        let first = send(&bridge.camera(), 1, "PEOPLE", None).await;
        faults.set(clock(set_to));
        let second = send(&bridge.camera(), 1, "PEOPLE", None).await;
        let mut all = Vec::new();
        eventually(SOON, "the end", async || {
            all.extend(subscriber.drain());
            (activities(&all, 1).len() == 2).then_some(())
        })
        .await;
        let phase = |id: &str| {
            let events = all.iter().filter(|m| m.topic.contains("/event/")).map(Received::json);
            let event = events.into_iter().find(|event| event["id"] == id).expect("it came");
            (event["phase"].as_str().unwrap_or_default().to_owned(), event["replayed"] == true)
        };
        assert_eq!(phase(&first.id), ("start".into(), false));
        assert_eq!(phase(&second.id), ("update".into(), false), "{set_to}");
        let end = activities(&all, 1).pop().expect("the end");
        assert_eq!((end["phase"].as_str(), end["replayed"].as_bool()), (Some("end"), Some(false)), "{end}");
    }
}

#[tokio::test]
async fn a_clock_set_while_it_is_down_keeps_nothing_on() {
    for set_to in [BACK, FORWARD] {
        let broker = Mosquitto::start().await;
        let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        let (mut bridge, faults) = start(&broker, 4).await;
        send(&bridge.camera(), 1, "PEOPLE", None).await;
        let mut all = Vec::new();
        eventually(SOON, "the start", async || {
            all.extend(subscriber.drain());
            (activities(&all, 1).len() == 1).then_some(())
        })
        .await;
        bridge.kill();
        faults.set(clock(set_to));
        bridge.restart().await;
        eventually(SOON, "the end", async || {
            all.extend(subscriber.drain());
            (activities(&all, 1).len() == 2).then_some(())
        })
        .await;
        let state = format!("alarmbus/{}/state/person", source(1));
        Subscriber::connect(broker.port(), &state)
            .await
            .wait_for(SOON, |message| message.topic == state && message.text() == "OFF")
            .await;
    }
}

#[tokio::test]
async fn a_backlog_survives_a_clock_that_is_set() {
    for set_to in [BACK, FORWARD] {
        let mut broker = Mosquitto::start().await;
        let (mut bridge, faults) = start(&broker, 600).await;
        broker.kill();
        let mut sent = send_some(&bridge.camera(), 30).await;
        faults.set(clock(set_to));
        sent.extend(send_some(&bridge.camera(), 30).await);
        bridge.kill();
        broker.restart().await;
        let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        bridge.restart().await;
        let mut arrived = Arrived::default();
        arrived.all(&mut subscriber, &sent, LONG).await;
        arrived.in_order();
        let starts = arrived.phases.values().filter(|(phase, _)| phase == "start").count();
        assert_eq!(starts, 5, "one of each camera: {:?}", arrived.phases);
    }
}
