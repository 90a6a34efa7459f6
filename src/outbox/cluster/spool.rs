//! The spool: reports and actions that JetStream has not acknowledged. The newest ones are also in memory, for a database
//! that is lost and for a disk that refuses writes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};

use super::Applied;
use crate::outbox::Reader;

/// Maximum bytes of messages in memory that are on the disk too.
const MAX_BYTES: usize = 16 << 20;

/// A message of the spool: it waits for JetStream.
#[derive(Debug, Clone)]
pub struct SpoolRow {
    /// Number of the message; 0 before the writer has it. Numbers rise as long as the process runs, also over a database
    /// that is lost.
    pub no: i64,
    /// The message as JSON.
    pub body: String,
    /// Its pictures, concatenated.
    pub pictures: Vec<u8>,
}

impl SpoolRow {
    /// Bytes of message and pictures.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.pictures.len()
    }
}

/// Size of the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolSize {
    /// Messages.
    pub rows: u64,
    /// Bytes of messages and pictures.
    pub bytes: u64,
}

/// The newest messages of the spool, and the last records that were applied.
#[derive(Debug, Default)]
pub(crate) struct SpoolMemory(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    last_no: i64,
    rows: VecDeque<Arc<SpoolRow>>,
    bytes: usize,
    applied: Vec<Applied>,
}

impl SpoolMemory {
    /// Continues after what a database holds.
    pub(crate) fn restore(&self, last_no: i64, applied: Vec<Applied>) {
        let mut memory = self.0.lock();
        (memory.last_no, memory.applied) = (last_no, applied);
    }

    /// Gives a message its number. `durable`: older ones are on the disk and may leave memory.
    pub(crate) fn add(&self, row: SpoolRow, durable: bool) -> Arc<SpoolRow> {
        let mut memory = self.0.lock();
        memory.last_no += 1;
        let row = Arc::new(SpoolRow { no: memory.last_no, ..row });
        memory.bytes += row.bytes();
        memory.rows.push_back(Arc::clone(&row));
        while durable && MAX_BYTES < memory.bytes && 1 < memory.rows.len() {
            memory.pop();
        }
        row
    }

    /// Forgets messages up to a number.
    pub(crate) fn forget(&self, no: i64) {
        let mut memory = self.0.lock();
        while memory.rows.front().is_some_and(|row| row.no <= no) {
            memory.pop();
        }
    }

    /// Notes the last record of a partition.
    pub(crate) fn note_applied(&self, at: Applied) {
        let mut memory = self.0.lock();
        memory.applied.retain(|of| of.k != at.k);
        memory.applied.push(at);
    }

    /// Messages after a number.
    fn after(&self, no: i64) -> Vec<Arc<SpoolRow>> {
        self.0.lock().rows.iter().filter(|row| no < row.no).cloned().collect()
    }

    /// Messages and records that a new database needs.
    pub(crate) fn remembered(&self) -> (Vec<Arc<SpoolRow>>, Vec<Applied>) {
        let memory = self.0.lock();
        (memory.rows.iter().cloned().collect(), memory.applied.clone())
    }
}

impl Memory {
    fn pop(&mut self) {
        let bytes = self.rows.pop_front().map_or(0, |row| row.bytes());
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Highest number that a message of a database had, and the last record of each partition.
pub(crate) fn load(connection: &Connection) -> rusqlite::Result<(i64, Vec<Applied>)> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'spool'";
    let last_no = connection.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0);
    let sql = "SELECT k, max(log), input, no, version FROM applied GROUP BY k";
    let mut statement = connection.prepare(sql)?;
    let applied = statement.query_map([], super::applied)?.collect::<rusqlite::Result<_>>()?;
    Ok((last_no, applied))
}

impl Reader {
    /// Messages that wait for JetStream, after a number. While the disk refuses writes, also those that memory alone has.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn spool_after(&mut self, after: i64, limit: usize) -> rusqlite::Result<Vec<Arc<SpoolRow>>> {
        loop {
            let (durable, turns) = (self.shared.durable(), self.shared.tip().borrow().turns);
            let mut rows = self.disk(|connection| {
                let sql = "SELECT no, body, pictures FROM spool WHERE no > ?1 ORDER BY no LIMIT ?2";
                let row = |row: &rusqlite::Row<'_>| {
                    Ok(Arc::new(SpoolRow { no: row.get(0)?, body: row.get(1)?, pictures: row.get(2)? }))
                };
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                connection.prepare_cached(sql)?.query_map([after, limit], row)?.collect::<Result<Vec<_>, _>>()
            })?;
            if durable && self.shared.durable() {
                return Ok(rows);
            }
            let last = rows.last().map_or(after, |row| row.no);
            let missing = limit - rows.len().min(limit);
            rows.extend(self.shared.spool.after(last).into_iter().take(missing));
            // Rows may have gone from memory to the disk meanwhile.
            if !durable && self.shared.tip().borrow().turns == turns {
                return Ok(rows);
            }
        }
    }

    /// Size of the spool on the disk.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn spool_size(&mut self) -> rusqlite::Result<SpoolSize> {
        let sql = "SELECT count(*), coalesce(sum(length(body) + length(pictures)), 0) FROM spool";
        self.disk(|connection| {
            connection.query_row(sql, [], |row| {
                let (rows, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(SpoolSize { rows: rows.unsigned_abs(), bytes: bytes.unsigned_abs() })
            })
        })
    }
}
