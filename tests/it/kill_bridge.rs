//! The bridge killed at any moment: what was answered arrives, once more at worst, in order.

use std::time::Duration;

use crate::support::load::{Arrived, Load, Plan, long};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::{Bridge, Mosquitto, Subscriber};

/// The subscriber gets everything that was accepted, whatever its pace.
const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";

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
    for _ in 0..kills {
        let mut random = [0_u8];
        getrandom::fill(&mut random).unwrap();
        tokio::time::sleep(Duration::from_millis(300 + 4 * u64::from(random[0]))).await;
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
