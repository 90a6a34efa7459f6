//! The database: its tables, and how a file of an older version is brought up to date.
//!
//! Two lanes. `entry` is the log, in commit order; `value` the current values, one row each, every change with a
//! new `version`. A sink's position in each lane is one number (all up to it is acknowledged) and, for the log, the
//! sources that are ahead of it. What changes with every alarm is kept in narrow tables apart from what hardly ever
//! does (`heard` from `device`, `value` from `document`): a commit writes whole pages. Pictures are files beside the
//! database (see `pictures`); their rows here say how large they are. `entry.event` is the kind of an alarm (none for
//! an activity and for what is sent again), for the pages; `entry.again` marks what is sent again, with the sink it is
//! for (empty: all). Rows deleted free no disk by themselves, so the file is made with incremental vacuum.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};

/// The version this build reads and writes.
pub(crate) const VERSION: i64 = 2;

/// More statements than a connection uses again and again.
const STATEMENTS: usize = 48;

/// No build will ever write a higher one: a file that says so is damaged.
const PLAUSIBLE: i64 = 10_000;

/// What goes on, of a table of version 1 and where that is, as the columns of version 2.
macro_rules! activities_of_version_1 {
    ($table:literal) => {
        concat!(
            "SELECT source, event, unhex(replace(body ->> 'activity_id', '-', '')),
            CAST(round((julianday(body ->> 'started') - 2440587.5) * 86400000) AS INTEGER) * 1000000,
            CAST(round((julianday(body ->> 'last') - 2440587.5) * 86400000) AS INTEGER) * 1000000,
            body ->> 'hold_ms', body ->> 'alarms', body ->> 'count_max', body ->> 'count',
            CASE json_type(body, '$.best') WHEN 'array' THEN body -> 'best' END FROM ",
            $table,
            " WHERE json_valid(body)"
        )
    };
}

/// Reads what goes on out of a file that cannot be brought up to date.
pub(crate) const ACTIVITIES_OF_VERSION_1: &str = activities_of_version_1!("activity");

/// Each step brings a database from its index to the next version.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE device (
        no INTEGER PRIMARY KEY,
        source TEXT NOT NULL UNIQUE,
        body TEXT NOT NULL
    );
    CREATE TABLE heard (
        no INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL,
        alarms INTEGER NOT NULL,
        last_heard INTEGER NOT NULL
    );
    CREATE TABLE entry (
        no INTEGER PRIMARY KEY,
        source INTEGER NOT NULL,
        id BLOB NOT NULL,
        at INTEGER NOT NULL,
        picture BLOB,
        event TEXT,
        again TEXT,
        run INTEGER NOT NULL,
        mono INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX entry_source ON entry (source, no);
    CREATE INDEX entry_id ON entry (id);
    CREATE INDEX entry_event ON entry (event, no, source, at) WHERE event IS NOT NULL;
    CREATE INDEX entry_picture ON entry (picture) WHERE picture IS NOT NULL;
    CREATE TABLE value (
        source INTEGER NOT NULL,
        what INTEGER NOT NULL,
        event TEXT NOT NULL,
        version INTEGER NOT NULL,
        entry INTEGER,
        text TEXT,
        PRIMARY KEY (source, what, event)
    ) WITHOUT ROWID;
    CREATE INDEX value_version ON value (version);
    CREATE TABLE document (
        source INTEGER NOT NULL,
        what INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (source, what)
    ) WITHOUT ROWID;
    CREATE TABLE activity (
        source TEXT NOT NULL,
        event TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (source, event)
    ) WITHOUT ROWID;
    CREATE TABLE picture (
        id BLOB PRIMARY KEY,
        at INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE sink (
        name TEXT PRIMARY KEY,
        log_low INTEGER NOT NULL,
        log_ahead TEXT NOT NULL,
        value_low INTEGER NOT NULL,
        token TEXT,
        delivered INTEGER NOT NULL,
        dropped INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE retained (
        sink TEXT NOT NULL,
        topic TEXT NOT NULL,
        source INTEGER NOT NULL,
        what INTEGER NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (sink, topic)
    ) WITHOUT ROWID;
    CREATE TABLE parked (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        sink TEXT NOT NULL,
        entry INTEGER NOT NULL,
        topic TEXT NOT NULL,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        at INTEGER NOT NULL
    );
    CREATE INDEX parked_entry ON parked (entry);
    CREATE TABLE request (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL,
        at INTEGER NOT NULL,
        peer TEXT NOT NULL,
        status INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        verdict TEXT NOT NULL,
        alarms TEXT NOT NULL,
        head TEXT NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE note (
        key TEXT PRIMARY KEY,
        text TEXT NOT NULL
    ) WITHOUT ROWID;
",
    // An index that cost each alarm two pages, and documents of which each alarm changed two numbers. From here on what
    // follows from the log may be written after it.
    concat!(
        "
    DROP INDEX value_version;
    ALTER TABLE activity RENAME TO activity_before;
    CREATE TABLE activity (
        source TEXT NOT NULL,
        event TEXT NOT NULL,
        id BLOB NOT NULL,
        started INTEGER NOT NULL,
        last INTEGER NOT NULL,
        hold INTEGER NOT NULL,
        alarms INTEGER NOT NULL,
        count_max INTEGER,
        count INTEGER,
        best TEXT,
        PRIMARY KEY (source, event)
    ) WITHOUT ROWID;
    INSERT INTO activity ",
        activities_of_version_1!("activity_before"),
        ";
    DROP TABLE activity_before;
    INSERT INTO note SELECT 'written', coalesce(max(no), 0) FROM entry;
"
    ),
];

/// The database was written by a newer build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the outbox was written by a newer alarmbus (its version is {found}, this build knows {VERSION}): run that one, or give this one another storage.path"
)]
pub struct Newer {
    /// The version in the file.
    pub found: i64,
}

/// Sets a connection up for writing: every commit is on the disk when it returns.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.pragma_update(None, "cache_size", -8_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    keep_statements(connection)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

/// Prepares each statement once, and not anew for each value that it is given.
pub(crate) fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Brings the tables to this build's version.
///
/// # Errors
/// The inner result is [`Newer`] when this build is too old for the file.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), Newer>> {
    let found = version(connection)?;
    if !(0..=PLAUSIBLE).contains(&found) {
        return Err(damaged());
    }
    if VERSION < found {
        return Ok(Err(Newer { found }));
    }
    for (version, step) in (1..).zip(MIGRATIONS).filter(|(version, _)| found < *version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(Ok(()))
}

/// The error for a file that cannot be what it says.
fn damaged() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some("its version is none that was ever written".into()))
}

/// The version of a file.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// A small text kept by name.
pub(crate) fn note(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT text FROM note WHERE key = ?1", [key], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::outbox::reader::SELECT_VALUE;
    use crate::outbox::store::load_activities;

    #[test]
    fn a_statement_is_prepared_once_whatever_it_is_given() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap().unwrap();
        keep_statements(&connection).unwrap();
        let sql = format!("{SELECT_VALUE} WHERE v.source = ?1 AND v.what = ?2 AND v.event = ?3");
        let mut statement = connection.prepare_cached(&sql).unwrap();
        for source in 1..4 {
            assert!(statement.query((source, 2, "person")).unwrap().next().unwrap().is_none());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn what_goes_on_goes_on_after_an_upgrade() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let id = "01a20dbc-8ba8-7216-b057-40ba3bc00001";
        let best = format!(
            r#"[2, {{"alarm": "{id}", "snapshot": {{"picture": "{id}", "bytes": 9, "sha256": null,
                "width": 1, "height": 1, "problem": null}}}}]"#
        );
        for (event, best) in [("person", best.as_str()), ("motion", "null")] {
            let body = format!(
                r#"{{"activity_id": "{id}", "started": "2026-11-24T13:26:29.983034567Z",
                "last": "2026-11-24T13:27:00.5Z", "hold_ms": 30000, "alarms": 7, "count_max": 3, "count": null, "best": {best}}}"#
            );
            let row = ["98ba5f8b1003", event, &body];
            connection
                .execute("INSERT INTO activity (source, event, body) VALUES (?1, ?2, ?3)", row)
                .unwrap();
        }
        connection.execute("INSERT INTO activity VALUES ('98ba5f8b1003', 'face', 'damaged')", []).unwrap();
        let before = load_activities(&connection).unwrap();
        migrate(&mut connection).unwrap().unwrap();
        let activities = load_activities(&connection).unwrap();
        assert_eq!(before, activities, "a file that cannot be written is read all the same");
        let [(motion, quiet), (person, busy)] = activities.as_slice() else { panic!("{activities:?}") };
        assert_eq!((motion.event.as_str(), person.event.as_str()), ("motion", "person"));
        assert_eq!((busy.activity_id.to_string().as_str(), busy.alarms, busy.hold_ms), (id, 7, 30_000));
        assert_eq!((busy.count_max, busy.count), (Some(3), None));
        assert_eq!(busy.started.to_string(), "2026-11-24T13:26:29.983Z");
        assert_eq!(busy.last.to_string(), "2026-11-24T13:27:00.5Z");
        let best =
            busy.best.as_ref().map(|(count, best)| (*count, best.alarm.to_string(), best.snapshot.bytes));
        assert_eq!((best, quiet.best.is_none()), (Some((2, id.to_owned(), 9)), true));
        assert_eq!(version(&connection).unwrap(), VERSION);
    }

    #[test]
    fn the_upgrade_notes_name_the_version() {
        let notes = include_str!("../../docs/upgrading.md");
        assert!(notes.contains(&format!("the present one is {VERSION}.")), "the version is {VERSION}");
    }
}
