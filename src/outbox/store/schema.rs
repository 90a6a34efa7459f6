//! Tables of the database, and migration from older versions.
//!
//! There are two lanes. `entry` is the log, in commit order; `value` has the current values, one row each, every change
//! with a new `version`. The position of a sink in each lane is one number (everything up to it is acknowledged) and,
//! for the log, the sources that are ahead of it. Columns that change with every alarm are in narrow tables (`heard`,
//! `value`), separate from those that seldom change (`device`, `document`), since a commit writes whole pages. Pictures
//! are files beside the database; their rows here hold their sizes. `entry.event` is the kind of an alarm, for the
//! pages (none for an activity and for an entry sent again). `entry.again` marks an entry sent again, with its sink
//! (empty: all). Deleted rows do not free disk space by themselves, so the file is made with incremental vacuum.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};

/// The version this build reads and writes.
pub(crate) const VERSION: i64 = 5;

/// Capacity for prepared statements: more than a connection uses.
const STATEMENT_CACHE: usize = 48;

/// Highest plausible version: a file with a higher one is damaged.
const MAX_PLAUSIBLE_VERSION: i64 = 10_000;

/// Activities of a table of version 1, as the columns of version 2.
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

/// Reads the activities of a file that cannot be migrated.
pub(crate) const ACTIVITIES_OF_VERSION_1: &str = activities_of_version_1!("activity");

/// The search index; it can be rebuilt from the log (see `log::search`).
pub(crate) const SEARCH: &str = "
    CREATE VIRTUAL TABLE search USING fts5(
        terms, content = '', contentless_delete = 1, detail = none, tokenize = \"ascii tokenchars '_:-'\"
    );
";

/// Each step brings a database from its index to the next version.
const MIGRATIONS: [&str; 5] = [
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
    // Version 2: no index that cost each alarm two pages, and no documents of which each alarm changed two numbers.
    // From this version on, rows that follow from the log may be written later than their entries.
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
    // Filled by housekeeping in short steps (`log::search`), so that a large file opens at once.
    SEARCH,
    // Version 4, for instances of a cluster: the spool, and the position up to which the cluster's log was applied.
    "
    CREATE TABLE spool (
        no INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        pictures BLOB NOT NULL
    );
    CREATE TABLE applied (
        k INTEGER NOT NULL,
        log INTEGER NOT NULL,
        input INTEGER NOT NULL,
        no INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY (k, log)
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE reviewed (
        entry INTEGER PRIMARY KEY,
        at INTEGER NOT NULL
    );
",
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

/// Prepares a connection for writing: every commit is on the disk when it returns.
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

/// Caches prepared statements.
pub(crate) fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Migrates the tables to the version of this build.
///
/// # Errors
/// The inner result is [`Newer`] when this build is too old for the file.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), Newer>> {
    let found = version(connection)?;
    if !(0..=MAX_PLAUSIBLE_VERSION).contains(&found) {
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

/// The error for a file with an impossible version.
fn damaged() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some("its version is none that was ever written".into()))
}

/// The version of a file.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Reads a small text stored by name.
pub(crate) fn note(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT text FROM note WHERE key = ?1";
    connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
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
        let notes = include_str!("../../../docs/upgrading.md");
        assert!(notes.contains(&format!("the present one is {VERSION}.")), "the version is {VERSION}");
    }
}
