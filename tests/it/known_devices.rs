//! Known devices only: alarms of unknown devices are published under `unlisted`, and a finding names the device.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::alarms::{report, send, source};
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

fn config(broker: &Mosquitto, only: bool, devices: &str) -> String {
    format!("[mqtt]\nserver = \"{}\"\n[limits]\nknown_devices_only = {only}\n{devices}", broker.url())
}

/// The finding about an unknown device.
async fn finding(bridge: &Bridge, source: &str) -> Option<Value> {
    let strangers = strangers(bridge).await;
    strangers.into_iter().find(|finding| finding["subject"] == source)
}

/// All findings about unknown devices.
async fn strangers(bridge: &Bridge) -> Vec<Value> {
    let all = bridge.api("/findings").await;
    let all = all["findings"].as_array().cloned().expect("findings are a list");
    all.into_iter().filter(|finding| finding["code"] == "unknown_device").collect()
}

/// Reloads with a configuration; returns when the bridge has logged it.
async fn reload(bridge: &Bridge, config: &str) {
    let before = bridge.log().matches("the configuration was read again").count();
    bridge.configure(config);
    bridge.signal(Signal::HUP);
    eventually(SOON, "the reload", async || {
        (before < bridge.log().matches("the configuration was read again").count()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_published_as_unlisted_and_named_in_a_finding() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let bridge = Bridge::start(&config(&broker, false, "")).await;
    let camera = bridge.camera();
    // A device heard before the setting was turned on stays known.
    let known = send(&camera, 1, "PEOPLE", None).await;
    let named = "[devices.\"98:ba:5f:8b:10:02\"]\nname = \"Named\"\n";
    reload(&bridge, &config(&broker, true, named)).await;

    let still = send(&camera, 1, "PEOPLE", None).await;
    let named_one = send(&camera, 2, "PEOPLE", None).await;
    let stranger = send(&camera, 3, "PEOPLE", None).await;
    let event = async |all: &mut Subscriber, id: &str| {
        all.wait_for(SOON, |message| message.topic.contains("/event/") && message.json()["id"] == id).await
    };
    for (sent, topic) in [
        (&known, "alarmbus/98ba5f8b1001/event/person"),
        (&still, "alarmbus/98ba5f8b1001/event/person"),
        (&named_one, "alarmbus/98ba5f8b1002/event/person"),
        (&stranger, "alarmbus/unlisted/event/person"),
    ] {
        assert_eq!(event(&mut all, &sent.id).await.topic, topic);
    }
    let found = finding(&bridge, &source(3)).await.expect("a finding names it");
    assert!(found["detail"].as_str().unwrap().contains("(Yard)"), "{found}");
    assert!(found["remedy"].as_str().unwrap().contains("[devices]"), "{found}");
    assert!(finding(&bridge, &source(2)).await.is_none());
    let devices = bridge.api("/devices").await.to_string();
    assert!(devices.contains(&source(2)) && !devices.contains(&source(3)), "{devices}");

    // The remedy works without a restart, and removes the finding.
    let both = format!("{named}[devices.\"{}\"]\nname = \"Third\"\n", source(3));
    reload(&bridge, &config(&broker, true, &both)).await;
    let listed = send(&camera, 3, "PEOPLE", None).await;
    let event = event(&mut all, &listed.id).await;
    assert_eq!(
        (event.topic.as_str(), &event.json()["device"]["name"]),
        ("alarmbus/98ba5f8b1003/event/person", &Value::from("Third"))
    );
    assert!(finding(&bridge, &source(3)).await.is_none());
    // All announcements have been published by now.
    let announced: Vec<String> = all.drain().into_iter().map(|message| message.topic).collect();
    assert!(
        !announced.iter().any(|topic| topic.starts_with("homeassistant/") && topic.contains("unlisted")),
        "{announced:?}"
    );
}

/// A named recorder admits its channels; an unknown one does not; the number of findings about unknown devices is
/// bounded.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_counts_for_its_channels_and_strangers_are_bounded() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let bridge = Bridge::start(&config(&broker, true, "[devices.\"rec0001\"]\nname = \"Recorder\"\n")).await;
    let channel = |recorder: &str| {
        serde_json::json!({"device_id": recorder, "device_name": "Rack", "messages": [{"type": 1, "sub_type": [2],
            "localtime": "2026-10-05 16:25:31", "channel": "2", "channel_name": "Yard"}]})
    };
    let camera = bridge.camera();
    let mut ids = Vec::new();
    for recorder in ["REC0001", "REC0002"] {
        let answer = camera.json(&channel(recorder)).await.json();
        ids.push(answer["ids"][0].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned());
    }
    let mut topics = Vec::new();
    for id in &ids {
        let event = all.wait_for(SOON, |message| message.json()["id"] == id.as_str()).await;
        topics.push(event.topic.split('/').nth(1).unwrap().to_owned());
    }
    assert_eq!(topics, ["rec0001-2", "unlisted"]);
    for number in 0..60 {
        let mut stranger = report(0, "MOTION");
        stranger["mac"] = format!("02:00:00:00:00:{number:02x}").into();
        assert_eq!(camera.json(&stranger).await.status, 200);
    }
    let told = strangers(&bridge).await;
    assert!((30..=33).contains(&told.len()), "{}", told.len());
    assert!(told.iter().any(|it| it["subject"] == "unlisted"), "the rest share one");
}
