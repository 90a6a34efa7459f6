//! Parked messages (dead letters): messages that a broker refuses for good. They are set aside, so that others are
//! not held up, and can be sent again by hand. Their number is bounded, since a broker may refuse one topic
//! permanently.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::findings::FindingCode;
use crate::outbox::log::history::moment;
use crate::outbox::reader::{Reader, rows_limit};
use crate::outbox::writer::Writer;
use crate::outbox::{Outbox, store};

/// Maximum number of messages parked for one sink; past it the oldest are dropped.
const CAPACITY: u64 = 10_000;

/// A log message that a sink refuses for good.
#[derive(Debug, Clone)]
pub struct ParkedEntry {
    /// Its number among the parked messages.
    pub no: i64,
    /// The sink.
    pub sink: String,
    /// The number of the log entry.
    pub entry: i64,
    /// Topic of the message.
    pub topic: String,
    /// Stable code of the reason.
    pub code: String,
    /// Full text of the reason.
    pub reason: String,
    /// Time at which it was parked.
    pub at: Timestamp,
    /// The identifier of its record, while the log has it.
    pub id: Option<Uuid>,
}

impl Reader {
    /// Parked messages, latest first, before a number.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn parked(&mut self, before: Option<i64>, limit: usize) -> rusqlite::Result<Vec<ParkedEntry>> {
        let condition = "p.no < ?1 ORDER BY p.no DESC LIMIT ?2";
        let before = before.unwrap_or(i64::MAX);
        self.known(|connection| parked(connection, condition, before, rows_limit(limit)))
    }

    /// Parked messages of one log entry.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn parked_of(&mut self, entry: i64) -> rusqlite::Result<Vec<ParkedEntry>> {
        self.known(|connection| parked(connection, "p.entry = ?1 LIMIT ?2", entry, 100))
    }
}

impl Outbox {
    /// Number of messages parked for a sink now.
    #[must_use]
    pub fn parked_now(&self, sink: &str) -> u64 {
        self.shared.parked(sink)
    }
}

impl Writer {
    /// Counts the parked messages, and drops the oldest past the bound. Their entries stay in history.
    pub(crate) fn bound_parked(&self) {
        let Some(connection) = self.disk.connection.as_ref() else { return };
        if let Err(error) = self.count_parked(connection) {
            tracing::debug!("parked messages could not be counted: {error}");
        }
    }

    fn count_parked(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut counts = counts(connection)?;
        for (sink, count) in &mut counts {
            let beyond = count.saturating_sub(CAPACITY);
            if beyond == 0 {
                continue;
            }
            drop_oldest(connection, sink, beyond)?;
            *count -= beyond;
            let detail = format!(
                "more than {CAPACITY} messages are parked for {sink}: the oldest {beyond} were dropped"
            );
            self.shared.findings.raise(FindingCode::ParkedDropped, sink, &detail);
        }
        self.shared.note_parked(&counts);
        Ok(())
    }
}

/// Number of messages parked for each sink.
pub(crate) fn counts(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare_cached("SELECT sink, count(*) FROM parked GROUP BY sink")?;
    let count = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
    statement.query_map([], count)?.collect()
}

fn drop_oldest(connection: &Connection, sink: &str, count: u64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM parked WHERE no IN (SELECT no FROM parked WHERE sink = ?1 ORDER BY no LIMIT ?2)";
    connection.execute(sql, params![sink, store::signed(count)]).map(drop)
}

/// Numbers of the parked messages of a sink with the record of this identifier.
pub(crate) fn numbers_of(connection: &Connection, sink: &str, id: Uuid) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT p.no FROM parked p JOIN entry e ON e.no = p.entry WHERE p.sink = ?1 AND e.id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![sink, id.as_bytes()], |row| row.get(0))?.collect()
}

fn parked(
    connection: &Connection,
    condition: &str,
    key: i64,
    limit: i64,
) -> rusqlite::Result<Vec<ParkedEntry>> {
    let sql = format!(
        "SELECT p.no, p.sink, p.entry, p.topic, p.code, p.reason, p.at, e.id FROM parked p
        LEFT JOIN entry e ON e.no = p.entry WHERE {condition}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let entry = |row: &rusqlite::Row<'_>| {
        Ok(ParkedEntry {
            no: row.get(0)?,
            sink: row.get(1)?,
            entry: row.get(2)?,
            topic: row.get(3)?,
            code: row.get(4)?,
            reason: row.get(5)?,
            at: moment(row.get(6)?),
            id: row.get::<_, Option<[u8; 16]>>(7)?.map(Uuid::from_bytes),
        })
    };
    statement.query_map(params![key, limit], entry)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::store::schema;

    #[test]
    fn the_oldest_of_one_sink_go() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap().unwrap();
        let park = "INSERT INTO parked (sink, entry, topic, code, reason, at) VALUES (?1, ?2, '', '', '', 0)";
        for (sink, entry) in [("mqtt", 1), ("nats", 2), ("mqtt", 3), ("mqtt", 4)] {
            connection.execute(park, params![sink, entry]).unwrap();
        }
        drop_oldest(&connection, "mqtt", 2).unwrap();
        assert_eq!(counts(&connection).unwrap(), BTreeMap::from([("mqtt".into(), 1), ("nats".into(), 1)]));
        let left: i64 = connection
            .query_row("SELECT entry FROM parked WHERE sink = 'mqtt'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 4);
    }
}
