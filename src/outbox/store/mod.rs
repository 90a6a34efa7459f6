//! The database file: opening it, and setting it aside.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

mod card;
pub(crate) mod lineage;
mod load;
pub(crate) mod recover;
pub(crate) mod salvage;
pub mod schema;
pub(crate) mod settle;
pub(crate) mod witness;
mod write;

use crate::model::EventName;
use crate::outbox::state::value::ValueKey;
pub(crate) use card::{REMOVED_SEQ, write_card};
pub(crate) use load::{Saved, load, load_activities, load_devices, load_sinks};
use schema::Newer;
pub(crate) use write::{write, write_deferring};

/// The file, in the storage folder.
pub(crate) const FILE: &str = "outbox.db";

/// Reason why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A newer build wrote it.
    #[error(transparent)]
    Newer(#[from] Newer),
    /// SQLite reports an error.
    #[error("the database cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be made.
    #[error("the storage folder cannot be made: {0}")]
    Folder(#[from] io::Error),
}

impl StoreError {
    /// Converts it into an error of SQLite.
    pub(crate) fn into_sqlite(self) -> rusqlite::Error {
        match self {
            Self::Sqlite(error) => error,
            Self::Newer(newer) => refusal(&newer.to_string()),
            Self::Folder(error) => other(error),
        }
    }
}

/// A database open for writing.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The connection.
    pub(crate) connection: Connection,
    /// Identity of the database, made with it: another one in its place has another identity.
    pub(crate) identity: String,
    /// Set if the database was made just now.
    pub(crate) empty: bool,
}

/// Device and inode of the file at the path of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    /// The file there now; `None` if there is none.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(folder.join(FILE)).ok().map(|file| Self(file.dev(), file.ino()))
    }
}

/// Opens the database for writing, makes it if absent, and brings it up to date.
pub(crate) fn open(folder: &Path) -> Result<Opened, StoreError> {
    crate::outbox::log::pictures::make_folder(folder)?;
    let path = folder.join(FILE);
    let mut connection = Connection::open(&path)?;
    schema::prepare(&connection)?;
    schema::migrate(&mut connection)??;
    private(&path)?;
    let (identity, empty) = match schema::note(&connection, IDENTITY)? {
        Some(identity) => (identity, false),
        None => (uuid::Uuid::now_v7().simple().to_string(), true),
    };
    if empty {
        connection.execute("INSERT INTO note (key, text) VALUES (?1, ?2)", [IDENTITY, &identity])?;
    }
    Ok(Opened { connection, identity, empty })
}

/// Name of the note with the identity.
pub(super) const IDENTITY: &str = "identity";

/// Opens the database for reading only.
pub(crate) fn open_for_reading(folder: &Path) -> rusqlite::Result<Connection> {
    open_file_for_reading(&folder.join(FILE))
}

/// Opens a file for reading only, also on a file system that cannot be written.
pub(crate) fn open_file_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set_up = |connection: Connection| {
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        schema::keep_statements(&connection)?;
        connection.pragma_update(None, "cache_size", -4_000)?;
        connection.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(())).optional()?;
        Ok::<_, rusqlite::Error>(connection)
    };
    let opened = Connection::open_with_flags(path, flags).and_then(set_up);
    let refused = |error: &rusqlite::Error| {
        matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
    };
    match opened {
        // Without a log beside it the database is complete, and nobody can change it here.
        Err(error) if refused(&error) && !with_suffix(path, "-wal").try_exists().unwrap_or(true) => {
            let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{name}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(set_up)
        }
        other => other,
    }
}

/// A path with a suffix.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Lets only the owner read the file.
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Returns whether an error means that the file is damaged (otherwise the disk or the folder refuses access).
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => !matches!(
            failure.code,
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::NoLargeFileSupport
        ),
        // SQL that does not fit the tables, or values of another type than they hold.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

/// Converts an I/O error into an error of SQLite.
pub(crate) fn other(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// Makes an error of SQLite from a reason not to write.
pub(crate) fn refusal(reason: &str) -> rusqlite::Error {
    other(io::Error::other(reason.to_owned()))
}

/// Sets a database aside with its companion files. Returns its new name, if the file itself existed.
pub(crate) fn set_aside(folder: &Path) -> io::Result<Option<PathBuf>> {
    let stamp = crate::host::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    let aside = folder.join(format!("{FILE}{ASIDE}{stamp}"));
    let mut there = false;
    for companion in ["", "-wal", "-shm"] {
        let from = folder.join(format!("{FILE}{companion}"));
        match fs::rename(&from, with_suffix(&aside, companion)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                other?;
                there |= companion.is_empty();
            }
        }
    }
    Ok(there.then_some(aside))
}

/// Sets a write-ahead log aside whose database is deleted or empty: SQLite would delete it.
pub(crate) fn keep_lone_wal(folder: &Path) -> io::Result<()> {
    let length =
        |suffix: &str| fs::metadata(folder.join(format!("{FILE}{suffix}"))).map_or(0, |file| file.len());
    if length("") == 0 && 0 < length("-wal") {
        let aside = set_aside(folder)?;
        tracing::warn!("the database is gone and its log is there: it is set aside as {aside:?}");
    }
    Ok(())
}

/// Part of the name of a file set aside, before the time.
const ASIDE: &str = ".corrupt-";

/// End of the name of the empty file beside a file set aside whose alarms were recovered.
const RECOVERED: &str = ".recovered";

/// Names of the databases that were set aside and not recovered since.
pub(crate) fn unrecovered(folder: &Path) -> Vec<String> {
    // An empty one has nothing to recover.
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.filter(|file| {
        file.file_name().to_string_lossy().ends_with(RECOVERED)
            || file.metadata().is_ok_and(|file| 0 < file.len())
    });
    let names: BTreeSet<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    let is_database = |name: &str| {
        let time = name.strip_prefix(FILE).and_then(|name| name.strip_prefix(ASIDE));
        time.is_some_and(|time| time.ends_with('Z')) && !names.contains(&format!("{name}{RECOVERED}"))
    };
    names.iter().filter(|name| is_database(name)).cloned().collect()
}

/// Notes beside a file that was set aside that its alarms were recovered.
pub(crate) fn note_recovered(file: &Path) -> io::Result<()> {
    fs::write(with_suffix(file, RECOVERED), b"")
}

/// Returns whether there are files set aside, whose pictures may still be needed.
pub(crate) fn has_set_aside(folder: &Path) -> bool {
    let Ok(files) = fs::read_dir(folder) else { return true };
    let prefix = format!("{FILE}{ASIDE}");
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(&prefix))
}

/// The kind of a key as stored in its column: empty for values that do not exist per kind.
pub(crate) fn event_text(key: &ValueKey) -> &str {
    key.event.as_ref().map_or("", EventName::as_str)
}

/// Converts a number for SQLite, which has only signed ones.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
