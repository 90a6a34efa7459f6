//! What is kept how long. Bounds by age and by bytes, apart for the backlog (what a sink has not got yet) and for
//! history (what all have); deleted in short steps between commits, so that no camera waits for it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use tokio::time::Instant;
use uuid::Uuid;

use super::writer::Writer;

/// Looked after so often.
const EVERY: Duration = Duration::from_secs(5);
/// And so often while there is more to delete.
const BUSY: Duration = Duration::from_millis(60);
/// Rows deleted in one step; far less than 50 ms on any disk.
const STEP: i64 = 400;
/// Requests kept for the Requests page.
pub(crate) const REQUESTS: usize = 500;
/// And their bytes.
const REQUEST_BYTES: i64 = 32 << 20;
/// Room kept for deleting on a full disk, since deleting writes too.
const RESERVE: u64 = 4 << 20;

/// When to look after the store next.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    next: Instant,
    tried: Option<Instant>,
    swept: bool,
}

impl Housekeeping {
    /// Soon, but not at once: the start belongs to the cameras.
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() + Duration::from_secs(1), tried: None, swept: false }
    }

    /// When it is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether it is due.
    pub(crate) fn due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// Whether the last try at the disk is younger than this; if not, this is the next try.
    pub(crate) fn too_early(&mut self, pause: Duration) -> bool {
        let early = self.tried.is_some_and(|tried| tried.elapsed() < pause);
        if !early {
            self.tried = Some(Instant::now());
        }
        early
    }
}

/// How much there is, and who still needs it.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Rows of the log.
    entries: u64,
    /// Bytes of the database, its log included.
    database: u64,
    /// Bytes of the pictures.
    pictures: u64,
    /// All sinks have everything up to here.
    delivered: i64,
}

impl Writer {
    /// One step of housekeeping.
    pub(crate) fn keep_house(&mut self) {
        let more = match self.house_step() {
            Ok(more) => more,
            Err(error) => {
                tracing::debug!("housekeeping was put off: {error}");
                false
            }
        };
        self.housekeeping.next = Instant::now() + if more { BUSY } else { EVERY };
    }

    /// Says whether there is more to do.
    fn house_step(&mut self) -> rusqlite::Result<bool> {
        if self.unwritten.is_some() {
            return Ok(false);
        }
        self.sweep();
        let Some(connection) = self.connection.as_ref() else { return Ok(false) };
        let extent = extent(connection, &self.folder, self.shared.delivered())?;
        for (sink, floor) in self.backlog_floors(connection, &extent)? {
            self.shared.raise_floor(&sink, floor);
        }
        bound_requests(connection)?;
        let low_on_space = self.low_on_space();
        let cutoff = self.history_cutoff(&extent, low_on_space);
        let more = cutoff.map_or(Ok(false), |cutoff| self.delete_history(&extent, cutoff))?;
        if let Some(connection) = self.connection.as_ref() {
            connection.execute_batch("PRAGMA incremental_vacuum(256)")?;
        }
        if !low_on_space {
            keep_reserve(&self.folder);
        }
        Ok(more)
    }

    /// Once: deletes picture files that no row knows, left by a crash between picture and commit.
    fn sweep(&mut self) {
        if std::mem::replace(&mut self.housekeeping.swept, true) {
            return;
        }
        let Some(connection) = self.connection.as_ref() else { return };
        let started =
            Timestamp::now().as_second() - i64::try_from(self.start.elapsed().as_secs()).unwrap_or(0);
        let known = |id: Uuid| {
            let young = id
                .get_timestamp()
                .is_none_or(|time| started <= i64::try_from(time.to_unix().0).unwrap_or(i64::MAX) + 1);
            young
                || connection
                    .query_row("SELECT 1 FROM picture WHERE id = ?1", [id.as_bytes()], |_| Ok(()))
                    .is_ok()
        };
        match self.shared.pictures.sweep(known) {
            Ok(0) => {}
            Ok(swept) => tracing::info!("{swept} pictures whose alarm was never committed were deleted"),
            Err(error) => tracing::debug!("pictures could not be swept: {error}"),
        }
    }

    /// Where the backlog of each sink must begin at the earliest, by age and by bytes.
    fn backlog_floors(
        &self,
        connection: &Connection,
        extent: &Extent,
    ) -> rusqlite::Result<Vec<(String, i64)>> {
        let storage = &self.ledger.settings.storage;
        let oldest = days_ago(storage.backlog_max_days);
        let by_age: i64 = connection.query_row(
            "SELECT coalesce(max(no), 0) FROM entry WHERE no <= (SELECT coalesce(min(no), 0) FROM entry WHERE no > ?1 AND at >= ?2) - 1 OR (no > ?1 AND at < ?2 AND NOT EXISTS (SELECT 1 FROM entry WHERE no > ?1 AND at >= ?2))",
            params![extent.delivered, oldest],
            |row| row.get(0),
        )?;
        let each = (extent.database / extent.entries.max(1)).max(1);
        let most = i64::try_from(storage.backlog_max_bytes.0 / each).unwrap_or(i64::MAX);
        let by_bytes = self.ledger.next_no.saturating_sub(1).saturating_sub(most);
        let floor = by_age.max(by_bytes);
        Ok(self
            .shared
            .positions()
            .into_iter()
            .filter(|(_, position)| position.log_low < floor)
            .map(|(sink, _)| (sink, floor))
            .collect())
    }

    /// Up to when history is to be deleted now, in milliseconds since 1970; `None`: nothing is.
    fn history_cutoff(&self, extent: &Extent, low_on_space: bool) -> Option<i64> {
        let storage = &self.ledger.settings.storage;
        let backlog = self.ledger.next_no.saturating_sub(1).saturating_sub(extent.delivered).unsigned_abs();
        let share = extent.database / extent.entries.max(1) * backlog;
        let history = extent.database.saturating_sub(share) + extent.pictures;
        if low_on_space || storage.history_max_bytes.0 < history {
            return Some(i64::MAX);
        }
        let storage_age = days_ago(storage.history_max_days);
        Some(storage_age)
    }

    /// Deletes one step of what all sinks have, oldest first; keeps what a current value or a parked message needs.
    fn delete_history(&mut self, extent: &Extent, cutoff: i64) -> rusqlite::Result<bool> {
        let Some(connection) = self.connection.as_mut() else { return Ok(false) };
        let transaction = connection.transaction()?;
        let (deleted, pictures) = {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM entry WHERE no IN (
                    SELECT no FROM entry WHERE no <= ?1 AND at < ?2
                    AND NOT EXISTS (SELECT 1 FROM value WHERE value.entry = entry.no)
                    AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.entry = entry.no)
                    ORDER BY no LIMIT ?3) RETURNING picture",
            )?;
            let rows = statement.query_map(params![extent.delivered, cutoff, STEP], |row| {
                row.get::<_, Option<[u8; 16]>>(0)
            })?;
            let rows: Vec<Option<[u8; 16]>> = rows.collect::<Result<_, _>>()?;
            let mut pictures: Vec<[u8; 16]> = rows.iter().flatten().copied().collect();
            pictures.sort_unstable();
            pictures.dedup();
            (rows.len(), pictures)
        };
        let mut gone = Vec::new();
        for picture in pictures {
            let needed: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM entry WHERE picture = ?1)",
                [picture],
                |row| row.get(0),
            )?;
            if !needed {
                transaction.execute("DELETE FROM picture WHERE id = ?1", [picture])?;
                gone.push(Uuid::from_bytes(picture));
            }
        }
        transaction.commit()?;
        for picture in gone {
            self.shared.pictures.delete(picture);
        }
        Ok(i64::try_from(deleted) == Ok(STEP))
    }

    /// Whether the disk has less room left than it should.
    fn low_on_space(&self) -> bool {
        free_bytes(&self.folder).is_some_and(|free| free < self.ledger.settings.storage.min_free_bytes.0)
    }

    /// A full disk: gives the reserve up and deletes history with the room that makes.
    pub(crate) fn make_room(&mut self) {
        drop(fs::remove_file(self.folder.join("reserve")));
        let step = |this: &mut Self| {
            let Some(connection) = this.connection.as_ref() else { return Ok(false) };
            let extent = extent(connection, &this.folder, this.shared.delivered())?;
            let more = this.delete_history(&extent, i64::MAX)?;
            if let Some(connection) = this.connection.as_ref() {
                connection
                    .execute_batch("PRAGMA incremental_vacuum(1024); PRAGMA wal_checkpoint(TRUNCATE)")?;
            }
            Ok::<_, rusqlite::Error>(more)
        };
        for _ in 0..8 {
            match step(self) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!("no room could be made on the full disk: {error}");
                    return;
                }
            }
        }
    }
}

/// Keeps the requests for the Requests page within their bounds, newest first.
fn bound_requests(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM request WHERE no <= (SELECT max(no) FROM (SELECT no,
            row_number() OVER newest AS count, sum(bytes) OVER newest AS bytes
            FROM request WINDOW newest AS (ORDER BY no DESC)) WHERE ?1 < count OR ?2 < bytes)";
    let count = i64::try_from(REQUESTS).unwrap_or(i64::MAX);
    connection.execute(sql, [count, REQUEST_BYTES]).map(drop)
}

/// How much there is.
fn extent(connection: &Connection, folder: &Path, delivered: i64) -> rusqlite::Result<Extent> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, Option<i64>>(0))
            .map(|n| n.unwrap_or_default().unsigned_abs())
    };
    let wal = fs::metadata(folder.join(format!("{}-wal", super::store::FILE))).map_or(0, |file| file.len());
    let used = number(
        "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)",
    )?;
    Ok(Extent {
        entries: number("SELECT max(no) - min(no) + 1 FROM entry")?,
        database: used * number("SELECT page_size FROM pragma_page_size")? + wal,
        pictures: number("SELECT sum(bytes) FROM picture")?,
        delivered,
    })
}

/// The moment so many days ago, in milliseconds since 1970.
fn days_ago(days: u64) -> i64 {
    let hours = i64::try_from(days).unwrap_or(36_500).min(36_500) * 24;
    Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).map_or(i64::MIN, |at| at.as_millisecond())
}

/// Free bytes of the file system, for us.
#[must_use]
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes the reserve file if it is missing and there is room.
fn keep_reserve(folder: &Path) {
    let path = folder.join("reserve");
    if fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE)
        || free_bytes(folder).is_none_or(|free| free < 4 * RESERVE)
    {
        return;
    }
    let fill = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        let block = vec![0_u8; 1 << 16];
        for _ in 0..RESERVE >> 16 {
            file.write_all(&block)?;
        }
        file.sync_all()
    };
    if let Err(error) = fill() {
        tracing::debug!("the reserve file could not be made: {error}");
    }
}
