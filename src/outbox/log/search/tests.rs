use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::config::Config;
use crate::decode::{self, Hints, recorded};
use crate::findings::Findings;
use crate::model::record::AlarmRecord;
use crate::model::{EventName, Source, testing};
use crate::outbox::{Outbox, Submission, WriterSettings};

/// Number of alarms in the store; with `ALARMBUS_LONG=1` as many as a busy site has in a year.
fn count() -> i64 {
    if std::env::var_os("ALARMBUS_LONG").is_some() { 1_000_000 } else { 50_000 }
}

/// A database with this many alarms of 30 devices and 4 kinds, one a minute; some have a plate.
fn filled(count: i64) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap().unwrap();
    schema::keep_statements(&connection).unwrap();
    let transaction = connection.transaction().unwrap();
    for no in 1..=30 {
        let source = source(no);
        transaction
            .execute("INSERT INTO device VALUES (?1, ?2, '{}')", params![no, source.as_str()])
            .unwrap();
    }
    {
        let sql = "INSERT INTO entry (no, source, id, at, event, run, mono, body) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)";
        let mut insert = transaction.prepare(sql).unwrap();
        for no in 1..=count {
            let (source_no, alarm) = alarm(no);
            let (at, event) = (alarm.received_at.as_millisecond(), alarm.event.as_str().to_owned());
            let body = serde_json::to_string(&Record::Alarm(Arc::new(alarm))).unwrap();
            insert.execute(params![no, source_no, no.to_be_bytes(), at, event, body]).unwrap();
        }
    }
    transaction.commit().unwrap();
    connection
}

fn source(no: i64) -> Source {
    Source::from_known(&format!("0200000000{no:02}")).unwrap()
}

fn alarm(no: i64) -> (i64, AlarmRecord) {
    let base = testing::person();
    let source_no = 1 + no % 30;
    let kinds = ["person", "motion", "vehicle", "doorbell"];
    let event = kinds[usize::try_from(no / 7).unwrap() % kinds.len()];
    let colour = ["red", "blue", "white"][usize::try_from(no).unwrap() % 3];
    let details = json!({"plate": format!("B-AB {no}"), "colour": colour});
    let mut device = base.device.clone();
    device.name = format!("Camera {source_no}");
    device.vendor = if source_no == 7 { "hikvision".into() } else { "vigi".into() };
    let received_at = jiff::Timestamp::from_second(1_700_000_000 + no * 60).unwrap();
    let details = details.as_object().cloned().unwrap();
    let event = EventName::new(event);
    (
        source_no,
        AlarmRecord {
            source: source(source_no),
            event,
            details,
            device,
            received_at,
            snapshot: None,
            ..base
        },
    )
}

fn numbers(connection: &Connection, filter: &AlarmFilter) -> Vec<i64> {
    alarms(connection, filter, 50).unwrap().iter().map(|entry| entry.no).collect()
}

fn text(text: &str) -> AlarmFilter {
    AlarmFilter { text: Some(text.into()), ..AlarmFilter::default() }
}

#[test]
fn an_alarm_is_found_before_and_after_it_is_in_the_index_and_not_after_it_is_deleted() {
    let mut connection = filled(900);
    let plate = text("bab512");
    assert_eq!(numbers(&connection, &plate), [512]);
    while index_step(&mut connection, 400).unwrap() {}
    assert_eq!(searched(&connection).unwrap(), 900);
    assert_eq!(numbers(&connection, &plate), [512]);
    assert!(numbers(&connection, &text("red 512")).is_empty(), "512 is white");
    assert_eq!(numbers(&connection, &text("b-ab 89")), [89], "whole words come first");
    assert_eq!(numbers(&connection, &text("bab89")), [89]);
    assert_eq!(numbers(&connection, &text("bab81 red")), [81]);
    assert_eq!(numbers(&connection, &text("bab81 blue")), [817, 814, 811], "no whole word: what begins so");
    connection.execute("DELETE FROM search WHERE rowid = 512", []).unwrap();
    connection.execute("DELETE FROM search WHERE rowid = 5120", []).unwrap();
    assert!(numbers(&connection, &plate).is_empty());
}

#[test]
fn alarms_are_counted_by_day_with_and_without_the_index() {
    let mut connection = filled(900);
    let day = |day: i64| {
        first_since(&connection, jiff::Timestamp::from_second(1_700_000_000 + day * 18_000).unwrap())
    };
    let bounds: Vec<i64> = (0..4).map(|number| day(number).unwrap()).collect();
    let all = AlarmFilter::default();
    let red = AlarmFilter { event: Some(EventName::new("person")), ..text("red") };
    let counted = |connection: &Connection| {
        let all: Vec<u64> =
            bounds.windows(2).map(|at| count_indexed(connection, &all, 0, at[0], at[1]).unwrap()).collect();
        let red = count_searched(connection, &red, &bounds).unwrap();
        (all, red)
    };
    let before = counted(&connection);
    assert_eq!(before.0, [299, 300, 300]);
    assert!(before.1.iter().all(|count| (10..60).contains(count)), "{before:?}");
    while index_step(&mut connection, 400).unwrap() {}
    assert_eq!(counted(&connection), before);
}

#[test]
fn a_page_takes_less_than_50_ms() {
    let count = count();
    let mut connection = filled(count);
    while index_step(&mut connection, 400).unwrap() {}
    let all = AlarmFilter::default();
    let event = |name: &str| Some(EventName::new(name));
    let cases = [
        text("red"),
        text("red camera 12"),
        text(&format!("bab{}", count / 2)),
        text("colourless"),
        text("pers"),
        AlarmFilter { event: event("tamper"), ..text("red") },
        AlarmFilter { event: event("person"), source: Some(source(7)), ..text("red") },
        AlarmFilter { maker: Some("hikvision".into()), ..all.clone() },
        AlarmFilter { maker: Some("hikvision".into()), source: Some(source(8)), ..all.clone() },
        AlarmFilter { picture: Some(true), ..all.clone() },
        AlarmFilter { picture: Some(false), before: Some(count / 2), ..all },
    ];
    for filter in cases {
        let mut best = Duration::MAX;
        let mut found = 0;
        for _ in 0..3 {
            let start = Instant::now();
            found = alarms(&connection, &filter, 50).unwrap().len();
            best = best.min(start.elapsed());
        }
        println!("{best:?} for {found} of {count} by {filter:?}");
        assert!(best < Duration::from_millis(50), "{best:?} for {found} of {count} by {filter:?}");
    }
}

/// Adds all alarms to the index.
fn index(connection: &mut Connection) {
    while index_step(connection, 400).unwrap() {}
}

#[test]
fn a_damaged_index_is_made_again_and_is_no_damage_of_the_database() {
    let mut connection = filled(1_000);
    index(&mut connection);
    assert_eq!(numbers(&connection, &text("BAB900")), [900]);
    connection.execute_batch("UPDATE search_data SET block = x'00'").unwrap();
    let error = alarms(&connection, &text("BAB900"), 50).unwrap_err();
    assert!(!store::is_damage(&error), "{error}");
    remove(&connection, 3).unwrap();
    index(&mut connection);
    assert_eq!(numbers(&connection, &text("BAB900")), [900]);
}

#[test]
fn a_damaged_index_that_is_only_added_to_is_made_again() {
    let mut connection = filled(1_000);
    index_step(&mut connection, 400).unwrap();
    connection.execute_batch("UPDATE search_data SET block = x'00'").unwrap();
    index(&mut connection);
    assert_eq!(numbers(&connection, &text("BAB7")), numbers(&connection, &text("bab7")));
    assert_eq!(numbers(&connection, &text("BAB900")), [900]);
}

#[test]
fn a_text_of_any_length_is_searched_for() {
    let mut connection = filled(100);
    index(&mut connection);
    let long: String = (0..2_000).map(|number| format!("word{number} ")).collect();
    assert_eq!(numbers(&connection, &text(&long)), [] as [i64; 0]);
    for odd in ["\"", "a OR b", "NEAR(", "*", "^x", "_p:yes", "{a b}:c", "\u{0}", "-"] {
        alarms(&connection, &text(odd), 50).unwrap();
    }
}

#[tokio::test]
async fn counts_follow_what_retention_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.path = folder.path().to_owned();
    let settings = Arc::new(WriterSettings::new(&config));
    let outbox = Outbox::open(settings, Findings::default(), &[]).unwrap();
    let now = crate::host::now();
    let ago = |days: i64| now - jiff::SignedDuration::from_hours(24 * days);
    let old = i64::try_from(config.storage.history_max_days).unwrap() + 10;
    // The first and the fourth stay, as the latest of their devices: those between are deleted within a range that stays.
    for (device, days) in [(1, old + 9), (2, old + 3), (2, old + 2), (3, old + 1), (2, 1)] {
        let body =
            format!(r#"{{"mac": "02-00-00-00-00-0{device}", "event_list": [{{"event_type": "DOORBELL"}}]}}"#);
        let alarms =
            decode::decode(&recorded::read(body.as_bytes(), None), &Hints::default()).unwrap().alarms;
        let blank = Submission::heard(Uuid::now_v7(), [127, 0, 0, 1].into(), Vec::new());
        outbox.append(Submission { alarms, received_at: ago(days), ..blank }).await.unwrap();
    }
    let mut reader = outbox.reader();
    let moments = [ago(old + 5), ago(old), now];
    let mut count = || reader.alarms_between(&AlarmFilter::default(), &moments).unwrap();
    assert_eq!(count(), [3, 1]);
    let waited = Instant::now();
    while count() != [1, 1] {
        assert!(waited.elapsed() < Duration::from_secs(20), "{:?}", count());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
