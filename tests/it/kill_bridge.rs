//! The bridge killed at any moment: answered alarms arrive at least once, in order.

use std::time::Duration;

use crate::support::load::{Arrived, Load, Plan, device, long, report};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::{Login, Received};
use crate::support::seed::Random;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber};

/// Settings of a broker whose subscribers receive everything, whatever their pace.
const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";

#[tokio::test]
async fn a_burst_is_remembered_though_the_bridge_is_killed_at_its_end() {
    let broker = Mosquitto::start().await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url());
    let mut bridge = Bridge::start(&config).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let (mac, source) = device(1);
    let mut sent = 0;
    let mut activity = None;
    for burst in [1, 2, 30, 3] {
        let camera = bridge.camera();
        for _ in 0..burst {
            sent += 1;
            assert_eq!(camera.json(&report(&mac, "PEOPLE", sent, 1)).await.status, 200);
        }
        let shown = bridge.api("/devices").await;
        assert_eq!(shown["devices"][0]["alarms"], sent, "a page sees all that was answered: {shown}");
        for _ in 0..2 {
            sent += 1;
            assert_eq!(camera.json(&report(&mac, "PEOPLE", sent, 1)).await.status, 200);
        }
        bridge.kill();
        subscriber.drain();
        bridge.restart().await;
        let last = format!("alarmbus/{source}/last");
        let is_newest =
            |message: &Received| message.topic == last && message.json()["extra"]["number"] == sent;
        let newest = subscriber.wait_for(SOON, is_newest).await.json();
        assert_eq!(newest["repeat"], sent - 1, "{newest}");
        assert_eq!(activity.get_or_insert_with(|| newest["activity_id"].clone()), &newest["activity_id"]);
        assert_eq!(bridge.api("/devices").await["devices"][0]["alarms"], sent);
    }
}

#[tokio::test]
async fn what_was_answered_arrives_though_the_bridge_is_killed_at_any_moment() {
    let kills = if long() { 50 } else { 8 };
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url());
    let mut bridge = Bridge::start(&config).await;
    let login = Login { session: Some("counter"), ..Login::default() };
    let mut subscriber = Subscriber::login(broker.port(), "alarmbus/+/event/+", login).await;
    let mut arrived = Arrived::default();
    let plan = Plan { sources: 40, per_second: 200, picture_every: 2, picture_bytes: 20_000 };
    let load = Load::start(&bridge, plan);
    let mut random = Random::seeded();
    for _ in 0..kills {
        // The moment of the kill is what is random.
        tokio::time::sleep(Duration::from_millis(300 + random.below(1_024))).await;
        bridge.kill();
        bridge.restart().await;
        load.aim(&bridge);
        arrived.take(&mut subscriber);
    }
    let sent = load.stop().await;
    arrived.complete(&mut subscriber, &sent, Duration::from_secs(30)).await;
    arrived.check(&sent);
    println!(
        "{} answered, {} unanswered, {} arrived, {} twice",
        sent.count(),
        sent.unanswered,
        arrived.alarms.len(),
        arrived.duplicates
    );
    assert!(sent.count() > kills * 10, "only {} alarms were answered", sent.count());
    assert!(bridge.terminate().await.success());
}
