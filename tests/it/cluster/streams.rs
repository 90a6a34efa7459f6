//! Streams that hold what no instance wrote, or that are lost; spools that are left behind.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::members::{PATIENCE, ROOMY};
use super::{alone, report};
use crate::support::mosquitto::Settings;
use crate::support::nats::Nats;
use crate::support::{Bridge, Mosquitto, Subscriber, eventually};

const IN: &str = "alarmbus-cluster.in.0";
const LOG: &str = "alarmbus-cluster.log.0";

async fn jetstream(server: &Nats) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

async fn publish(jetstream: &Context, subject: &'static str, message: &Value) {
    let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    jetstream.publish(subject, text.into()).await.unwrap().await.unwrap();
}

/// The next event.
async fn event(subscriber: &mut Subscriber) -> Value {
    subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/doorbell")).await.json()
}

async fn codes(bridge: &Bridge) -> Vec<String> {
    let all = bridge.api("/findings").await;
    let findings = all["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_left_out_with_a_finding_and_holds_up_nothing() {
    let (server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    let jetstream = jetstream(&server).await;
    publish(&jetstream, LOG, &json!("no JSON")).await;
    publish(&jetstream, LOG, &json!({"v": 1, "k": 0, "prev": 0, "by": "x"})).await;
    publish(&jetstream, LOG, &json!({"v": 9, "k": 0, "prev": 0, "by": "x"})).await;
    // A decision that another owner made from an earlier state.
    let log = jetstream.get_stream("ALARMBUS_LOG").await.unwrap();
    let last = log.get_raw_message(2).await.unwrap();
    assert!(String::from_utf8_lossy(&last.payload).contains("DOORBELL"), "the second record is the alarm's");
    let mut void: Value = serde_json::from_slice(&last.payload).unwrap();
    void["entries"][0]["extra"]["text"] = "void".into();
    publish(&jetstream, LOG, &void).await;
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    assert_eq!(event(&mut subscriber).await["extra"]["text"], "xx");
    bridge.finding("cluster_unreadable").await;
    publish(&jetstream, IN, &json!("no JSON")).await;
    publish(&jetstream, IN, &json!({"v": 9, "by": "x", "report": {}})).await;
    assert_eq!(bridge.camera().json(&report(1, 3)).await.status, 200);
    assert_eq!(event(&mut subscriber).await["extra"]["text"], "xxx");
    let finding = eventually(PATIENCE, "the finding about the message", async || {
        let finding = bridge.finding("cluster_unreadable").await;
        finding["detail"].as_str().is_some_and(|detail| detail.contains("version 9")).then_some(finding)
    });
    finding.await;
    assert!(!codes(&bridge).await.contains(&"cluster_behind".to_owned()), "it has missed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_record_that_counts_makes_this_instance_an_edge() {
    let (server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    let jetstream = jetstream(&server).await;
    let log = jetstream.get_stream("ALARMBUS_LOG").await.unwrap();
    let last = log.get_last_raw_message_by_subject(LOG).await.unwrap();
    publish(&jetstream, LOG, &json!({"v": 9, "k": 0, "prev": last.sequence, "by": "newer", "other": []}))
        .await;
    let finding = bridge.finding("cluster_behind").await;
    assert!(finding["detail"].as_str().unwrap().contains("newer writes records of version 9"), "{finding}");
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200, "it still takes alarms");
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_before_and_after_a_removal_are_all_published() {
    let (server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    let jetstream = jetstream(&server).await;
    let input = jetstream.get_stream("ALARMBUS_IN").await.unwrap();
    let message = input.get_last_raw_message_by_subject(IN).await.unwrap();
    let mut message: Value = serde_json::from_slice(&message.payload).unwrap();
    bridge.signal(Signal::STOP);
    for number in 0..4 {
        message["report"]["alarms"][0]["id"] = uuid::Uuid::now_v7().to_string().into();
        message["report"]["alarms"][0]["extra"]["text"] = format!("around {number}").into();
        publish(&jetstream, IN, &message).await;
        if number == 1 {
            publish(&jetstream, IN, &json!({"v": 1, "by": "x", "do": {"Remove": "020000000001"}})).await;
        }
    }
    bridge.signal(Signal::CONT);
    let mut sequence = 0;
    for number in 0..4 {
        let event = event(&mut subscriber).await;
        assert_eq!(event["extra"]["text"], format!("around {number}"), "{event}");
        let next = event["seq"].as_u64().unwrap();
        assert!(sequence < next, "numbers rise: {event}");
        sequence = next;
    }
    bridge.signal(Signal::STOP);
    message["report"]["alarms"][0]["id"] = uuid::Uuid::now_v7().to_string().into();
    publish(&jetstream, IN, &message).await;
    publish(&jetstream, IN, &json!({"v": 1, "by": "x", "do": {"Remove": "020000000001"}})).await;
    bridge.signal(Signal::CONT);
    assert_eq!(event(&mut subscriber).await["extra"]["text"], "around 3");
    let none = eventually(PATIENCE, "no device", async || {
        bridge.api("/devices").await["devices"].as_array().unwrap().is_empty().then_some(())
    });
    none.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_larger_than_a_message_is_cut_and_holds_up_nothing() {
    let (_server, _broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 2_000_000)).await.status, 200);
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    let first = event(&mut subscriber).await;
    assert_eq!((&first["truncated"], &first["extra"]["text"]), (&json!(true), &Value::Null));
    assert_eq!(event(&mut subscriber).await["extra"]["text"], "xx");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_lost_are_made_again_and_decisions_go_on() {
    let (server, _broker, mut subscriber, mut bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(3, 1)).await.status, 200);
    let mut last = 0;
    for _ in 0..3 {
        last = event(&mut subscriber).await["seq"].as_u64().unwrap();
    }
    let jetstream = jetstream(&server).await;
    for restart in [false, true] {
        for name in ["ALARMBUS_IN", "ALARMBUS_LOG", "ALARMBUS_PIC", "KV_ALARMBUS_LEASE", "KV_ALARMBUS_STATE"]
        {
            jetstream.delete_stream(name).await.unwrap();
        }
        if restart {
            bridge.restart().await;
        }
        let text = if restart { "xxx" } else { "xx" };
        assert_eq!(bridge.camera().json(&report(1, text.len())).await.status, 200);
        // What was published last may come again after a kill.
        let mut event = event(&mut subscriber).await;
        while event["extra"]["text"] != text {
            event = self::event(&mut subscriber).await;
        }
        last += 1;
        assert_eq!(event["seq"], last, "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_with_an_empty_folder_names_the_only_record_that_is_left() {
    let (server, _broker, mut subscriber, mut bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    bridge.kill();
    let jetstream = jetstream(&server).await;
    let log = jetstream.get_stream("ALARMBUS_LOG").await.unwrap();
    log.purge().keep(1).await.unwrap();
    let mut last = log.get_last_raw_message_by_subject(LOG).await.unwrap().sequence;
    std::fs::remove_dir_all(bridge.storage()).unwrap();
    bridge.restart().await;
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    event(&mut subscriber).await;
    let end = log.get_last_raw_message_by_subject(LOG).await.unwrap().sequence;
    for sequence in last + 1..=end {
        let record = log.get_raw_message(sequence).await.unwrap();
        let record: Value = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(record["prev"], last, "{record}");
        last = sequence;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_is_left_behind_is_decided_by_the_instance_alone() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let sinks = format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url());
    let nobody = "instance = \"a\"\n[cluster]\nservers = [\"nats://127.0.0.1:1\"]\nreplicas = 1\n";
    let mut bridge = Bridge::start(&format!("{nobody}{sinks}")).await;
    let answer = bridge.camera().json(&report(2, 1)).await;
    let ids = answer.json()["ids"].clone();
    assert_eq!((answer.status, ids.as_array().unwrap().len()), (200, 2));
    bridge.terminate().await;
    bridge.configure(&sinks);
    bridge.restart().await;
    let published = json!([event(&mut subscriber).await["id"], event(&mut subscriber).await["id"]]);
    assert_eq!(published, ids);
    bridge.terminate().await;
    bridge.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(subscriber.drain().is_empty(), "they are decided once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_names_what_of_the_cluster_needs_a_restart() {
    let (_server, _broker, mut subscriber, bridge) = alone().await;
    let config = std::fs::read_to_string(bridge.config()).unwrap();
    std::fs::write(bridge.config(), config.replace("lease_seconds = 5", "lease_seconds = 7")).unwrap();
    bridge.hang_up();
    let line = eventually(PATIENCE, "a line about the restart", async || {
        let log = bridge.log();
        log.lines().find(|line| line.contains("need a restart")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("cluster.lease_seconds") && !line.contains("instance"), "{line}");
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_while_the_cluster_was_away_survives_a_kill() {
    let (mut server, _broker, mut subscriber, mut bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    server.kill();
    assert_eq!(bridge.camera().json(&report(1, 2)).await.status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bridge.restart().await;
    server.restart().await;
    let mut event = event(&mut subscriber).await;
    while event["extra"]["text"] == "x" {
        event = self::event(&mut subscriber).await;
    }
    assert_eq!(event["extra"]["text"], "xx");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_alarms_of_one_report_are_as_many_events() {
    let (_server, _broker, mut subscriber, bridge) = alone().await;
    let mut twice = report(1, 1);
    let alarm = twice["event_list"][0].clone();
    twice["event_list"].as_array_mut().unwrap().push(alarm);
    let answer = bridge.camera().json(&twice).await;
    let ids = answer.json()["ids"].clone();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(json!([event(&mut subscriber).await["id"], event(&mut subscriber).await["id"]]), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_comes_late_is_an_event_and_changes_no_value() {
    let (server, broker, mut subscriber, bridge) = alone().await;
    assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
    event(&mut subscriber).await;
    let jetstream = jetstream(&server).await;
    let input = jetstream.get_stream("ALARMBUS_IN").await.unwrap();
    let message = input.get_last_raw_message_by_subject(IN).await.unwrap();
    let mut message: Value = serde_json::from_slice(&message.payload).unwrap();
    // A copy of it, and then another alarm that was received before it.
    publish(&jetstream, IN, &message).await;
    let received: jiff::Timestamp = message["report"]["received_at"].as_str().unwrap().parse().unwrap();
    message["report"]["received_at"] = (received - jiff::SignedDuration::from_secs(10)).to_string().into();
    message["report"]["alarms"][0]["id"] = uuid::Uuid::now_v7().to_string().into();
    message["report"]["alarms"][0]["extra"]["text"] = "late".into();
    publish(&jetstream, IN, &message).await;
    assert_eq!(event(&mut subscriber).await["extra"]["text"], "late");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut values = Subscriber::connect(broker.port(), "alarmbus/+/last").await;
    let last = values.wait_for(PATIENCE, |message| message.topic.ends_with("/last")).await.json();
    assert_eq!(last["extra"]["text"], "x");
}
