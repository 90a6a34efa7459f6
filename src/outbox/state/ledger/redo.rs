//! Alarms of the log that the rows do not include: after a crash they are applied again, by the code that applies a
//! new alarm. See [`checkpoint`](crate::outbox::state::checkpoint).

use super::Ledger;
use crate::activity::{Activities, ActivityKey, Now};
use crate::model::Record;
use crate::outbox::effects::Effects;
use crate::outbox::log::entry::Entry;
use crate::outbox::store::Saved;

impl Ledger {
    /// Restores the ledger from what was read from a database, and applies the alarms after its last checkpoint.
    /// Returns the rows that follow from these.
    pub(crate) fn restore(&mut self, saved: Saved, now: Now) -> Effects {
        let highest_seq = saved.highest_seq();
        self.next_no = saved.next_no;
        self.next_version = saved.next_version;
        self.next_device = saved.next_device;
        self.removed_seq = saved.card.removed_seq;
        self.activities = Activities::restore(saved.activities, now);
        self.devices = saved.devices.into_iter().map(|device| (device.source.clone(), device)).collect();
        self.note_unmute();
        let mut redone = Effects::default();
        for entry in &saved.redo {
            self.redo(entry, now, &mut redone);
        }
        // After the alarms of the log: their sequence numbers are below it.
        self.raise_seq(saved.card.seq_floor);
        self.highest_seq = self.highest_seq.max(highest_seq);
        redone
    }

    /// Applies an alarm of the log again to the counters of its device, its activity, and the value `last`. An alarm
    /// that the rows include already does not change the first two.
    fn redo(&mut self, entry: &Entry, now: Now, effects: &mut Effects) {
        let Record::Alarm(alarm) = &entry.record else { return };
        let device = self.devices.get_mut(&alarm.source).filter(|device| device.no == entry.source_no);
        let Some(device) = device else { return };
        device.count(alarm.seq, alarm.received_at);
        self.keep_counters(&alarm.source, effects);
        let key = ActivityKey { source: alarm.source.clone(), event: alarm.event.clone() };
        if self.activities.redo(&key, alarm, now) {
            self.keep_activity(key, alarm.phase, effects);
        }
        self.latest_alarm(entry.no, entry.source_no, alarm, effects);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;
    use rusqlite::Connection;
    use uuid::Uuid;

    use super::*;
    use crate::activity::Ongoing;
    use crate::config::Config;
    use crate::decode::{self, Body, BodyEnd, Hints};
    use crate::findings::Findings;
    use crate::model::Source;
    use crate::outbox::state::checkpoint;
    use crate::outbox::state::device::Device;
    use crate::outbox::state::value::ValueContent;
    use crate::outbox::store::salvage::Salvage;
    use crate::outbox::store::{load, schema, write, write_deferring};
    use crate::outbox::{Submission, WriterSettings};

    /// Start of the test; all its times are some seconds later.
    const BEGIN: i64 = 1_799_000_000_000;

    fn report(n: i64) -> Submission {
        let kind = if n % 4 == 3 { "VEHICLE" } else { "PEOPLE" };
        let json = serde_json::json!({"mac": format!("98-BA-5F-8B-10-0{}", n % 3), "event_list": [
            {"event_type": kind, "extra_text": [{"obj_num": n % 5, "region_id": [1]}]}]});
        let body = Body {
            bytes: json.to_string().into(),
            content_type: Some("application/json".into()),
            end: BodyEnd::Complete,
            skipped: 0,
            coding: None,
        };
        let hints = Hints { vendor: "auto".into(), alarms_per_report: 9, ..Hints::default() };
        Submission {
            id: Uuid::now_v7(),
            received_at: Timestamp::from_millisecond(BEGIN + n * 700).unwrap(),
            received: tokio::time::Instant::now(),
            peer: [127, 0, 0, 1].into(),
            webhook: "default".into(),
            zone: None,
            heard: Vec::new(),
            alarms: decode::decode(&body, &hints).unwrap().alarms,
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

    /// Notes that this commit is a checkpoint.
    fn note(ledger: &Ledger, effects: &mut Effects) {
        effects.state.notes.insert(checkpoint::NOTE.into(), (ledger.next_no - 1).to_string());
    }

    fn ledger() -> Ledger {
        Ledger::new(Arc::new(WriterSettings::new(&Config::default())), Findings::default(), 1)
    }

    /// A start with this database: the ledger, and the rows that it has to write.
    fn start(connection: &Connection) -> (Ledger, Effects) {
        let (mut started, now) = (ledger(), Now { mono: Duration::ZERO, wall: crate::host::now() });
        let redone = started.restore(load(connection).unwrap(), now);
        (started, redone)
    }

    /// Compares the state after a start: the numbers of each device, and the activities in progress.
    #[track_caller]
    fn assert_same(started: &Ledger, ledger: &Ledger) {
        let numbers = |ledger: &Ledger| -> BTreeMap<Source, _> {
            let numbers = |device: &Device| (device.no, device.seq, device.alarms, device.last_heard_ms);
            ledger.devices.iter().map(|(source, device)| (source.clone(), numbers(device))).collect()
        };
        assert_eq!(numbers(started), numbers(ledger));
        let activities = |ledger: &Ledger| -> BTreeMap<ActivityKey, Ongoing> {
            ledger.activities.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone())).collect()
        };
        assert_eq!(activities(started), activities(ledger));
        assert_eq!((started.next_no, started.highest_seq), (ledger.next_no, ledger.highest_seq));
    }

    #[test]
    fn a_start_after_a_crash_knows_all_that_the_log_knows() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap().unwrap();
        let mut ledger = ledger();
        let mut latest: BTreeMap<i64, i64> = BTreeMap::new();
        for n in 0..30 {
            let mut effects = submit(&mut ledger, n);
            let entries = effects.log.entries.iter().filter(|entry| entry.event().is_some());
            latest.extend(entries.map(|entry| (entry.source_no, entry.no)));
            if n < 9 {
                note(&ledger, &mut effects);
                write(&mut connection, None, &[&effects]).unwrap();
                assert!(start(&connection).1.is_empty(), "all was written");
            } else {
                write_deferring(&mut connection, &effects).unwrap();
            }
            assert_same(&start(&connection).0, &ledger);
        }
        let (started, mut redone) = start(&connection);
        let values = redone.state.values.iter();
        let redone_latest: BTreeMap<i64, i64> = values
            .filter_map(|(key, value)| {
                let ValueContent::Alarm(no, _) = value.as_ref()?.held else { return None };
                Some((key.source_no, no))
            })
            .collect();
        assert_eq!((redone_latest.len(), redone_latest), (3, latest));
        note(&started, &mut redone);
        write(&mut connection, None, &[&redone]).unwrap();
        let (again, redone) = start(&connection);
        assert!(redone.is_empty() && started.next_version <= again.next_version);
        assert_same(&again, &ledger);
    }

    #[test]
    fn a_database_set_aside_gives_devices_with_the_numbers_of_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let mut connection = Connection::open(&path).unwrap();
        schema::migrate(&mut connection).unwrap().unwrap();
        let mut ledger = ledger();
        for n in 0..9 {
            let mut effects = submit(&mut ledger, n);
            if n < 4 {
                note(&ledger, &mut effects);
                write(&mut connection, None, &[&effects]).unwrap();
            } else {
                write_deferring(&mut connection, &effects).unwrap();
            }
        }
        drop(connection);
        let salvaged = Salvage::open(&path).unwrap().next_part().unwrap();
        let numbers = |device: &Device| (device.source.clone(), (device.seq, device.alarms));
        let found: BTreeMap<Source, _> = salvaged.devices.iter().map(numbers).collect();
        let expected: BTreeMap<Source, _> = ledger.devices.values().map(numbers).collect();
        assert_eq!(found, expected);
        assert_eq!(salvaged.ongoing.len(), ledger.activities.iter().count());
    }
}
