//! The database file: opening it, setting it aside, reading the books back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

mod forward;
mod write;

use super::device::Device;
use super::effects::{Effects, ValueKey};
use super::position::Position;
use super::schema::{self, Newer};
use crate::activity::{Key, Ongoing};
use crate::model::{EventName, Source};
pub(crate) use forward::WRITTEN;
pub(crate) use write::{write, write_without_waiting};

/// The file, in the storage folder.
pub(crate) const FILE: &str = "outbox.db";

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Only a newer build can.
    #[error(transparent)]
    Newer(#[from] Newer),
    /// SQLite says no.
    #[error("the database cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be made.
    #[error("the storage folder cannot be made: {0}")]
    Folder(#[from] io::Error),
}

impl OpenError {
    /// The same as an error of SQLite, for whoever has others of that kind.
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
    pub(crate) connection: Connection,
    /// Made when the database was; tells it from another at the same place.
    pub(crate) identity: String,
    /// Nothing was ever written to it.
    pub(crate) empty: bool,
}

/// Which file lies at the database's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    /// The one there now; `None` if there is none.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(folder.join(FILE)).ok().map(|file| Self(file.dev(), file.ino()))
    }
}

/// What the books were when the process stopped.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) devices: Vec<Device>,
    pub(crate) activities: Vec<(Key, Ongoing)>,
    pub(crate) sinks: Vec<(String, Position)>,
    pub(crate) next_no: i64,
    pub(crate) next_version: i64,
    pub(crate) next_device: i64,
    /// Which database this is.
    pub(crate) identity: Option<String>,
    /// What the log says of them and their rows do not say yet.
    pub(crate) behind: Effects,
    /// The last entry that their rows follow from.
    pub(crate) written: i64,
}

/// Opens the database for writing, makes it if absent, and brings it up to date.
pub(crate) fn open(folder: &Path) -> Result<Opened, OpenError> {
    super::pictures::make_folder(folder)?;
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

/// The note that tells one database from another.
const IDENTITY: &str = "identity";

/// Opens it for reading only.
pub(crate) fn open_for_reading(folder: &Path) -> rusqlite::Result<Connection> {
    open_file_for_reading(&folder.join(FILE))
}

/// Opens a file for reading only, on a file system that cannot be written too.
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
        // Without a log beside it, it is whole, and nobody can change it here.
        Err(error) if refused(&error) && !with_suffix(path, "-wal").try_exists().unwrap_or(true) => {
            let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{name}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(set_up)
        }
        other => other,
    }
}

/// A path with something behind its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Only the owner reads the file.
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Whether an error means that the file is damaged, and not that the disk or the folder refuses.
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

/// An error that is none of SQLite's.
pub(crate) fn other(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// A reason for not writing.
pub(crate) fn refusal(reason: &str) -> rusqlite::Error {
    other(io::Error::other(reason.to_owned()))
}

/// Sets a database aside with its companions; the name it has now, if the file itself was still there.
pub(crate) fn set_aside(folder: &Path) -> io::Result<Option<PathBuf>> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
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

/// What stands between the name of a file set aside and the time.
const ASIDE: &str = ".corrupt-";

/// Whether files set aside lie here: their pictures may still be wanted.
pub(crate) fn has_set_aside(folder: &Path) -> bool {
    let Ok(files) = fs::read_dir(folder) else { return true };
    let prefix = format!("{FILE}{ASIDE}");
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(&prefix))
}

/// Reads the books back.
pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Saved> {
    let number = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default)
    };
    let sinks = load_sinks(connection)?;
    let furthest = sinks
        .iter()
        .map(|(_, position)| (position.log_low, position.value_low))
        .fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let mut saved = Saved {
        next_no: number("SELECT max(no) FROM entry")?.max(furthest.0) + 1,
        next_version: number("SELECT max(version) FROM value")?.max(furthest.1) + 1,
        next_device: number("SELECT max(no) FROM device")?
            .max(number("SELECT max(source) FROM entry")?)
            .max(number("SELECT max(source) FROM retained")?)
            + 1,
        devices: load_devices(connection)?,
        activities: load_activities(connection)?,
        identity: schema::note(connection, IDENTITY)?,
        sinks,
        behind: Effects::default(),
        written: 0,
    };
    forward::catch_up(connection, &mut saved)?;
    Ok(saved)
}

/// The devices.
pub(crate) fn load_devices(connection: &Connection) -> rusqlite::Result<Vec<Device>> {
    let mut statement =
        connection.prepare("SELECT no, seq, alarms, last_heard, body FROM device JOIN heard USING (no)")?;
    let rows = statement.query_map([], |row| {
        let body: String = row.get(4)?;
        let device = serde_json::from_str::<Device>(&body).ok();
        Ok(device.map(|device| Device {
            no: row.get(0).unwrap_or_default(),
            seq: row.get::<_, i64>(1).unwrap_or_default().unsigned_abs(),
            alarms: row.get::<_, i64>(2).unwrap_or_default().unsigned_abs(),
            last_heard_ms: row.get(3).unwrap_or_default(),
            ..device
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// What goes on.
pub(crate) fn load_activities(connection: &Connection) -> rusqlite::Result<Vec<(Key, Ongoing)>> {
    let sql = match schema::version(connection)? {
        1 => schema::ACTIVITIES_OF_VERSION_1,
        _ => "SELECT source, event, id, started, last, hold, alarms, count_max, count, best FROM activity",
    };
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (source, event): (String, String) = (row.get(0)?, row.get(1)?);
        let moment = |nanoseconds: i64| Timestamp::from_nanosecond(nanoseconds.into()).ok();
        let Some((started, last)) = moment(row.get(3)?).zip(moment(row.get(4)?)) else { return Ok(None) };
        let best: Option<String> = row.get(9)?;
        let ongoing = Ongoing {
            activity_id: uuid::Uuid::from_bytes(row.get(2)?),
            started,
            last,
            hold_ms: row.get::<_, i64>(5)?.unsigned_abs(),
            alarms: row.get::<_, i64>(6)?.unsigned_abs(),
            count_max: row.get(7)?,
            count: row.get(8)?,
            best: best.and_then(|best| serde_json::from_str(&best).ok()),
        };
        let key = Source::from_known(&source).map(|source| Key { source, event: EventName::new(&event) });
        Ok(key.map(|key| (key, ongoing)))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Where the sinks stand.
pub(crate) fn load_sinks(connection: &Connection) -> rusqlite::Result<Vec<(String, Position)>> {
    let mut statement = connection
        .prepare("SELECT name, log_low, log_ahead, value_low, token, delivered, dropped FROM sink")?;
    let rows = statement.query_map([], |row| {
        let ahead: String = row.get(2)?;
        let position = Position {
            log_low: row.get(1)?,
            ahead: serde_json::from_str(&ahead).unwrap_or_default(),
            value_low: row.get(3)?,
            token: row.get(4)?,
            delivered: row.get::<_, i64>(5)?.unsigned_abs(),
            dropped: row.get::<_, i64>(6)?.unsigned_abs(),
        };
        Ok((row.get(0)?, position))
    })?;
    rows.collect()
}

/// How a key's kind is kept: nothing, where the value is not kept by kind.
pub(crate) fn event_text(key: &ValueKey) -> &str {
    key.event.as_ref().map_or("", EventName::as_str)
}

/// SQLite knows only signed numbers.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
