//! How an outbox is opened: the lock on the folder, the database, the books read back, the writer's thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::ledger::Ledger;
use super::position::Position;
use super::writer::Disk;
use super::{pictures, schema, store, writer};
use crate::activity::{Activities, Now};
use crate::findings::Findings;

/// The outbox cannot be opened, and going on without would do harm.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer build.
    #[error(transparent)]
    Newer(#[from] schema::Newer),
    /// Another process has it.
    #[error(
        "another alarmbus uses the storage folder {0}: stop that one, or give this one another storage.path"
    )]
    InUse(String),
    /// The writer's thread cannot be made.
    #[error("the outbox cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Makes sure that nobody else writes the folder. One that cannot be written is dealt with later.
pub(super) fn lock(folder: &Path) -> Result<Option<File>, OpenError> {
    use rustix::fs::{FlockOperation, flock};
    if let Err(error) = pictures::make_folder(folder) {
        tracing::debug!("the storage folder cannot be made: {error}");
    }
    let Ok(file) = File::options().create(true).truncate(false).write(true).open(folder.join("lock")) else {
        return Ok(None);
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(folder.display().to_string())),
        _ => Ok(Some(file)),
    }
}

/// What was found at the start.
pub(super) struct Found {
    pub(super) disk: Disk,
    pub(super) saved: store::Saved,
    /// There are no books, or they cannot be read.
    pub(super) fresh: bool,
}

/// Opens the database and reads the books. A damaged one is set aside. Where the folder cannot be written the books are
/// read at least, and there is no connection.
pub(super) fn open_store(folder: &Path, findings: &Findings) -> Result<Found, OpenError> {
    for _ in 0..2 {
        let error = match store::open(folder) {
            Ok(opened) => match store::load(&opened.connection) {
                Ok(saved) => return Ok(found(folder, opened, saved)),
                Err(error) => store::OpenError::Sqlite(error),
            },
            Err(error) => error,
        };
        match error {
            store::OpenError::Newer(newer) => return Err(newer.into()),
            store::OpenError::Sqlite(error) if store::is_damage(&error) => {
                if !set_aside(folder, &error, findings) {
                    break;
                }
            }
            error => {
                findings.raise("disk", "storage", &format!("{error}; alarms are held in memory"));
                break;
            }
        }
    }
    Ok(read_only(folder))
}

/// The database is open and its books are read.
fn found(folder: &Path, opened: store::Opened, saved: store::Saved) -> Found {
    let disk = Disk {
        connection: Some(opened.connection),
        file: store::FileId::of(folder),
        identity: Some(opened.identity),
        ..Disk::default()
    };
    Found { disk, saved, fresh: opened.empty }
}

/// The database cannot be written: its books, if they can be read.
fn read_only(folder: &Path) -> Found {
    let saved = store::open_for_reading(folder).and_then(|connection| store::load(&connection));
    let fresh = saved.is_err();
    let saved = saved.unwrap_or_else(|error| {
        tracing::warn!("the outbox cannot be read either ({error}): it is begun in memory");
        store::Saved { next_no: 1, next_version: 1, next_device: 1, ..store::Saved::default() }
    });
    let disk = Disk { identity: saved.identity.clone(), file: store::FileId::of(folder), ..Disk::default() };
    Found { disk, saved, fresh }
}

/// Sets a damaged database aside; `false` if that cannot be done.
fn set_aside(folder: &Path, error: &rusqlite::Error, findings: &Findings) -> bool {
    match store::set_aside(folder) {
        Ok(aside) => {
            let aside = aside.unwrap_or_else(|| folder.join(store::FILE));
            let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let detail = format!("the outbox was damaged ({error}) and is now {name}");
            findings.raise("database_set_aside", &name, &detail);
            true
        }
        Err(error) => {
            findings.raise("disk", "storage", &format!("the damaged outbox cannot be set aside: {error}"));
            false
        }
    }
}

/// Hands the books to the ledger; the positions to write: of the sinks named, new ones at the end of the log.
pub(super) fn take_books(
    ledger: &mut Ledger,
    saved: store::Saved,
    now: Now,
    sinks: &[&str],
) -> BTreeMap<String, Option<Position>> {
    ledger.next_no = saved.next_no;
    ledger.next_version = saved.next_version;
    ledger.next_device = saved.next_device;
    ledger.activities = Activities::restore(saved.activities, now);
    ledger.devices = saved.devices.into_iter().map(|device| (device.source.clone(), device)).collect();
    let mut positions: BTreeMap<String, Option<Position>> =
        saved.sinks.into_iter().map(|(name, position)| (name, Some(position))).collect();
    for (name, position) in &mut positions {
        if !sinks.contains(&name.as_str()) {
            *position = None;
        }
    }
    for sink in sinks {
        let end = || Some(Position { log_low: saved.next_no - 1, ..Position::default() });
        positions.entry((*sink).to_owned()).or_insert_with(end);
    }
    positions
}

/// Runs the writer on a thread of its own.
pub(super) fn spawn(writer: writer::Writer) -> Result<(), OpenError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
    let run = move || runtime.block_on(writer.run());
    std::thread::Builder::new().name("outbox".into()).spawn(run).map(drop).map_err(OpenError::Thread)
}
