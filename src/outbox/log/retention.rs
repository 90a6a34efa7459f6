//! Retention: bounds by age and by bytes, separate for the backlog (entries that a sink has not acknowledged) and for
//! history (entries that all sinks have). Rows are deleted in short steps between commits, so that no camera waits.

use std::time::Duration;

use jiff::SignedDuration;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::time::Instant;
use uuid::Uuid;

use super::search;
use super::space::{self, Extent};
use crate::outbox::writer::Writer;

/// Interval of housekeeping.
const INTERVAL: Duration = Duration::from_secs(5);
/// Interval while there is more to delete.
const BUSY_INTERVAL: Duration = Duration::from_millis(60);
/// Number of rows examined in one step, which takes far less than 50 ms on any disk.
const STEP_ROWS: usize = 400;
/// Number of requests kept for the Requests page.
pub(crate) const REQUESTS: usize = 500;
/// Bytes of requests kept for the Requests page.
const REQUEST_BYTES: i64 = 32 << 20;
/// Database pages given back to the file system in one step.
const PAGES_PER_STEP: i64 = 256;

/// State of housekeeping.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    /// Time of the next step.
    next: Instant,
    /// Last try to write to a disk that refuses.
    tried: Option<Instant>,
    /// Picture files without a row were deleted in this run.
    swept: bool,
    /// Bytes of all pictures, once they were counted.
    pictures: Option<u64>,
    /// Last number examined in this pass over history.
    from: i64,
}

impl Housekeeping {
    /// Schedules the first step one second after the start, so that cameras are served first.
    pub(crate) fn new() -> Self {
        let next = Instant::now() + Duration::from_secs(1);
        Self { next, tried: None, swept: false, pictures: None, from: 0 }
    }

    /// Time of the next step.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Returns whether a step is due.
    pub(crate) fn due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// Makes a step due now.
    pub(crate) fn soon(&mut self) {
        self.next = Instant::now();
    }

    /// Adds the bytes of committed pictures.
    pub(crate) fn stored(&mut self, bytes: u64) {
        self.pictures = self.pictures.map(|pictures| pictures + bytes);
    }

    /// Starts over for a new database.
    pub(crate) fn began_anew(&mut self) {
        self.pictures = None;
        self.from = 0;
    }

    /// Returns whether the last write attempt is more recent than `pause`. If not, notes an attempt now.
    pub(crate) fn too_early(&mut self, pause: Duration) -> bool {
        let early = self.tried.is_some_and(|tried| tried.elapsed() < pause);
        if !early {
            self.tried = Some(Instant::now());
        }
        early
    }
}

/// Result of one deletion step.
#[derive(Debug, Default)]
struct Deleted {
    pictures: Vec<Uuid>,
    bytes: u64,
    /// There is more to examine.
    more: bool,
}

impl Writer {
    /// One step of housekeeping.
    pub(crate) fn run_housekeeping(&mut self) {
        let more = match self.housekeeping_step() {
            Ok(more) => more,
            Err(error) if crate::outbox::store::is_damage(&error) => {
                self.shared.report_damage(self.shared.generation());
                false
            }
            Err(error) => {
                tracing::debug!("housekeeping was put off: {error}");
                false
            }
        };
        self.housekeeping.next = Instant::now() + if more { BUSY_INTERVAL } else { INTERVAL };
    }

    /// One step. Returns whether there is more to do.
    fn housekeeping_step(&mut self) -> rusqlite::Result<bool> {
        if self.unwritten.is_some() {
            return Ok(false);
        }
        self.sweep();
        let waiting = self.flush_pictures();
        let Some(connection) = self.disk.connection.as_ref() else { return Ok(waiting) };
        let pictures = match self.housekeeping.pictures {
            Some(bytes) => bytes,
            None => space::picture_bytes(connection)?,
        };
        self.housekeeping.pictures = Some(pictures);
        let extent = space::extent(connection, &self.folder, pictures, self.shared.delivered())?;
        let aged = self.bound_backlogs(connection, &extent)?;
        bound_requests(connection)?;
        let low_on_space = self.low_on_space();
        let cutoff = self.history_cutoff(&extent, low_on_space);
        let more = self.delete_history(&extent, cutoff)?;
        if let Some(connection) = self.disk.connection.as_ref() {
            space::vacuum(connection, PAGES_PER_STEP)?;
        }
        if !low_on_space {
            space::keep_reserve(&self.folder);
        }
        let unsearched = match self.disk.connection.as_mut() {
            Some(connection) if !low_on_space => search::index_step(connection, STEP_ROWS)?,
            _ => false,
        };
        Ok(more || waiting || aged || unsearched)
    }

    /// Writes pictures held in memory, if the disk accepts them again. Returns whether there are more.
    fn flush_pictures(&self) -> bool {
        self.shared.pictures.flush().unwrap_or_else(|error| {
            tracing::debug!("pictures held in memory cannot be written yet: {error}");
            false
        })
    }

    /// Deletes, once, picture files without a row, left by a crash between picture and commit. Runs on a thread of
    /// its own, since there may be many; skipped while a database that was set aside may refer to them.
    fn sweep(&mut self) {
        if std::mem::replace(&mut self.housekeeping.swept, true)
            || crate::outbox::store::has_set_aside(&self.folder)
        {
            return;
        }
        let (folder, pictures) = (self.folder.clone(), self.shared.pictures.clone());
        let sweep = move || {
            match space::sweep(&folder, &pictures) {
                Ok(0) => {}
                Ok(swept) => tracing::info!("{swept} pictures whose alarm was never committed were deleted"),
                Err(error) => tracing::debug!("pictures could not be swept: {error}"),
            }
            pictures.all_swept();
        };
        if let Err(error) = std::thread::Builder::new().name("sweep".into()).spawn(sweep) {
            tracing::debug!("pictures could not be swept: {error}");
        }
    }

    /// Drops backlog past its bounds by age and bytes, by raising the number at which the backlog of each sink
    /// begins. Returns whether there is more to examine.
    fn bound_backlogs(&self, connection: &Connection, extent: &Extent) -> rusqlite::Result<bool> {
        let storage = &self.ledger.settings.storage;
        let (by_age, more) = aged(connection, extent.delivered, days_ago(storage.backlog_max_days))?;
        let most = i64::try_from(storage.backlog_max_bytes.0 / extent.each()).unwrap_or(i64::MAX);
        let by_bytes = self.ledger.next_no.saturating_sub(1).saturating_sub(most);
        let floor = by_age.max(by_bytes);
        for (sink, position) in self.shared.positions() {
            if position.log_low < floor {
                self.shared.raise_floor(&sink, floor);
            }
        }
        Ok(more)
    }

    /// Time before which history is deleted, in milliseconds since 1970.
    fn history_cutoff(&self, extent: &Extent, low_on_space: bool) -> i64 {
        let storage = &self.ledger.settings.storage;
        let backlog = self.ledger.next_no.saturating_sub(1).saturating_sub(extent.delivered).unsigned_abs();
        let history = extent.bytes().saturating_sub(extent.each().saturating_mul(backlog));
        if low_on_space || storage.history_max_bytes.0 < history {
            return i64::MAX;
        }
        days_ago(storage.history_max_days)
    }

    /// Deletes one step of history, oldest first, except entries that a current value or a parked message refers to.
    /// Returns whether there is more.
    fn delete_history(&mut self, extent: &Extent, cutoff: i64) -> rusqlite::Result<bool> {
        let from = self.housekeeping.from;
        let Some(connection) = self.disk.connection.as_mut() else { return Ok(false) };
        let (until, found) = expired(connection, from, extent.delivered, cutoff)?;
        if found.is_empty() {
            // Entries that stayed are examined again in the next pass.
            self.housekeeping.from = 0;
            return Ok(false);
        }
        let deleted = delete(connection, &found)?;
        self.shared.counts.forget(until);
        self.housekeeping.from = until;
        self.housekeeping.pictures =
            self.housekeeping.pictures.map(|bytes| bytes.saturating_sub(deleted.bytes));
        for picture in deleted.pictures {
            self.shared.pictures.delete(picture);
        }
        Ok(deleted.more)
    }

    /// Returns whether free disk space is below the configured minimum.
    fn low_on_space(&self) -> bool {
        space::free_bytes(&self.folder)
            .is_some_and(|free| free < self.ledger.settings.storage.min_free_bytes.0)
    }

    /// Frees space on a full disk: deletes the reserve file, then history.
    pub(crate) fn make_room(&mut self) {
        space::give_reserve_up(&self.folder);
        for _ in 0..8 {
            match self.make_some_room() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!("no room could be made on the full disk: {error}");
                    return;
                }
            }
        }
    }

    fn make_some_room(&mut self) -> rusqlite::Result<bool> {
        let Some(connection) = self.disk.connection.as_ref() else { return Ok(false) };
        let delivered = self.shared.delivered().min(self.checkpoint.last_entry());
        let extent = space::extent(connection, &self.folder, 0, delivered)?;
        let more = self.delete_history(&extent, i64::MAX)?;
        if let Some(connection) = self.disk.connection.as_ref() {
            space::vacuum(connection, 4 * PAGES_PER_STEP)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(more)
    }
}

/// Deletes the oldest requests past their bounds.
fn bound_requests(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM request WHERE no <= (SELECT max(no) FROM (SELECT no,
            row_number() OVER newest AS count, sum(bytes) OVER newest AS bytes
            FROM request WINDOW newest AS (ORDER BY no DESC)) WHERE ?1 < count OR ?2 < bytes)";
    let count = i64::try_from(REQUESTS).unwrap_or(i64::MAX);
    connection.execute(sql, [count, REQUEST_BYTES]).map(drop)
}

/// Last number of the entries after `after`, at most one step of them, that are all older than `oldest`; and whether
/// there may be more.
fn aged(connection: &Connection, after: i64, oldest: i64) -> rusqlite::Result<(i64, bool)> {
    let mut statement =
        connection.prepare_cached("SELECT no, at FROM entry WHERE no > ?1 ORDER BY no LIMIT ?2")?;
    let mut rows = statement.query(params![after, STEP_ROWS as i64])?;
    let (mut last, mut count) = (0, 0);
    while let Some(row) = rows.next()? {
        if oldest <= row.get::<_, i64>(1)? {
            return Ok((last, false));
        }
        last = row.get(0)?;
        count += 1;
    }
    Ok((last, count == STEP_ROWS))
}

/// Examines one step of the log after `from`: the last number examined, and the entries older than the cutoff.
fn expired(
    connection: &Connection,
    from: i64,
    delivered: i64,
    cutoff: i64,
) -> rusqlite::Result<(i64, Vec<i64>)> {
    let mut statement = connection
        .prepare_cached("SELECT no, at FROM entry WHERE no > ?1 AND no <= ?2 ORDER BY no LIMIT ?3")?;
    let rows = statement.query_map(params![from, delivered, STEP_ROWS as i64], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    let until = rows.last().map_or(from, |(no, _)| *no);
    Ok((until, rows.into_iter().filter(|(_, at)| *at < cutoff).map(|(no, _)| no).collect()))
}

/// Deletes these entries, except those that a current value or a parked message refers to, and pictures that are no
/// longer referred to.
fn delete(connection: &mut Connection, entries: &[i64]) -> rusqlite::Result<Deleted> {
    let transaction = connection.transaction()?;
    let mut deleted = Deleted { more: true, ..Deleted::default() };
    {
        let mut entry = transaction.prepare_cached(
            "DELETE FROM entry WHERE no = ?1
                AND NOT EXISTS (SELECT 1 FROM value WHERE value.source = entry.source AND value.entry = entry.no)
                AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.entry = entry.no) RETURNING picture",
        )?;
        let mut picture = transaction.prepare_cached(
            "DELETE FROM picture WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM entry WHERE picture = ?1) RETURNING bytes",
        )?;
        let mut unmark = transaction.prepare_cached("DELETE FROM reviewed WHERE entry = ?1")?;
        for no in entries {
            let of: Option<Option<[u8; 16]>> = entry.query_row([no], |row| row.get(0)).optional()?;
            let Some(of) = of else { continue };
            search::remove(&transaction, *no)?;
            unmark.execute([no])?;
            let Some(id) = of else { continue };
            if let Some(bytes) = picture.query_row([id], |row| row.get::<_, i64>(0)).optional()? {
                deleted.pictures.push(Uuid::from_bytes(id));
                deleted.bytes += bytes.unsigned_abs();
            }
        }
    }
    transaction.commit()?;
    Ok(deleted)
}

/// The time `days` days ago, in milliseconds since 1970.
fn days_ago(days: u64) -> i64 {
    let hours = i64::try_from(days).unwrap_or(36_500).min(36_500) * 24;
    crate::host::now()
        .checked_sub(SignedDuration::from_hours(hours))
        .map_or(i64::MIN, |at| at.as_millisecond())
}
