//! Several instances, three JetStream servers, one broker: whatever dies, each alarm is decided and published once, in
//! order.

use serde_json::{Value, json};

use self::members::{LEASE, PATIENCE, ROOMY};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Received;
use crate::support::nats::Nats;
use crate::support::{Bridge, Mosquitto, Subscriber, eventually};

mod actions;
mod chaos;
mod contract;
mod cut_off;
mod doctor;
mod leases;
mod members;
mod planted;
mod streams;

/// One instance beside one server, of the oldest version supported.
async fn alone() -> (Nats, Mosquitto, Subscriber, Bridge) {
    let server = Nats::one("2.11.11").await;
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let config = format!(
        "instance = \"a\"\n[cluster]\nservers = [\"{}\"]\nreplicas = 1\nlease_seconds = {LEASE}\n[mqtt]\nserver = \"{}\"\n\
         [homeassistant]\nenabled = false\n",
        server.url(),
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    (server, broker, subscriber, bridge)
}

/// A report of so many alarms of one camera, each with a text of so many bytes.
fn report(alarms: usize, bytes: usize) -> Value {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let text = "x".repeat(bytes);
    let alarm = |number| json!({"dateTime": time, "event_type": "DOORBELL", "number": number, "text": text});
    json!({"mac": "02-00-00-00-00-01", "event_list": (0..alarms).map(alarm).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_records_are_too_old_is_written_to_again() {
    let (server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/doorbell")).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let log = async_nats::jetstream::new(client).get_stream("ALARMBUS_LOG").await.unwrap();
    log.purge().await.unwrap();
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    let event = subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/doorbell")).await;
    assert_eq!(event.json()["extra"]["text"], "xx");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_larger_than_a_message_is_decided_whole_and_holds_up_nothing() {
    let (_server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(200, 9_000)).await.status, 200);
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    let mut numbers = Vec::new();
    eventually(PATIENCE, "201 alarms", async || {
        let events = subscriber.drain().into_iter().map(|message| message.json()["seq"].as_u64().unwrap());
        numbers.extend(events);
        (numbers.len() == 201).then_some(())
    })
    .await;
    let first = numbers[0];
    assert_eq!(numbers, (first..first + 201).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_missed_decisions_decides_nothing_and_says_so() {
    let (server, _broker, mut subscriber, mut bridge) = alone().await;
    let is_event = |message: &Received| message.topic.ends_with("/doorbell");
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    subscriber.wait_for(PATIENCE, is_event).await;
    bridge.kill();
    // Decisions of another instance that were made meanwhile and deleted from the log.
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let log = jetstream.get_stream("ALARMBUS_LOG").await.unwrap();
    let record = log.get_last_raw_message_by_subject("alarmbus-cluster.log.0").await.unwrap();
    let mut later: Value = serde_json::from_slice(&record.payload).unwrap();
    let mut last = record.sequence;
    for _ in 0..3 {
        later["prev"] = last.into();
        let sent = jetstream.publish("alarmbus-cluster.log.0", later.to_string().into()).await.unwrap();
        last = sent.await.unwrap().sequence;
    }
    log.purge().keep(1).await.unwrap();
    bridge.restart().await;
    bridge.finding("cluster_behind").await;
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    let spooled = eventually(PATIENCE, "the report in the input stream", async || {
        let mut input = jetstream.get_stream("ALARMBUS_IN").await.unwrap();
        (2 <= input.info().await.unwrap().state.messages).then_some(())
    });
    spooled.await;
    let published: Vec<Value> =
        subscriber.drain().iter().filter(|message| is_event(message)).map(Received::json).collect();
    assert!(published.is_empty(), "what it does not know of may have been published: {published:?}");
}
