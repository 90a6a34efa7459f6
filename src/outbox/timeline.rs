//! How many alarms came when: for the time line of the pages.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::history::first_since;
use super::reader::Reader;
use crate::model::{EventName, Source};

/// Alarms of the devices heard last.
#[derive(Debug, Default)]
pub struct Placed {
    /// How many came when.
    pub counts: Vec<Count>,
    /// How many more devices were heard in that time.
    pub more: u64,
    /// There were more alarms than are counted; the oldest are left out.
    pub cut: bool,
}

/// So many alarms of a kind from a source, in one place of the time line (counted from its beginning).
pub type Count = (Source, EventName, i64, u64);

/// At most so many of the latest alarms are counted, however many there are: a page answers at once.
const COUNTED: i64 = 100_000;

/// Every kind there is, each found by one look into the index; a query over them goes straight to the alarms it wants.
const KINDS: &str = "WITH RECURSIVE kind(event) AS (
    SELECT min(event) FROM entry INDEXED BY entry_event WHERE event IS NOT NULL UNION ALL
    SELECT (SELECT min(event) FROM entry INDEXED BY entry_event WHERE event > kind.event) FROM kind
    WHERE kind.event IS NOT NULL)";

/// The alarms of all kinds, by an index alone.
const ALARMS: &str = "kind CROSS JOIN entry INDEXED BY entry_event ON entry.event = kind.event AND entry.no >= ?1 AND at >= ?2";

impl Reader {
    /// Alarms since a moment of the few devices heard last, counted by source, kind and place; a place is so many
    /// milliseconds long. An index alone answers this.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_by_place(
        &mut self,
        since: Timestamp,
        place_ms: i64,
        devices: u32,
    ) -> rusqlite::Result<Placed> {
        self.disk(|connection| {
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
            let heard = "SELECT count(*) FROM heard WHERE last_heard >= ?1";
            let heard: i64 = connection.query_row(heard, [since.as_millisecond()], |row| row.get(0))?;
            Ok(Placed {
                counts: counts.collect::<Result<_, _>>()?,
                more: heard.unsigned_abs().saturating_sub(u64::from(devices)),
                cut,
            })
        })
    }

    /// Alarms by the hour they were received in (hours since 1970), oldest first, without hours that had none. Of a
    /// great many only the latest are counted, and the hours before are left out.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_by_hour(&mut self, since: Timestamp) -> rusqlite::Result<Vec<(i64, u64)>> {
        self.known(|connection| {
            let (from, cut) = first_counted(connection, since)?;
            let mut statement = connection.prepare_cached(&by_hour())?;
            let hour = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
            let hours = statement.query_map(params![from, since.as_millisecond()], hour)?;
            // The hour that the cut goes through would be counted in part.
            hours.skip(usize::from(cut)).collect()
        })
    }
}

/// Of number ?1 and time ?2 on, by places of ?3 milliseconds, of the ?4 devices heard last.
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

/// Of number ?1 and time ?2 on, by hour.
fn by_hour() -> String {
    format!("{KINDS} SELECT at / 3600000, count(*) FROM {ALARMS} GROUP BY 1 ORDER BY 1")
}

/// The first number to count from, and whether there are more since that moment than are counted.
fn first_counted(connection: &Connection, since: Timestamp) -> rusqlite::Result<(i64, bool)> {
    let from = first_since(connection, since)?;
    let newest: i64 = connection.query_row("SELECT coalesce(max(no), 0) FROM entry", [], |row| row.get(0))?;
    let least = newest - COUNTED;
    Ok((from.max(least), from < least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::schema;

    /// How SQLite goes about a query, a line a step.
    fn plan(sql: &str) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap().unwrap();
        schema::keep_statements(&connection).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let numbers = rusqlite::params_from_iter(vec![1; statement.parameter_count()]);
        let steps: Vec<String> =
            statement.query_map(numbers, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        steps.join("\n")
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
