//! The outbox of an instance of a cluster.

use std::path::Path;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::*;
use crate::config::Config;
use crate::findings::Findings;
use crate::model::{Mute, Phase, ReportedState};
use crate::outbox::{DeviceChange, WriterSettings};

fn open(folder: &Path) -> Outbox {
    let mut config = Config::default();
    config.storage.path = folder.into();
    config.cluster.servers = vec!["nats://127.0.0.1:1".parse().unwrap()];
    Outbox::open(Arc::new(WriterSettings::new(&config)), Findings::default(), &["mqtt"]).unwrap()
}

fn row(body: &str) -> SpoolRow {
    SpoolRow { no: 0, body: body.into(), pictures: vec![1, 2] }
}

async fn spool(outbox: &Outbox, body: &str) {
    assert!(outbox.spool(row(body), None, Vec::new()).await.unwrap().durable);
}

fn bodies(reader: &mut Reader, after: i64) -> Vec<(i64, String)> {
    reader.spool_after(after, 16).unwrap().iter().map(|row| (row.no, row.body.clone())).collect()
}

fn lose(folder: &Path) {
    for file in ["outbox.db", "outbox.db-wal", "outbox.db-shm"] {
        drop(std::fs::remove_file(folder.join(file)));
    }
}

/// A report of a camera that was received so many seconds ago.
fn submission(ago: i64, state: Option<ReportedState>) -> Submission {
    let body = crate::decode::Body {
        bytes: br#"{"ip":"1.2.3.4","mac":"98-BA-5F-8B-10-03","event_list":[{"dateTime":"20261005150501","event_type":["PEOPLE"]}]}"#
            .as_slice()
            .into(),
        content_type: Some("application/json".into()),
        end: crate::decode::BodyEnd::Complete,
        skipped: 0,
        coding: None,
    };
    let hints = crate::decode::Hints { vendor: "auto".into(), alarms_per_report: 9, ..Default::default() };
    let mut alarms = crate::decode::decode(&body, &hints).unwrap().alarms;
    alarms.iter_mut().for_each(|alarm| alarm.state = state);
    Submission {
        received_at: crate::host::now() - SignedDuration::from_secs(ago),
        alarms,
        ..Submission::heard(Uuid::now_v7(), std::net::IpAddr::from([127, 0, 0, 1]), Vec::new())
    }
}

/// Decides reports that were received so many seconds ago.
fn decide(scratch: &mut Scratch, reports: &[(i64, Option<ReportedState>)]) -> Decision {
    let mut batch = scratch.begin();
    for (ago, state) in reports {
        batch.report(submission(*ago, *state), vec![Uuid::now_v7()], &[]);
    }
    batch.decision()
}

fn phases(decision: &Decision) -> Vec<&'static str> {
    let phase = |record: &Record| match record {
        Record::Alarm(alarm) if alarm.phase == Phase::Start => "start",
        Record::Alarm(alarm) if alarm.phase == Phase::Once => "once",
        Record::Alarm(_) => "update",
        Record::Activity(activity) if activity.ended.is_some() => "ended",
        Record::Activity(_) => "began",
    };
    decision.entries.iter().map(phase).collect()
}

const ALL: Scope = Scope { k: 0, partitions: 1 };

#[tokio::test]
async fn numbers_of_the_spool_rise_over_a_database_that_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    for body in ["a", "b", "c"] {
        spool(&outbox, body).await;
    }
    outbox.unspool(2).await.unwrap();
    outbox.flush().await.unwrap();
    outbox
        .apply(Decision::default(), Applied { k: 0, log: 7, input: 5, ..Applied::default() })
        .await
        .unwrap();
    lose(folder.path());
    // What was acknowledged before the loss must not delete what is stored after it.
    outbox.unspool(2).await.unwrap();
    spool(&outbox, "d").await;
    outbox.flush().await.unwrap();
    let mut reader = outbox.reader();
    assert_eq!(bodies(&mut reader, 0), [(3, "c".to_owned()), (4, "d".to_owned())], "no report is lost");
    assert_eq!(bodies(&mut reader, 3), [(4, "d".to_owned())], "the sender goes on after what it has sent");
    assert_eq!(reader.applied(0).unwrap().map(|at| (at.log, at.input)), Some((7, 5)));
    outbox.stop().await;
    let outbox = open(folder.path());
    spool(&outbox, "e").await;
    assert_eq!(bodies(&mut outbox.reader(), 4), [(5, "e".to_owned())]);
    outbox.stop().await;
}

#[tokio::test]
async fn a_spool_that_the_disk_refuses_is_sent_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    spool(&outbox, "a").await;
    let mut reader = outbox.reader();
    outbox.shared.pin(true);
    outbox.shared.spool.add(row("b"), false);
    assert_eq!(bodies(&mut reader, 0), [(1, "a".to_owned()), (2, "b".to_owned())]);
    outbox.shared.pin(false);
    assert_eq!(bodies(&mut reader, 0), [(1, "a".to_owned())], "the disk has the rest again");
    outbox.stop().await;
}

#[test]
fn memory_for_a_spool_that_the_disk_refuses_is_bounded() {
    let mut changes = ClusterChanges::default();
    let rows = (1..=4).map(|no| Arc::new(SpoolRow { no, body: "x".repeat(8), pictures: vec![0; 2] }));
    changes.spool.extend(rows);
    assert_eq!(changes.forget_oldest(25), (2, 2), "a part of a message is none");
    assert_eq!(changes.spool.first().map(|row| row.no), Some(3));
    assert_eq!(changes.forget_oldest(25), (0, 0));
}

#[tokio::test]
async fn an_end_that_comes_late_ends_only_what_was_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let mut scratch = outbox.scratch(ALL).await.unwrap();
    assert_eq!(phases(&decide(&mut scratch, &[(10, None)])), ["start", "began"]);
    let end = Some(ReportedState::End);
    assert_eq!(phases(&decide(&mut scratch, &[(14, end)])), [""; 0], "it is of an activity before this one");
    assert_eq!(phases(&decide(&mut scratch, &[(8, end), (8, end)])), ["ended"]);
    outbox.stop().await;
}

#[tokio::test]
async fn reports_that_waited_for_long_are_decided_by_the_times_of_their_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let mut scratch = outbox.scratch(ALL).await.unwrap();
    let decision = decide(&mut scratch, &[(7_200, None), (7_195, None), (3_600, None)]);
    assert_eq!(phases(&decision), ["start", "began", "update", "ended", "start", "began"]);
    outbox.apply(decision, Applied { k: 0, log: 1, ..Applied::default() }).await.unwrap();
    // Another owner goes on with the next report, which was received after the end of the activity.
    let mut next = outbox.scratch(ALL).await.unwrap();
    assert_eq!(phases(&decide(&mut next, &[(1_800, None)])), ["ended", "start", "began"]);
    outbox.stop().await;
}

#[tokio::test]
async fn a_mute_ends_by_a_decision_also_at_an_owner_that_took_over() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let mut scratch = outbox.scratch(ALL).await.unwrap();
    let mut batch = scratch.begin();
    batch.report(submission(60, Some(ReportedState::Start)), vec![Uuid::now_v7()], &[]);
    let source = Source::from_known("98ba5f8b1003").unwrap();
    let until = crate::host::now() + SignedDuration::from_millis(300);
    batch.action(ClusterAction::Device(DeviceChange::Mute(
        source.clone(),
        Mute { event: None, until: Some(until) },
    )));
    batch.expire();
    outbox.apply(batch.decision(), Applied { k: 0, log: 1, ..Applied::default() }).await.unwrap();
    let mut next = outbox.scratch(ALL).await.unwrap();
    let due = next.next().expect("the mute ends");
    assert!(due <= Instant::now() + Duration::from_millis(300), "at its time");
    tokio::time::sleep_until(due + Duration::from_millis(1)).await;
    let mut batch = next.begin();
    batch.expire();
    let decision = batch.decision();
    let device = serde_json::to_value(&decision.devices[&source].row).unwrap();
    assert!(!device.to_string().contains("until"), "{device}");
    assert!(next.next().is_none(), "there is nothing more to end");
    outbox.stop().await;
}

#[tokio::test]
async fn an_entry_of_a_device_that_is_not_known_here_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let mut scratch = outbox.scratch(ALL).await.unwrap();
    let mut decision = decide(&mut scratch, &[(1, None)]);
    decision.devices.clear();
    outbox.apply(decision, Applied { k: 0, log: 1, ..Applied::default() }).await.unwrap();
    assert_eq!(outbox.reader().entries_after(0, 9).unwrap().len(), 2);
    outbox.stop().await;
}
