//! After a crash: rows that follow from the log and were to be written after it (see `writer::waiting`) are found again
//! by its last entries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::Saved;
use crate::activity::{Key, Ongoing};
use crate::model::Record;
use crate::model::record::{AlarmRecord, BestSnapshot};
use crate::model::value::What;
use crate::outbox::device::Device;
use crate::outbox::effects::{Entry, Heard, Held, Value, ValueKey};
use crate::outbox::{reader, schema};

/// The note that says up to which entry such rows are written.
pub(crate) const WRITTEN: &str = "written";

/// Brings the books up to the log where they are behind it; what is to be written of them is in `saved.behind`.
pub(super) fn catch_up(connection: &Connection, saved: &mut Saved) -> rusqlite::Result<()> {
    // Before there was such a note, all was written with its entries.
    let written = schema::note(connection, WRITTEN)?.and_then(|no| no.parse().ok());
    saved.written = written.unwrap_or(saved.next_no - 1);
    let entries = after(connection, saved.written)?;
    if entries.is_empty() {
        return Ok(());
    }
    let mut devices: HashMap<i64, &mut Device> =
        saved.devices.iter_mut().map(|device| (device.no, device)).collect();
    let mut ongoing: BTreeMap<&Key, &mut Ongoing> =
        saved.activities.iter_mut().map(|(key, ongoing)| (&*key, ongoing)).collect();
    for entry in &entries {
        let Record::Alarm(alarm) = &entry.record else { continue };
        let Some(device) = devices.get_mut(&entry.source_no) else { continue };
        saved.behind.heard.insert(entry.source_no, heard(device, alarm));
        let key = Key { source: alarm.source.clone(), event: alarm.event.clone() };
        if let Some(ongoing) = ongoing.get_mut(&key)
            && Some(ongoing.activity_id) == alarm.activity_id
            && repeated(ongoing, alarm)
        {
            saved.behind.repeats.insert(key, ongoing.clone());
        }
        let key = ValueKey { source_no: entry.source_no, what: What::Last, event: None };
        let held = Held::Alarm(entry.no, Arc::clone(alarm));
        let value = Value { version: saved.next_version, source: Some(alarm.source.clone()), held };
        saved.behind.values.insert(key, Some(value.into()));
        saved.next_version += 1;
    }
    tracing::info!("{} devices were brought up to the end of the log", saved.behind.heard.len());
    Ok(())
}

/// Entries whose rows may be missing; none that was sent or taken back by hand.
fn after(connection: &Connection, written: i64) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let sql = "SELECT no, source, run, mono, body, again FROM entry WHERE ?1 < no AND again IS NULL AND 0 < run ORDER BY no";
    reader::rows(connection, sql, params![written])
}

/// A device heard once more, unless it knows of that alarm.
fn heard(device: &mut Device, alarm: &AlarmRecord) -> Heard {
    device.alarms += alarm.seq.saturating_sub(device.seq);
    device.seq = device.seq.max(alarm.seq);
    device.last_heard_ms = device.last_heard_ms.max(alarm.received_at.as_millisecond());
    Heard::from(&*device)
}

/// An activity with one more alarm, unless it knows of that one; says whether it is new.
fn repeated(ongoing: &mut Ongoing, alarm: &AlarmRecord) -> bool {
    let new = ongoing.alarms <= alarm.repeat;
    if new {
        let picture = alarm.snapshot.clone().map(|snapshot| BestSnapshot { alarm: alarm.id, snapshot });
        ongoing.take_in(ongoing.last.max(alarm.received_at), alarm.count, picture.as_ref());
    }
    new
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::activity::Now;
    use crate::config::Config;
    use crate::findings::Findings;
    use crate::model::Source;
    use crate::outbox::effects::Effects;
    use crate::outbox::ledger::Ledger;
    use crate::outbox::store::{load, write, write_without_waiting};
    use crate::outbox::{Settings, Submission};
    use crate::vendor::{self, Body, End, Hints};

    /// The start; every moment of the test is some seconds after it.
    const BEGIN: i64 = 1_799_000_000_000;

    fn report(n: i64) -> Submission {
        let kind = if n % 4 == 3 { "VEHICLE" } else { "PEOPLE" };
        let json = serde_json::json!({"mac": format!("98-BA-5F-8B-10-0{}", n % 3), "event_list": [
            {"event_type": kind, "extra_text": [{"obj_num": n % 5, "region_id": [1]}]}]});
        let body = Body {
            bytes: json.to_string().into(),
            content_type: Some("application/json".into()),
            end: End::Complete,
            skipped: 0,
        };
        let hints = Hints { vendor: "auto".into(), alarms_per_report: 9, ..Hints::default() };
        Submission {
            id: Uuid::now_v7(),
            received_at: Timestamp::from_millisecond(BEGIN + n * 700).unwrap(),
            received: tokio::time::Instant::now(),
            peer: [127, 0, 0, 1].into(),
            webhook: "default".into(),
            zone: None,
            alarms: vendor::decode(&body, &hints).unwrap().alarms,
            pictures: Vec::new(),
            request: None,
        }
    }

    fn submit(ledger: &mut Ledger, n: i64) -> Effects {
        let (mut effects, mut submission) = (Effects::default(), report(n));
        let mono = Duration::from_millis(n.unsigned_abs() * 700);
        let at = Now { mono, wall: submission.received_at };
        assert_eq!(ledger.submit(&mut submission, &[], at, &mut effects).len(), 1);
        effects
    }

    fn note(ledger: &Ledger, effects: &mut Effects) {
        effects.notes.insert(WRITTEN.into(), (ledger.next_no - 1).to_string());
    }

    /// What a start has to know: of each device its numbers, and what goes on.
    #[track_caller]
    fn assert_knows(saved: &Saved, ledger: &Ledger) {
        let numbers = |device: &Device| (device.no, device.seq, device.alarms, device.last_heard_ms);
        let known: BTreeMap<&Source, _> =
            saved.devices.iter().map(|device| (&device.source, numbers(device))).collect();
        let expected: BTreeMap<&Source, _> =
            ledger.devices.iter().map(|(source, device)| (source, numbers(device))).collect();
        assert_eq!(known, expected);
        let known: BTreeMap<_, _> = saved.activities.iter().cloned().collect();
        let expected: BTreeMap<_, _> =
            ledger.activities.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone())).collect();
        assert_eq!(known, expected);
        assert_eq!(saved.next_no, ledger.next_no);
    }

    #[test]
    fn a_start_after_a_crash_knows_all_that_the_log_knows() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap().unwrap();
        let settings = Arc::new(Settings::new(&Config::default()));
        let mut ledger = Ledger::new(settings, Findings::default(), 1);
        let mut latest: BTreeMap<i64, i64> = BTreeMap::new();
        for n in 0..30 {
            let mut effects = submit(&mut ledger, n);
            latest.extend(
                effects.entries.iter().filter(|entry| entry.event().is_some()).map(|e| (e.source_no, e.no)),
            );
            if n < 9 {
                note(&ledger, &mut effects);
                write(&mut connection, &[&effects]).unwrap();
                assert!(load(&connection).unwrap().behind.is_empty(), "all was written");
            } else {
                write_without_waiting(&mut connection, &effects).unwrap();
            }
            assert_knows(&load(&connection).unwrap(), &ledger);
        }
        let mut saved = load(&connection).unwrap();
        let behind: BTreeMap<i64, i64> = saved
            .behind
            .values
            .iter()
            .filter_map(|(key, value)| {
                let Held::Alarm(no, _) = value.as_ref()?.held else { return None };
                Some((key.source_no, no))
            })
            .collect();
        assert_eq!((behind.len(), behind), (3, latest));
        note(&ledger, &mut saved.behind);
        write(&mut connection, &[&saved.behind]).unwrap();
        let again = load(&connection).unwrap();
        assert!(again.behind.is_empty() && saved.next_version <= again.next_version);
        assert_knows(&again, &ledger);
    }
}
