//! Disk space: size of the store, free space, and freeing space.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::pictures::Pictures;
use crate::outbox::store;

/// Size of the reserve file in bytes; it is deleted on a full disk, since deleting rows needs room.
const RESERVE_BYTES: u64 = 4 << 20;

/// Size of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Number of entries.
    entries: u64,
    /// Bytes of the database and its write-ahead log.
    database: u64,
    /// Bytes of the pictures.
    pictures: u64,
    /// Number up to which all sinks have acknowledged everything.
    pub(crate) delivered: i64,
}

impl Extent {
    /// Total in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.database + self.pictures
    }

    /// Average bytes of an entry, pictures and indexes included.
    pub(crate) fn each(&self) -> u64 {
        (self.bytes() / self.entries.max(1)).max(1)
    }
}

/// Measures the store.
pub(crate) fn extent(
    connection: &Connection,
    folder: &Path,
    pictures: u64,
    delivered: i64,
) -> rusqlite::Result<Extent> {
    let number = |sql: &str| {
        let number = connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0));
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
pub(crate) fn picture_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let sum = connection.query_row("SELECT sum(bytes) FROM picture", [], |row| row.get::<_, Option<i64>>(0));
    sum.map(|bytes| bytes.unwrap_or_default().unsigned_abs())
}

/// Returns at most `pages` free pages to the file system. SQLite frees one with each row of the answer.
pub(crate) fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Deletes the picture files of earlier runs that have no row. Returns their number.
pub(crate) fn sweep(folder: &Path, pictures: &Pictures) -> Result<usize, store::StoreError> {
    let connection = store::open_for_reading(folder)?;
    let mut known = connection.prepare("SELECT 1 FROM picture WHERE id = ?1")?;
    pictures.sweep(|id| Ok(known.query_row([id.as_bytes()], |_| Ok(())).optional()?.is_some()))
}

/// Free bytes of the file system for this user.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Deletes the reserve file.
pub(crate) fn give_reserve_up(folder: &Path) {
    drop(fs::remove_file(folder.join("reserve")));
}

/// Makes the reserve file if it is missing and there is room.
pub(crate) fn keep_reserve(folder: &Path) {
    let path = folder.join("reserve");
    if fs::metadata(&path).is_ok_and(|file| file.len() == RESERVE_BYTES)
        || free_bytes(folder).is_none_or(|free| free < 4 * RESERVE_BYTES)
    {
        return;
    }
    let fill = || -> io::Result<()> {
        let file = fs::File::create(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES)?;
        file.sync_all()
    };
    if let Err(error) = fill() {
        tracing::debug!("the reserve file could not be made: {error}");
    }
}
