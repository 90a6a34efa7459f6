//! A broker that is away for a while, and the view of its subscribers when it is back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::{Login, Received};
use crate::support::published::{CAMERA, jpeg, report, report_of, sha256};
use crate::support::{Bridge, Mode, Mosquitto, Proxy, SOON, Subscriber, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_values_are_right_at_once_and_every_event_comes_in_order() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config =
        format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n[time]\nreplay_after_seconds = 3\n", proxy.port());
    let bridge = Bridge::start(&config).await;
    let camera = bridge.camera();
    camera.multipart(&report("PEOPLE"), &jpeg(1)).await;
    let live = all.wait_for(SOON, |m| m.topic.contains("/event/")).await.json();
    assert_eq!(live["replayed"], false);
    all.topic(&format!("alarmbus/{CAMERA}/activity/person")).await;
    proxy.set(Mode::Refuse);
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "offline").await;
    all.drain();

    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for round in 0..4_u8 {
        for (mac, source) in [("98-ba-5f-8b-10-03", CAMERA), ("98-ba-5f-8b-10-04", "98ba5f8b1004")] {
            let answer = camera.multipart(&report_of(mac, "PEOPLE"), &jpeg(10 + round)).await;
            assert_eq!(answer.status, 200);
            let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
            expected.entry(source.into()).or_default().push(id);
        }
    }
    // Late means longer than the setting. (A first alarm waits a second for its announcement.)
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    proxy.set(Mode::Pass);

    let mut came: Vec<Received> = Vec::new();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while found != expected {
        let message = all.wait_for(SOON, |_| true).await;
        if message.topic.contains("/event/") {
            let event = message.json();
            assert_eq!(event["replayed"], true, "{event:#}");
            let ids = found.entry(event["source"].as_str().unwrap().into()).or_default();
            ids.push(event["id"].as_str().unwrap().to_owned());
            assert!(
                expected[event["source"].as_str().unwrap()].starts_with(ids),
                "in order, once: {found:?}"
            );
        }
        came.push(message);
    }
    let first_event = came.iter().position(|m| m.topic.contains("/event/")).unwrap();
    let online =
        came.iter().position(|m| m.topic == "alarmbus/bridge/state" && m.text() == "online").unwrap();
    assert!(online < first_event, "online before what is late");
    for source in expected.keys() {
        assert_newest_only(&came, source, online);
    }
    camera.json(&report("PEOPLE")).await;
    let live = all.wait_for(SOON, |m| m.topic.contains("/event/")).await.json();
    assert_eq!(live["replayed"], false, "{live:#}");
}

/// Checks that each value of a source was sent once: small ones before `online`, of pictures only the newest.
fn assert_newest_only(came: &[Received], source: &str, online: usize) {
    let all_of = |name: &str| -> Vec<usize> {
        let topic = format!("alarmbus/{source}/{name}");
        came.iter().enumerate().filter(|(_, m)| m.topic == topic).map(|(at, _)| at).collect()
    };
    for name in ["last", "state/person", "count/person"] {
        let places = all_of(name);
        assert!(places.len() == 1 && places[0] < online, "{source}/{name} once, before online: {places:?}");
    }
    let pictures = all_of("snapshot");
    assert_eq!(pictures.len(), 1, "the newest picture only");
    assert_eq!(sha256(&came[pictures[0]].payload), sha256(&jpeg(13)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_nothing() {
    let mut broker = Mosquitto::with(Settings { persistence: true, ..Settings::default() }).await;
    let login = Login { session: Some("watcher"), ..Login::default() };
    let mut events = Subscriber::login(broker.port(), "alarmbus/+/event/+", login).await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n", broker.url())).await;
    let camera = bridge.camera();
    let mut ids = Vec::new();
    for round in 0..6_u8 {
        if round == 2 {
            broker.stop().await;
        }
        if round == 4 {
            broker.restart().await;
        }
        ids.push(camera.multipart(&report("PEOPLE"), &jpeg(round)).await.json()["ids"][0].clone());
    }
    let mut found: Vec<serde_json::Value> = Vec::new();
    while found.last() != ids.last() {
        let id = events.wait_for(SOON, |_| true).await.json()["id"].clone();
        // At least once: a message in flight when the broker stopped may arrive twice.
        if !found.contains(&id) {
            found.push(id);
        }
    }
    assert_eq!(found, ids);
    let topic = format!("alarmbus/{CAMERA}/snapshot");
    eventually(SOON, "the newest picture as the retained one", async || {
        let mut late = Subscriber::connect(broker.port(), &topic).await;
        (late.topic(&topic).await.payload == jpeg(5)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_before_a_crash_is_sent_after_it() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let config = format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n", proxy.port());
    let mut bridge = Bridge::start(&config).await;
    let mut ids = Vec::new();
    for kind in ["PEOPLE", "MOTION", "VEHICLE"] {
        ids.push(bridge.camera().json(&report(kind)).await.json()["ids"][0].clone());
    }
    bridge.kill();
    proxy.set(Mode::Pass);
    bridge.restart().await;
    for id in ids {
        assert_eq!(events.wait_for(SOON, |_| true).await.json()["id"], id);
    }
}
