//! A long outage: what waits is bounded, comes in order, and never hides what is new.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::load::{self, Arrived, Sent, device, long, picture};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Received;
use crate::support::{Bridge, Camera, Mode, Mosquitto, Proxy, SOON, Subscriber, eventually};

/// The subscriber gets everything that was accepted, whatever its pace.
const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";
/// Alarms of one report: the default bound.
const REPORT: usize = 256;
const PATIENCE: Duration = Duration::from_secs(60);
/// What a debug build may need at most.
const MEMORY: u64 = 150 << 20;

fn config(port: u16, more: &str) -> String {
    format!(
        "[mqtt]\nserver = \"mqtt://127.0.0.1:{port}\"\n[homeassistant]\nenabled = false\n\
         [time]\nreplay_after_seconds = 1\n{more}"
    )
}

/// Fills the backlog: whole reports, source by source in turn.
async fn fill(camera: &Camera, sources: usize, alarms: usize) -> Sent {
    let mut sent = Sent::default();
    for count in 0..alarms.div_ceil(REPORT) {
        let first = 1_000_000_000 + (count * REPORT) as u64;
        assert!(load::send(camera, count % sources, "PEOPLE", first, REPORT, None, &mut sent).await);
    }
    sent
}

/// The newest message of each retained topic.
fn newest(messages: &[Received]) -> HashMap<&str, &Received> {
    messages.iter().map(|message| (message.topic.as_str(), message)).collect()
}

#[tokio::test]
async fn a_backlog_drains_in_order_while_what_is_new_shows_at_once() {
    let (sources, alarms) = (50, if long() { 500_000 } else { 50_000 });
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let mut values = Subscriber::connect(broker.port(), "alarmbus/+/+").await;
    let mut bridge = Bridge::start(&config(proxy.port(), "")).await;
    let camera = bridge.camera();
    let mut sent = fill(&camera, sources, alarms).await;
    // The current picture of each, beneath the backlog that is to come out around it.
    for number in 0..sources {
        let jpeg = picture(number as u64, 5_000);
        assert!(load::send(&camera, number, "MOTION", number as u64, 1, Some(&jpeg), &mut sent).await);
    }
    assert!(bridge.resident() < MEMORY, "{} bytes while the broker is down", bridge.resident());
    // Older than what is replayed.
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    proxy.set(Mode::Pass);
    let mut arrived = Arrived::default();
    eventually(SOON, "the first event", async || {
        arrived.take(&mut events);
        (!arrived.alarms.is_empty()).then_some(())
    })
    .await;
    let started = Instant::now();

    // Current values and pictures are right long before the backlog is through.
    let mut seen: Vec<Received> = Vec::new();
    eventually(PATIENCE, "the pictures of all sources", async || {
        seen.extend(values.drain());
        arrived.take(&mut events);
        let now = newest(&seen);
        (0..sources)
            .all(|number| now.contains_key(format!("alarmbus/{}/snapshot", device(number).1).as_str()))
            .then_some(())
    })
    .await;
    let current = started.elapsed();
    // And a new alarm shows in its value topics at once.
    let before = Instant::now();
    assert!(load::send(&camera, 7, "VEHICLE", 77, 1, None, &mut sent).await);
    let topic = format!("alarmbus/{}/last", device(7).1);
    eventually(PATIENCE, "the latest alarm", async || {
        seen.extend(values.drain());
        arrived.take(&mut events);
        newest(&seen).get(topic.as_str()).is_some_and(|last| last.json()["event"] == "vehicle").then_some(())
    })
    .await;
    let shown = before.elapsed();

    let mut most = 0;
    let mut since = Instant::now();
    while arrived.missing(&sent) > 0 {
        let count = arrived.alarms.len();
        arrived.take(&mut events);
        most = most.max(bridge.resident());
        if count < arrived.alarms.len() {
            since = Instant::now();
        }
        assert!(since.elapsed() < PATIENCE, "{} of {} came", arrived.alarms.len(), sent.count());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let drained = started.elapsed();
    println!(
        "{} alarms: values after {current:?}, a new one after {shown:?}, all after \
         {drained:?}, {} MB",
        sent.count(),
        most >> 20
    );
    arrived.check(&sent);
    assert_eq!(arrived.duplicates, 0, "one session, one delivery");
    assert!(sent.count() - 1 <= arrived.replayed, "{} are marked late", arrived.replayed);
    assert!(most < MEMORY, "{most} bytes while it drains");
    assert!(shown < Duration::from_secs(2), "the new alarm showed after {shown:?}");
    assert!(drained < PATIENCE || long(), "drained in {drained:?}");
    seen.extend(values.drain());
    never_backward(&seen);
    assert!(bridge.terminate().await.success());
}

/// `last` of each source only ever goes on.
fn never_backward(messages: &[Received]) {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for message in messages.iter().filter(|message| message.topic.ends_with("/last")) {
        let seq = message.json()["seq"].as_u64().unwrap();
        let before = last.insert(&message.topic, seq);
        assert!(before.is_none_or(|before| before <= seq), "{} ran backward", message.topic);
    }
}
