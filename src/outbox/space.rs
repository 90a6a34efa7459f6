//! How much room the store takes and the disk has, and what can be given back.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::pictures::Pictures;
use super::store;

/// Room kept for deleting on a full disk, since deleting writes too.
const RESERVE: u64 = 4 << 20;

/// How much there is, and who still needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Rows of the log.
    entries: u64,
    /// Bytes of the database, its log included.
    database: u64,
    /// Bytes of the pictures.
    pictures: u64,
    /// All sinks have everything up to here.
    pub(super) delivered: i64,
}

impl Extent {
    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.database + self.pictures
    }

    /// Bytes of one row of the log, pictures and indexes included, on average.
    pub(super) fn each(&self) -> u64 {
        (self.bytes() / self.entries.max(1)).max(1)
    }
}

/// How much there is.
pub(super) fn extent(
    connection: &Connection,
    folder: &Path,
    pictures: u64,
    delivered: i64,
) -> rusqlite::Result<Extent> {
    let number = |sql: &str| {
        let number = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        number.map(|n| n.unwrap_or_default().unsigned_abs())
    };
    let wal = fs::metadata(folder.join(format!("{}-wal", store::FILE))).map_or(0, |file| file.len());
    let used = number(
        "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)",
    )?;
    Ok(Extent {
        entries: number("SELECT (SELECT max(no) FROM entry) - (SELECT min(no) FROM entry) + 1")?,
        database: used * number("SELECT page_size FROM pragma_page_size")? + wal,
        pictures,
        delivered,
    })
}

/// Bytes of all pictures known.
pub(super) fn picture_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let sum = connection.query_row("SELECT sum(bytes) FROM picture", [], |row| row.get::<_, Option<i64>>(0));
    sum.map(|bytes| bytes.unwrap_or_default().unsigned_abs())
}

/// Gives pages that are free back to the file system, at most so many. SQLite frees one with each row it answers.
pub(super) fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Deletes the picture files of earlier runs that no row knows; how many.
pub(super) fn sweep(folder: &Path, pictures: &Pictures) -> Result<usize, store::OpenError> {
    let connection = store::open_for_reading(folder)?;
    let mut known = connection.prepare("SELECT 1 FROM picture WHERE id = ?1")?;
    pictures.sweep(|id| Ok(known.query_row([id.as_bytes()], |_| Ok(())).optional()?.is_some()))
}

/// Free bytes of the file system, for us.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Gives the reserve up.
pub(super) fn give_reserve_up(folder: &Path) {
    drop(fs::remove_file(folder.join("reserve")));
}

/// Makes the reserve file if it is missing and there is room.
pub(super) fn keep_reserve(folder: &Path) {
    let path = folder.join("reserve");
    if fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE)
        || free_bytes(folder).is_none_or(|free| free < 4 * RESERVE)
    {
        return;
    }
    let fill = || -> io::Result<()> {
        let file = fs::File::create(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE)?;
        file.sync_all()
    };
    if let Err(error) = fill() {
        tracing::debug!("the reserve file could not be made: {error}");
    }
}
