//! Number of alarms over time, for the time line of the pages.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::entry::Entry;
use super::history::first_since;
use crate::model::{EventName, Record, Source};
use crate::outbox::reader::Reader;

/// Alarm counts of the devices heard last.
#[derive(Debug, Default)]
pub struct Placed {
    /// Counts by source, kind and place on the time line.
    pub counts: Vec<Count>,
    /// Number of further devices heard in that time.
    pub more: u64,
    /// Set if there were more alarms than are counted; the oldest are left out.
    pub cut: bool,
}

/// Number of alarms of a kind from a source, in one place of the time line (counted from its beginning).
pub type Count = (Source, EventName, i64, u64);

/// Maximum number of alarms counted, latest first, which bounds the time of a page.
const MAX_COUNTED: i64 = 100_000;

/// All kinds, each found by one index lookup, so that a query over them reads only the alarms it needs.
pub(super) const KINDS: &str = "WITH RECURSIVE kind(event) AS (
    SELECT min(event) FROM entry INDEXED BY entry_event WHERE event IS NOT NULL UNION ALL
    SELECT (SELECT min(event) FROM entry INDEXED BY entry_event WHERE event > kind.event) FROM kind
    WHERE kind.event IS NOT NULL)";

/// Alarms of all kinds, by an index alone.
const ALARMS: &str = "kind CROSS JOIN entry INDEXED BY entry_event ON entry.event = kind.event AND entry.no >= ?1 AND at >= ?2";

impl Reader {
    /// Alarms since a moment of the devices heard last, counted by source, kind and place; the length of a place is
    /// in milliseconds. Uses an index only. While the disk refuses writes, alarms in memory are counted too.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_by_place(
        &mut self,
        since: Timestamp,
        place_ms: i64,
        devices: u32,
    ) -> rusqlite::Result<Placed> {
        let (mut placed, newest) = self.known(|connection| {
            let (from, cut) = first_counted(connection, since)?;
            let mut statement = connection.prepare_cached(&by_place())?;
            let placed = |row: &rusqlite::Row<'_>| {
                let source = Source::from_known(&row.get::<_, String>(0)?);
                let event = EventName::new(&row.get::<_, String>(1)?);
                let (place, count) = (row.get(2)?, row.get::<_, i64>(3)?.unsigned_abs());
                Ok(source.map(|source| (source, event, place, count)))
            };
            let params = params![from, since.as_millisecond(), place_ms.max(1), devices];
            let counts = statement.query_map(params, placed)?.filter_map(Result::transpose);
            let newest = "SELECT coalesce(max(no), 0) FROM entry";
            let newest: i64 = connection.query_row(newest, [], |row| row.get(0))?;
            let heard = "SELECT count(*) FROM heard WHERE last_heard >= ?1";
            let heard: i64 = connection.query_row(heard, [since.as_millisecond()], |row| row.get(0))?;
            let placed = Placed {
                counts: counts.collect::<Result<_, _>>()?,
                more: heard.unsigned_abs().saturating_sub(u64::from(devices)),
                cut,
            };
            Ok((placed, newest))
        })?;
        if !self.shared.durable() {
            let recent = self.shared.recent();
            placed.add(recent.tail(newest).map(Arc::as_ref), (since, place_ms.max(1)), devices as usize);
        }
        Ok(placed)
    }

    /// Alarms by the hour of receipt (hours since 1970), oldest first, without empty hours. If there are too many,
    /// only the latest are counted, and earlier hours are left out.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_by_hour(&mut self, since: Timestamp) -> rusqlite::Result<Vec<(i64, u64)>> {
        self.known(|connection| {
            let (from, cut) = first_counted(connection, since)?;
            let mut statement = connection.prepare_cached(&by_hour())?;
            let hour = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
            let hours = statement.query_map(params![from, since.as_millisecond()], hour)?;
            // The oldest hour may be counted in part, so it is left out.
            hours.skip(usize::from(cut)).collect()
        })
    }
}

impl Placed {
    /// Adds alarms that only memory has, for a maximum number of devices.
    fn add<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        (since, place_ms): (Timestamp, i64),
        devices: usize,
    ) {
        let mut drawn: HashSet<Source> = self.counts.iter().map(|(source, ..)| source.clone()).collect();
        let mut others = HashSet::new();
        for entry in entries.filter(|entry| !entry.is_replay()) {
            let Record::Alarm(alarm) = &entry.record else { continue };
            let after = alarm.received_at.as_millisecond() - since.as_millisecond();
            if after < 0 {
                continue;
            }
            if drawn.len() < devices {
                drawn.insert(alarm.source.clone());
            }
            if drawn.contains(&alarm.source) {
                self.counts.push((alarm.source.clone(), alarm.event.clone(), after / place_ms, 1));
            } else {
                others.insert(&alarm.source);
            }
        }
        self.more += others.len() as u64;
    }
}

/// Query of alarms from number ?1 and time ?2 on, by places of ?3 milliseconds, of the ?4 devices heard last.
fn by_place() -> String {
    format!(
        "{KINDS}, late AS (
        SELECT no, source FROM device JOIN heard USING (no) WHERE last_heard >= ?2 ORDER BY last_heard DESC, no DESC LIMIT ?4
        ), counted AS (
        SELECT source, entry.event AS event, (at - ?2) / ?3 AS place, count(*) AS count FROM {ALARMS}
        WHERE source IN (SELECT no FROM late) GROUP BY source, entry.event, place)
        SELECT late.source, event, place, count FROM counted JOIN late ON late.no = counted.source ORDER BY place"
    )
}

/// Query of alarms from number ?1 and time ?2 on, by hour.
fn by_hour() -> String {
    format!("{KINDS} SELECT at / 3600000, count(*) FROM {ALARMS} GROUP BY 1 ORDER BY 1")
}

/// First number to count from, and whether more alarms since that moment exist than are counted.
fn first_counted(connection: &Connection, since: Timestamp) -> rusqlite::Result<(i64, bool)> {
    let from = first_since(connection, since)?;
    let newest: i64 = connection.query_row("SELECT coalesce(max(no), 0) FROM entry", [], |row| row.get(0))?;
    let least = newest - MAX_COUNTED;
    Ok((from.max(least), from < least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::log::plans::plan;

    #[test]
    fn alarms_that_only_memory_has_are_counted_and_the_devices_stay_bounded() {
        let alarm = crate::model::testing::person();
        let entry = |no: i64, source: &str| {
            let source = Source::from_known(source).unwrap();
            let alarm = crate::model::AlarmRecord { source, ..alarm.clone() };
            Entry::new(no, no, Record::Alarm(Arc::new(alarm)))
        };
        let entries = [entry(1, "021a2b3c4d5e"), entry(2, "021a2b3c4d5e"), entry(3, "021a2b3c4d5f")];
        let mut placed = Placed::default();
        placed.add(entries.iter(), (alarm.received_at, 1_000), 1);
        assert_eq!((placed.counts.len(), placed.more), (2, 1));
        assert_eq!((placed.counts[0].2, placed.counts[0].3), (0, 1));
    }

    #[test]
    fn only_alarms_of_the_time_asked_for_are_visited_and_only_in_the_index() {
        for sql in [by_place(), by_hour()] {
            let plan = plan(&sql);
            assert!(
                plan.contains("SEARCH entry USING COVERING INDEX entry_event (event=? AND no>?)"),
                "{plan}"
            );
            assert!(!plan.contains("SCAN entry"), "{plan}");
        }
    }
}
