//! Alarms on NATS, with and without MQTT at the same time.

use crate::support::mqtt_client::Received;
use crate::support::published::{CAMERA, assert_valid, jpeg, report, sha256};
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually, nats_client};

#[tokio::test(flavor = "multi_thread")]
async fn one_alarm_reaches_mqtt_and_nats_with_one_id() {
    let (broker, nats) = (Mosquitto::start().await, Nats::start().await);
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!(
        "[mqtt]\nserver = \"{}\"\n[nats]\nservers = [\"{}\"]\n[activity]\nhold_seconds = 2\n",
        broker.url(),
        nats.url()
    );
    let bridge = Bridge::start(&config).await;
    let picture = jpeg(77);
    let answer = bridge.camera().multipart(&report("PEOPLE"), &picture).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let mqtt = all.wait_for(SOON, |m: &Received| m.topic.contains("/event/")).await.json();
    assert_eq!(mqtt["id"], id.as_str());

    let reader = NatsReader::connect(&nats.url()).await;
    let log = eventually(SOON, "the end of the activity on NATS", async || {
        let context = async_nats::jetstream::new(reader.client().clone());
        context.get_stream("ALARMBUS").await.ok()?;
        let stored = reader.stored("ALARMBUS").await;
        (stored.len() == 3).then_some(stored)
    })
    .await;
    let subjects: Vec<&str> = log.iter().map(|stored| stored.subject.as_str()).collect();
    let of = |name: &str| format!("alarmbus.{CAMERA}.{name}");
    assert_eq!(subjects, [of("event.person"), of("activity.person"), of("activity.person")]);
    let event: serde_json::Value = serde_json::from_slice(&log[0].payload).unwrap();
    assert_valid("alarm", &event);
    assert_eq!((&event["id"], &event["seq"]), (&mqtt["id"], &mqtt["seq"]));
    assert_eq!(event["snapshot"]["topic"], of("snapshot.person"));
    assert_eq!(log[0].id.as_deref(), Some(format!("{id}:event").as_str()));
    for (stored, part) in log[1..].iter().zip(["activity-start", "activity-end"]) {
        let activity: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
        assert_valid("activity", &activity);
        let expected = format!("{}:{part}", activity["id"].as_str().unwrap());
        assert_eq!(stored.id.as_deref(), Some(expected.as_str()));
    }

    let last = async |name: &str| reader.last("ALARMBUS_LAST", &of(name)).await;
    for name in ["snapshot", "snapshot.person"] {
        assert_eq!(sha256(&last(name).await.unwrap()), sha256(&picture), "{name}");
    }
    eventually(SOON, "OFF as the last state", async || {
        (last("state.person").await?.as_ref() == b"OFF").then_some(())
    })
    .await;
    eventually(SOON, "0 as the last count", async || {
        (last("count.person").await?.as_ref() == b"0").then_some(())
    })
    .await;
    for name in ["last", "snapshot_info", "snapshot_info.person"] {
        assert_valid("alarm", &serde_json::from_slice(&last(name).await.unwrap()).unwrap());
    }
    assert_valid("device", &serde_json::from_slice(&last("device").await.unwrap()).unwrap());
    let kept = reader.stored("ALARMBUS_LAST").await;
    assert!(kept.iter().all(|stored| stored.id.is_none()), "values have no message id");
    let state = reader.last("ALARMBUS_LAST", "alarmbus.bridge.state").await.unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    assert!(state["state"] == "online" && state["at"].is_string(), "{state}");
    replayed(&bridge, &reader, &id).await;
}

/// A replayed alarm arrives, although the stream has it already.
async fn replayed(bridge: &Bridge, reader: &NatsReader, id: &str) {
    let (status, output) = bridge.command(&["replay", id]).await;
    assert!(status.success(), "{output}");
    let again =
        eventually(SOON, "the alarm again", async || reader.stored("ALARMBUS").await.into_iter().nth(3))
            .await;
    let event: serde_json::Value = serde_json::from_slice(&again.payload).unwrap();
    assert_eq!((event["id"].as_str(), &event["replayed"]), (Some(id), &true.into()));
    assert!(again.id.unwrap().starts_with(&format!("{id}:event:again-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn core_nats_carries_alarms_as_they_come() {
    let nats = Nats::with(false, "").await;
    let reader = NatsReader::connect(&nats.url()).await;
    let mut events = reader.subscribe("alarmbus.*.event.*").await;
    let config = format!("[nats]\nservers = [\"{}\"]\njetstream = false\n", nats.url());
    let bridge = Bridge::start(&config).await;
    bridge.camera().json(&report("VEHICLE")).await;
    let message = nats_client::next(&mut events).await;
    assert_eq!(message.subject.as_str(), format!("alarmbus.{CAMERA}.event.vehicle"));
    assert_valid("alarm", &serde_json::from_slice(&message.payload).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_that_is_missing_is_an_error_and_no_loss() {
    let mut nats = Nats::with(false, "").await;
    let bridge = Bridge::start(&format!("[nats]\nservers = [\"{}\"]\n", nats.url())).await;
    let answer = bridge.camera().json(&report("PEOPLE")).await;
    assert_eq!(answer.status, 200);
    eventually(SOON, "the log to name JetStream", async || {
        bridge.log().lines().any(|line| line.contains("stream_missing")).then_some(())
    })
    .await;
    nats.kill();
    drop(nats);
}
