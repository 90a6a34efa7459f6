//! How many alarms came when: for the time line of the pages.

use jiff::Timestamp;
use rusqlite::params;

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
}

/// So many alarms of a kind from a source, in one place of the time line (counted from its beginning).
pub type Count = (Source, EventName, i64, u64);

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
            let from = first_since(connection, since)?;
            let sql = "WITH late AS (
                SELECT no, source FROM device JOIN heard USING (no) WHERE last_heard >= ?2 ORDER BY last_heard DESC, no DESC LIMIT ?4
                ), counted AS (
                SELECT source, event, (at - ?2) / ?3 AS place, count(*) AS count FROM entry INDEXED BY entry_event
                WHERE event IS NOT NULL AND no >= ?1 AND at >= ?2 AND source IN (SELECT no FROM late)
                GROUP BY source, event, place)
                SELECT late.source, event, place, count FROM counted JOIN late ON late.no = counted.source
                ORDER BY place";
            let mut statement = connection.prepare_cached(sql)?;
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
            })
        })
    }
}
