//! Announcements to Home Assistant, as seen on the broker. Tests with a real Home Assistant are in
//! `tests/homeassistant`.

use serde_json::{Value, json};

use crate::support::mqtt_client::Received;
use crate::support::published::{CAMERA, report};
use crate::support::{Bridge, Mode, Mosquitto, Proxy, SOON, Subscriber};

/// Discovery topic of a source.
fn topic(source: &str) -> String {
    format!("homeassistant/device/alarmbus_{source}/config")
}

/// Configuration of a bridge at a broker, with more sections.
fn config(port: u16, more: &str) -> String {
    format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{port}\"\n{more}")
}

/// A report of a camera without a MAC address.
fn nameless() -> Value {
    json!({"ip": "192.0.2.7", "event_list": [{"dateTime": "2026-10-05 16:25:31", "event_type": "MOTION"}]})
}

/// The next announcement of a source that is not empty.
async fn announcement(all: &mut Subscriber, source: &str) -> Value {
    let topic = topic(source);
    all.wait_for(SOON, |m| m.topic == topic && !m.payload.is_empty()).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_is_announced_before_its_devices() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let bridge = Bridge::start(&config(broker.port(), "")).await;
    let own = all.wait_for(SOON, |m| m.topic.starts_with("homeassistant/device/alarmbus_bridge_")).await;
    bridge.camera().json(&report("PEOPLE")).await;
    let camera = announcement(&mut all, CAMERA).await;
    assert_eq!(camera["dev"]["via_device"], own.json()["dev"]["ids"][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_changed_while_it_was_stopped_are_announced_at_its_start() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "homeassistant/#").await;
    let mut bridge = Bridge::start(&config(broker.port(), "")).await;
    bridge.camera().json(&report("PEOPLE")).await;
    assert_eq!(announcement(&mut all, CAMERA).await["dev"]["name"], "InSight S445 1.0_1003");
    bridge.terminate().await;
    let device = |line: &str| config(broker.port(), &format!("[devices.\"98:ba:5f:8b:10:03\"]\n{line}\n"));
    bridge.configure(&device("name = \"Porch\"\nentities_off = [\"person\"]"));
    bridge.restart().await;
    let renamed = |m: &Received| m.topic == topic(CAMERA) && m.text().contains("\"Porch\"");
    let announced = all.wait_for(SOON, renamed).await.json();
    assert_eq!(announced["cmps"]["person"], json!({"p": "binary_sensor"}), "its platform alone removes it");
    bridge.configure(&device("enabled = false"));
    bridge.hang_up();
    all.wait_for(SOON, |m| m.topic == topic(CAMERA) && m.payload.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_removed_during_an_outage_is_taken_back_in_full() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let bridge = Bridge::start(&config(proxy.port(), "")).await;
    bridge.camera().json(&nameless()).await;
    let old = "ip-192-0-2-7";
    announcement(&mut all, old).await;
    // The last of its values: everything to be emptied later has been published.
    all.wait_for(SOON, |m| m.topic == format!("alarmbus/{old}/device") && !m.payload.is_empty()).await;
    proxy.set(Mode::Refuse);
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "offline").await;

    // With a MAC address it becomes another device, and the old one is removed.
    let mac = "[devices.\"192.0.2.7\"]\nmac = \"02:00:00:00:00:07\"\n";
    bridge.configure(&config(proxy.port(), mac));
    bridge.hang_up();
    let taken_up = async || bridge.log().contains("configuration was read again").then_some(());
    crate::support::eventually(SOON, "the reload", taken_up).await;
    bridge.camera().json(&nameless()).await;
    all.drain();
    proxy.set(Mode::Pass);

    let mut came = Vec::new();
    while came.last() != Some(&true) {
        let message = all.wait_for(SOON, |m| m.topic == topic(old)).await;
        came.push(message.payload.is_empty());
    }
    assert_eq!(came, [false, true], "announced once more, then emptied");
    all.wait_for(SOON, |m| m.topic == format!("alarmbus/{old}/device") && m.payload.is_empty()).await;
    // A Home Assistant that was offline is notified when it starts.
    all.publish("homeassistant/status", b"online", false).await;
    announcement(&mut all, old).await;
    all.wait_for(SOON, |m| m.topic == topic(old) && m.payload.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_gone_only_where_that_is_asked_for() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let expected = "[devices.\"98:ba:5f:8b:10:03\"]\nexpected_every_seconds = 3\n";
    let bridge = Bridge::start(&config(broker.port(), expected)).await;
    bridge.camera().json(&report("PEOPLE")).await;
    let device = format!("alarmbus/{CAMERA}/device");
    for (available, reason) in [(true, "heard within the last 3 s"), (false, "not heard for more than 3 s")] {
        let told = all.wait_for(SOON, |m| m.topic == device && m.json()["available"] == available).await;
        assert_eq!(told.json()["available_reason"], reason);
    }
    bridge.configure(&config(broker.port(), ""));
    bridge.hang_up();
    let unwatched = |m: &Received| m.topic == device && m.json()["available"].is_null();
    all.wait_for(SOON, unwatched).await;
}
