//! How many alarms came when: for the time line of the pages.

use jiff::Timestamp;
use rusqlite::params;

use super::history::first_since;
use super::reader::Reader;
use crate::model::{EventName, Source};

/// So many alarms of a kind from a source, in one place of the time line (counted from its beginning).
pub type Placed = (Source, EventName, i64, u64);

impl Reader {
    /// Alarms since a moment, counted by source, kind and place; a place is so many milliseconds long. An index
    /// alone answers this.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_by_place(&mut self, since: Timestamp, place_ms: i64) -> rusqlite::Result<Vec<Placed>> {
        self.disk(|connection| {
            let from = first_since(connection, since)?;
            let sql = "SELECT d.source, p.event, p.place, p.count FROM (
                SELECT source, event, (at - ?2) / ?3 AS place, count(*) AS count FROM entry INDEXED BY entry_event
                WHERE event IS NOT NULL AND no >= ?1 AND at >= ?2 GROUP BY source, event, place
                ) AS p JOIN device d ON d.no = p.source ORDER BY p.place";
            let mut statement = connection.prepare_cached(sql)?;
            let placed = |row: &rusqlite::Row<'_>| {
                let source = Source::from_known(&row.get::<_, String>(0)?);
                let event = EventName::new(&row.get::<_, String>(1)?);
                let (place, count) = (row.get(2)?, row.get::<_, i64>(3)?.unsigned_abs());
                Ok(source.map(|source| (source, event, place, count)))
            };
            let params = params![from, since.as_millisecond(), place_ms.max(1)];
            statement.query_map(params, placed)?.filter_map(Result::transpose).collect()
        })
    }
}
