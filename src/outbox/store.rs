//! The database file: opening it, reading the books back, writing what a commit changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};

use super::device::Device;
use super::effects::{Effects, Held, ParkedChange, ValueKey};
use super::position::Position;
use super::schema::{self, Newer};
use crate::activity::{Key, Ongoing};
use crate::model::{EventName, Source};

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

/// What the books were when the process stopped.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) devices: Vec<Device>,
    pub(crate) activities: Vec<(Key, Ongoing)>,
    pub(crate) sinks: Vec<(String, Position)>,
    pub(crate) next_no: i64,
    pub(crate) next_version: i64,
    pub(crate) next_device: i64,
}

/// Opens the database for writing, makes it if absent, and brings it up to date.
pub(crate) fn open(folder: &Path) -> Result<Connection, OpenError> {
    super::pictures::make_folder(folder)?;
    let path = folder.join(FILE);
    let mut connection = Connection::open(&path)?;
    schema::prepare(&connection)?;
    schema::migrate(&mut connection)??;
    private(&path)?;
    Ok(connection)
}

/// Opens it for reading only.
pub(crate) fn open_for_reading(folder: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(folder.join(FILE), flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    Ok(connection)
}

/// Only the owner reads the file.
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Whether an error means that the file is damaged, and not that it cannot be written now.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Sets a damaged database aside with its companions; the name it has now.
pub(crate) fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    let aside = folder.join(format!("{FILE}.corrupt-{stamp}"));
    for companion in ["", "-wal", "-shm"] {
        let from = folder.join(format!("{FILE}{companion}"));
        let to = folder.join(format!("{FILE}.corrupt-{stamp}{companion}"));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(aside)
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
    Ok(Saved {
        next_no: number("SELECT max(no) FROM entry")?.max(furthest.0) + 1,
        next_version: number("SELECT max(version) FROM value")?.max(furthest.1) + 1,
        next_device: number("SELECT max(no) FROM device")?.max(number("SELECT max(source) FROM entry")?) + 1,
        devices: load_devices(connection)?,
        activities: load_activities(connection)?,
        sinks,
    })
}

fn load_devices(connection: &Connection) -> rusqlite::Result<Vec<Device>> {
    let mut statement = connection.prepare("SELECT no, seq, alarms, last_heard, body FROM device")?;
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

fn load_activities(connection: &Connection) -> rusqlite::Result<Vec<(Key, Ongoing)>> {
    let mut statement = connection.prepare("SELECT source, event, body FROM activity")?;
    let rows = statement.query_map([], |row| {
        let (source, event, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let key = Source::from_known(&source).map(|source| Key { source, event: EventName::new(&event) });
        Ok(key.zip(serde_json::from_str(&body).ok()))
    })?;
    rows.filter_map(Result::transpose).collect()
}

fn load_sinks(connection: &Connection) -> rusqlite::Result<Vec<(String, Position)>> {
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

/// Writes what one commit changes; all of it or nothing.
pub(crate) fn write(connection: &mut Connection, effects: &Effects) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write_log(&transaction, effects)?;
    write_values(&transaction, effects)?;
    write_books(&transaction, effects)?;
    write_sinks(&transaction, effects)?;
    write_parked(&transaction, effects)?;
    write_requests(&transaction, effects)?;
    transaction.commit()
}

fn write_log(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO entry (no, source, id, at, picture, event, again, run, mono, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for entry in &effects.entries {
        let id = entry.record.id();
        let picture = entry.picture();
        insert.execute(params![
            entry.no,
            entry.source_no,
            id.as_bytes(),
            entry.record.at().as_millisecond(),
            picture.as_ref().map(|id| id.as_bytes()),
            entry.event().map(EventName::as_str),
            entry.again,
            entry.run,
            entry.mono_ms,
            entry.body,
        ])?;
    }
    let mut insert =
        transaction.prepare_cached("INSERT OR REPLACE INTO picture (id, at, bytes) VALUES (?1, ?2, ?3)")?;
    for picture in &effects.pictures {
        insert.execute(params![picture.id.as_bytes(), picture.at.as_millisecond(), signed(picture.bytes)])?;
    }
    Ok(())
}

fn write_values(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO value (source, what, event, version, entry, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (source, what, event) DO UPDATE SET version = excluded.version, entry = excluded.entry, text = excluded.text",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM value WHERE source = ?1 AND what = ?2 AND event = ?3")?;
    for (key, value) in &effects.values {
        let event = event_text(key);
        match value.as_deref() {
            None => delete.execute(params![key.source_no, key.what.number(), event])?,
            Some(value) => {
                let (entry, text) = match &value.held {
                    Held::Alarm(no, _) => (Some(*no), None),
                    Held::Text(text) => (None, Some(text)),
                };
                put.execute(params![key.source_no, key.what.number(), event, value.version, entry, text])?
            }
        };
    }
    Ok(())
}

fn write_books(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO device (no, source, seq, alarms, last_heard, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (no, device) in &effects.devices {
        let Some(device) = device else {
            transaction.execute("DELETE FROM device WHERE no = ?1", [no])?;
            transaction.execute("DELETE FROM value WHERE source = ?1", [no])?;
            continue;
        };
        let body = serde_json::to_string(device).unwrap_or_default();
        let row = params![
            no,
            device.source.as_str(),
            signed(device.seq),
            signed(device.alarms),
            device.last_heard_ms,
            body
        ];
        put.execute(row)?;
    }
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO activity (source, event, body) VALUES (?1, ?2, ?3)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM activity WHERE source = ?1 AND event = ?2")?;
    for (key, ongoing) in &effects.activities {
        match ongoing {
            None => delete.execute([key.source.as_str(), key.event.as_str()])?,
            Some(ongoing) => {
                let body = serde_json::to_string(ongoing).unwrap_or_default();
                put.execute([key.source.as_str(), key.event.as_str(), &body])?
            }
        };
    }
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO note (key, text) VALUES (?1, ?2)")?;
    for (key, text) in &effects.notes {
        put.execute([key, text])?;
    }
    Ok(())
}

fn write_sinks(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO sink (name, log_low, log_ahead, value_low, token, delivered, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (name, position) in &effects.sinks {
        let Some(position) = position else {
            transaction.execute("DELETE FROM sink WHERE name = ?1", [name])?;
            transaction.execute("DELETE FROM parked WHERE sink = ?1", [name])?;
            continue;
        };
        let ahead = serde_json::to_string(&position.ahead).unwrap_or_default();
        let (delivered, dropped) = (signed(position.delivered), signed(position.dropped));
        put.execute(params![
            name,
            position.log_low,
            ahead,
            position.value_low,
            position.token,
            delivered,
            dropped
        ])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO retained (sink, topic, source, what, event) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM retained WHERE sink = ?1 AND topic = ?2")?;
    for ((sink, topic), key) in &effects.retained {
        match key {
            None => delete.execute([sink, topic])?,
            Some(key) => {
                put.execute(params![sink, topic, key.source_no, key.what.number(), event_text(key)])?
            }
        };
    }
    Ok(())
}

fn write_parked(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    for change in &effects.parked {
        match change {
            ParkedChange::Add { sink, entry, topic, code, reason, at } => transaction.execute(
                "INSERT INTO parked (sink, entry, topic, code, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![sink, entry, topic, code, reason, at.as_millisecond()],
            )?,
            ParkedChange::Remove(no) => transaction.execute("DELETE FROM parked WHERE no = ?1", [no])?,
        };
    }
    Ok(())
}

fn write_requests(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO request (id, at, peer, status, bytes, verdict, alarms, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let beyond = effects.requests.len().saturating_sub(super::retention::REQUESTS);
    for request in effects.requests.iter().skip(beyond) {
        let alarms = serde_json::to_string(&request.alarms).unwrap_or_default();
        insert.execute(params![
            request.id.as_bytes(),
            request.at.as_millisecond(),
            request.peer,
            request.status,
            signed((request.body.len() + request.head.len()) as u64),
            request.verdict,
            alarms,
            request.head,
            request.body.as_ref(),
        ])?;
    }
    Ok(())
}

/// How a key's kind is kept: nothing, where the value is not kept by kind.
pub(crate) fn event_text(key: &ValueKey) -> &str {
    key.event.as_ref().map_or("", EventName::as_str)
}

/// SQLite knows only signed numbers.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
