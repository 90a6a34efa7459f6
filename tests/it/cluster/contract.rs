//! Names, limits, answers and commands of the cluster; partitions, handover, and what is fenced.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{self, Context};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::members::{Members, PATIENCE};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Received;
use crate::support::nats::Nats;
use crate::support::web::get;
use crate::support::{Bridge, Camera, Mosquitto, Subscriber, eventually};

async fn jetstream(server: &Nats) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

async fn stream(jetstream: &Context, name: &str) -> Config {
    let config = async || Some(jetstream.get_stream(name).await.ok()?.cached_info().config.clone());
    eventually(PATIENCE, name, config).await
}

/// An alarm of a camera of this number.
async fn push(camera: &Camera, number: u64) -> Value {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let event = json!({"dateTime": time, "event_type": "DOORBELL", "number": number});
    let answer =
        camera.json(&json!({"mac": format!("02-00-00-00-00-{number:02X}"), "event_list": [event]})).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

/// Partitions of each live instance, as one of them reports them.
async fn owned(bridge: &Bridge) -> Vec<(String, Vec<u64>)> {
    let (status, text) = bridge.command(&["cluster", "status", "--json"]).await;
    assert!(status.success(), "{text}");
    let status: Value = serde_json::from_str(&text).unwrap();
    let of = |member: &Value| {
        let owned = member["owned"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        (member["name"].as_str().unwrap().to_owned(), owned)
    };
    status["members"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_the_names_and_limits_that_are_promised() {
    let members = Members::start("2.15.1", 1, "", "").await;
    let jetstream = jetstream(&members.servers[0]).await;
    let day = Duration::from_secs(86_400);
    for (name, subject, age, gigabytes, discard) in [
        ("ALARMBUS_IN", "alarmbus-cluster.in.*", Duration::ZERO, 4, DiscardPolicy::New),
        ("ALARMBUS_LOG", "alarmbus-cluster.log.*", 7 * day, 8, DiscardPolicy::Old),
        ("ALARMBUS_PIC", "alarmbus-cluster.pic.*.*", 2 * day, 4, DiscardPolicy::Old),
    ] {
        let config = stream(&jetstream, name).await;
        assert_eq!(config.subjects, [subject], "{name}");
        assert_eq!(
            (config.max_age, config.max_bytes, config.discard),
            (age, gigabytes << 30, discard),
            "{name}"
        );
        assert_eq!((config.num_replicas, config.allow_direct), (3, true), "{name}");
        assert_eq!(config.duplicate_window, Duration::from_secs(120), "{name}");
    }
    let lease = stream(&jetstream, "KV_ALARMBUS_LEASE").await;
    assert_eq!(
        (lease.max_messages_per_subject, lease.max_age, lease.num_replicas),
        (1, Duration::from_secs(5), 3)
    );
    let state = stream(&jetstream, "KV_ALARMBUS_STATE").await;
    assert_eq!((state.max_messages_per_subject, state.max_age), (1, Duration::ZERO));
    let config = jetstream.get_key_value("ALARMBUS_STATE").await.unwrap();
    let common = async || config.get("config").await.ok().flatten();
    let common: Value = serde_json::from_slice(&eventually(PATIENCE, "config", common).await).unwrap();
    assert_eq!((&common["partitions"], &common["streams"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_out_and_handed_over_at_a_stop() {
    let mut members = Members::start("2.15.1", 2, "partitions = 4\nstreams = 2", "").await;
    eventually(PATIENCE, "two partitions each", async || {
        let owned = owned(&members.bridges[0]).await;
        (owned.len() == 2 && owned.iter().all(|(_, of)| of.len() == 2)).then_some(())
    })
    .await;
    let camera = members.bridges[0].camera();
    for number in 1..=16 {
        push(&camera, number).await;
    }
    let mut sources = BTreeSet::new();
    let mut offline = 0;
    eventually(PATIENCE, "an event of each camera", async || {
        for message in members.subscriber.drain() {
            if message.topic.ends_with("/event/doorbell") {
                sources.insert(message.json()["source"].as_str().unwrap().to_owned());
            }
        }
        (sources.len() == 16).then_some(())
    })
    .await;
    let jetstream = jetstream(&members.servers[0]).await;
    let input = stream(&jetstream, "ALARMBUS_IN_1").await;
    assert_eq!(input.subjects, ["alarmbus-cluster.in.1", "alarmbus-cluster.in.3"]);
    let mut subjects = BTreeSet::new();
    for name in ["ALARMBUS_IN_0", "ALARMBUS_IN_1"] {
        let stream = jetstream.get_stream(name).await.unwrap();
        for k in 0..4 {
            let subject = format!("alarmbus-cluster.in.{k}");
            if stream.get_last_raw_message_by_subject(&subject).await.is_ok() {
                subjects.insert(subject);
            }
        }
    }
    assert_eq!(subjects.len(), 4, "16 cameras are spread over all partitions: {subjects:?}");
    let known: BTreeSet<String> = sources.clone();
    members.subscriber.drain();
    nothing_unacknowledged(&members.bridges[0]).await;
    members.bridges[0].terminate().await;
    let camera = members.bridges[1].camera();
    for number in 17..=32 {
        push(&camera, number).await;
    }
    let stopped = Instant::now();
    let mut after = BTreeSet::new();
    eventually(PATIENCE, "events after the stop", async || {
        for message in members.subscriber.drain() {
            offline += u32::from(message.topic.contains("/bridge") && message.text() == "offline");
            if message.topic.ends_with("/event/doorbell") {
                after.insert(message.json()["source"].as_str().unwrap().to_owned());
            }
        }
        (17..=32).all(|number| after.contains(&format!("0200000000{number:02x}"))).then_some(())
    })
    .await;
    println!("all partitions were taken over {:?} after the stop", stopped.elapsed());
    assert!(stopped.elapsed() < Duration::from_secs(4), "a stopped owner is replaced within 2 s");
    assert_eq!(offline, 0, "another instance goes on at once");
    let again: Vec<&String> = after.intersection(&known).collect();
    assert!(again.is_empty(), "what the stopped owner had published comes once more: {again:?}");
}

/// Waits until the brokers have acknowledged everything: the rest may come again after a stop.
async fn nothing_unacknowledged(bridge: &Bridge) {
    eventually(PATIENCE, "all events acknowledged", async || {
        let sinks = bridge.api("/sinks").await;
        let waiting = |sink: &Value| sink["backlog"].as_u64() != Some(0);
        (!sinks["sinks"].as_array()?.iter().any(waiting)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_cluster_and_not_for_long() {
    let mut members = Members::start("2.15.1", 1, "ack = \"cluster\"\nack_ms = 2000", "").await;
    let camera = members.bridges[0].camera();
    let taken = async || (push(&camera, 1).await["cluster"] == true).then_some(());
    eventually(PATIENCE, "an alarm in the cluster", taken).await;
    members.servers.iter_mut().for_each(Nats::kill);
    let asked = Instant::now();
    let answer = push(&camera, 1).await;
    assert_eq!((&answer["cluster"], &answer["durable"]), (&json!(false), &json!(true)), "{answer}");
    assert!(Duration::from_secs(2) <= asked.elapsed() && asked.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_in_nats_expect_the_token_of_their_owner() {
    let servers = Nats::three("2.11.11").await;
    let urls: Vec<String> = servers.iter().map(|server| format!("{:?}", server.url())).collect();
    let urls = urls.join(", ");
    let config = format!(
        "instance = \"a\"\n[cluster]\nservers = [{urls}]\nlease_seconds = 5\n[nats]\nservers = [{urls}]\nreplicas = 3\n"
    );
    let bridge = Bridge::start(&config).await;
    push(&bridge.camera(), 1).await;
    let jetstream = jetstream(&servers[0]).await;
    let last = eventually(PATIENCE, "the latest alarm", async || {
        let stream = jetstream.get_stream("ALARMBUS_LAST").await.ok()?;
        stream.get_last_raw_message_by_subject("alarmbus.020000000001.last").await.ok()
    })
    .await;
    let stream = jetstream.get_stream("ALARMBUS_LAST").await.unwrap();
    let token = stream.get_last_raw_message_by_subject("alarmbus.fence-0.token").await.unwrap();
    let header = |name: &str| last.headers.get(name).map(ToString::to_string);
    assert_eq!(header("Nats-Expected-Last-Subject-Sequence"), Some(token.sequence.to_string()));
    assert_eq!(
        header("Nats-Expected-Last-Subject-Sequence-Subject"),
        Some("alarmbus.fence-0.token".to_owned())
    );
    // Another owner has connected meanwhile: what this one writes is refused.
    jetstream.publish("alarmbus.fence-0.token", "another".into()).await.unwrap().await.unwrap();
    let stale = jetstream.send_publish(
        "alarmbus.020000000001.last",
        jetstream::message::PublishMessage::build().headers(last.headers.clone()).payload("stale".into()),
    );
    assert!(stale.await.unwrap().await.is_err(), "a write of a displaced owner is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_displaced_owner_that_wakes_up_publishes_nothing() {
    let mut members = Members::start("2.15.1", 2, "", "").await;
    let owner = eventually(PATIENCE, "an owner", async || {
        let owned = owned(&members.bridges[0]).await;
        owned.iter().position(|(_, of)| of == &[0])
    })
    .await;
    let other = 1 - owner;
    push(&members.bridges[owner].camera(), 1).await;
    members.subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/event/doorbell")).await;
    members.bridges[owner].signal(Signal::STOP);
    let id = push(&members.bridges[other].camera(), 2).await["ids"][0].clone();
    let begun = Instant::now();
    // What the broker had not acknowledged to the former owner may come before it.
    let is = |message: &Received| message.topic.ends_with("/event/doorbell") && message.json()["id"] == id;
    members.subscriber.wait_for(PATIENCE, is).await;
    println!("the take-over lasted {:?}", begun.elapsed());
    assert!(
        begun.elapsed() < Duration::from_secs(5 + 5),
        "a dead owner is replaced within the lease and 5 s"
    );
    members.subscriber.drain();
    members.bridges[owner].signal(Signal::CONT);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let late = members.subscriber.drain();
    let is_offline =
        |message: &Received| message.topic.ends_with("/bridge/state") && message.text() == "offline";
    assert!(!late.iter().any(is_offline), "the displaced owner says that the new one is offline");
    let late: Vec<String> = late.iter().map(|message| message.topic.clone()).collect();
    let late: Vec<&String> = late.iter().filter(|topic| !topic.contains("/bridge/")).collect();
    assert!(late.is_empty(), "{late:?}");
    push(&members.bridges[owner].camera(), 1).await;
    let event =
        members.subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/event/doorbell")).await;
    assert!(event.json()["seq"].as_u64().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_servers_are_named_and_used() {
    let server = Nats::start().await;
    let broker = Mosquitto::with(Settings::default()).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let config = format!(
        "instance = \"a\"\n[cluster]\nservers = [\"{}\"]\nreplicas = 1\nlease_seconds = 5\n[mqtt]\nserver = \"{}\"\n",
        server.url(),
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    bridge.finding("cluster_server_old").await;
    push(&bridge.camera(), 1).await;
    subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/doorbell")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_pages_and_metrics_show_the_cluster() {
    let members = Members::start("2.15.1", 2, "", "").await;
    eventually(PATIENCE, "two instances", async || {
        (owned(&members.bridges[0]).await.len() == 2).then_some(())
    })
    .await;
    let (status, text) = members.bridges[0].command(&["cluster", "status"]).await;
    assert!(status.success() && text.contains("ALARMBUS_LOG"), "{text}");
    let (status, text) = members.bridges[0].command(&["cluster", "permissions"]).await;
    assert!(status.success() && text.contains("$JS.API.STREAM.PURGE.ALARMBUS_IN"), "{text}");
    let metrics = get(members.bridges[1].admin(), "/metrics", &[]).await.text();
    for name in [
        "connected",
        "owned",
        "spool",
        "spool_oldest_seconds",
        "in_waiting",
        "log_behind",
        "merged_total",
        "void_total",
        "takeovers_total",
    ] {
        assert!(metrics.contains(&format!("alarmbus_cluster_{name}")), "{name}: {metrics}");
    }
    let page = get(members.bridges[1].admin(), "/health", &[]).await.text();
    assert!(page.contains("id=\"cluster\""), "{page}");
}
