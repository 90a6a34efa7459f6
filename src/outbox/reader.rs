//! Reading: relays and pages read through a connection of their own, and from memory first.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::cluster::Scope;
use super::log::entry::{Entry, rows_or};
use super::log::history::entry_by_no;
use super::log::recent::RecentChanges;
use super::shared::SharedState;
use super::state::value::{Value, ValueContent, ValueKey};
use super::store;
use crate::model::value::What;
use crate::model::{EventName, Record, Source};

/// Entries of a source after the position of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The source.
    pub source_no: i64,
    /// Number of entries.
    pub count: u64,
    /// The first one.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

/// A topic that a sink has published retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedTopic {
    /// The topic.
    pub topic: String,
    /// The value it stands for.
    pub key: ValueKey,
    /// The source, if it is still known.
    pub source: Option<Source>,
    /// Set if the value still exists.
    pub alive: bool,
}

/// Reads the outbox. Holds no transaction from one call to the next.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    connection: Option<Connection>,
    pub(super) shared: Arc<SharedState>,
    generation: u64,
    /// In a cluster: the partition that is read for.
    pub(super) scope: Option<Scope>,
}

impl Reader {
    /// A reader for a folder; it connects with its first call.
    pub(crate) fn new(folder: PathBuf, shared: Arc<SharedState>) -> Self {
        Self { folder, connection: None, shared, generation: 0, scope: None }
    }

    /// The pictures.
    #[must_use]
    pub fn pictures(&self) -> &super::log::pictures::Pictures {
        &self.shared.pictures
    }

    /// The connection; opened again after the database was replaced.
    pub(crate) fn connection(&mut self) -> rusqlite::Result<&Connection> {
        let generation = self.shared.generation();
        if self.connection.is_none() || self.generation != generation {
            self.connection = None;
            self.connection = Some(store::open_for_reading(&self.folder)?);
            self.generation = generation;
        }
        self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Reads from the disk. Reports a damaged file to the writer, which begins a new one.
    pub(super) fn disk<T>(
        &mut self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let result = blocking(|| self.connection().and_then(read));
        if let Err(error) = &result {
            self.connection = None;
            if store::is_damage(error) {
                self.shared.report_damage(self.generation);
            }
        }
        result
    }

    /// Reads rows from the disk, then rows that only memory has. Whether the disk accepts writes is checked before
    /// and after: rows that memory had when the read began may be on the disk, and forgotten, when it ends.
    fn disk_then_memory<T>(
        &mut self,
        read: impl Fn(&Connection) -> rusqlite::Result<Vec<T>>,
        memory: impl Fn(&RecentChanges, Vec<T>) -> Vec<T>,
    ) -> rusqlite::Result<Vec<T>> {
        loop {
            let before = self.shared.durable();
            let found = self.disk(&read)?;
            let shared = Arc::clone(&self.shared);
            let recent = shared.recent();
            if before && shared.durable() {
                return Ok(found);
            }
            if recent.pinned {
                return Ok(memory(&recent, found));
            }
        }
    }

    /// Entries after a number, over all sources, in order.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn entries_after(&mut self, after: i64, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
        if let Some(found) = self.shared.recent().entries_after(after, limit) {
            return Ok(found);
        }
        let skipped = self.shared.skipped_entry();
        let sql = "SELECT no, source, run, mono, body, again FROM entry WHERE no > ?1 ORDER BY no LIMIT ?2";
        self.disk_then_memory(
            |connection| rows_or(connection, sql, params![after, rows_limit(limit)], &skipped),
            |recent, mut found| {
                let from = found.last().map_or(after, |entry| entry.no);
                found.extend(recent.tail(from).take(limit - found.len()).cloned());
                found
            },
        )
    }

    /// Entries of one source after a number, in order.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn entries_of(
        &mut self,
        source_no: i64,
        after: i64,
        limit: usize,
    ) -> rusqlite::Result<Vec<Arc<Entry>>> {
        {
            let recent = self.shared.recent();
            if recent.covers(after) {
                return Ok(recent.entries_of(source_no, after, limit));
            }
        }
        let skipped = self.shared.skipped_entry();
        let sql = "SELECT no, source, run, mono, body, again FROM entry WHERE source = ?1 AND no > ?2 ORDER BY no LIMIT ?3";
        self.disk_then_memory(
            |connection| rows_or(connection, sql, params![source_no, after, rows_limit(limit)], &skipped),
            |recent, mut found| {
                let from = found.last().map_or(after, |entry| entry.no);
                found.extend(recent.entries_of(source_no, from, limit - found.len()));
                found
            },
        )
    }

    /// One entry.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn entry(&mut self, no: i64) -> rusqlite::Result<Option<Arc<Entry>>> {
        if let Some(found) = self.shared.recent().entry(no) {
            return Ok(Some(found));
        }
        self.disk(|connection| entry_by_no(connection, no))
    }

    /// Entries each source has after a low-water mark, by number of the first one. While the disk refuses writes
    /// these are the earlier ones; later ones are read with [`entries_after`](Self::entries_after).
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn left_after(&mut self, low: i64) -> rusqlite::Result<Vec<Left>> {
        {
            let recent = self.shared.recent();
            if recent.covers(low) {
                return Ok(recent.left_after(low));
            }
        }
        self.disk(|connection| {
            let sql = "SELECT source, count(*), min(no), max(no) FROM entry INDEXED BY entry_source WHERE no > ?1 GROUP BY source ORDER BY 3";
            let mut statement = connection.prepare_cached(sql)?;
            let left = |row: &rusqlite::Row<'_>| {
                Ok(Left {
                    source_no: row.get(0)?,
                    count: row.get::<_, i64>(1)?.unsigned_abs(),
                    first: row.get(2)?,
                    last: row.get(3)?,
                })
            };
            statement.query_map([low], left)?.collect()
        })
    }

    /// First number in memory while the disk refuses writes. Entries before it may be unreadable.
    #[must_use]
    pub fn memory_begins(&self) -> Option<i64> {
        let recent = self.shared.recent();
        recent.pinned.then(|| recent.first().unwrap_or_else(|| self.shared.tip().borrow().no + 1))
    }

    /// Values that changed after a version, with the version of each change. A relay that keeps up gets them from
    /// memory. For others the whole table is read, since an index by version would make every alarm slower.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn changes_after(&mut self, after: i64) -> rusqlite::Result<Vec<(ValueKey, i64)>> {
        if let Some(changed) = self.shared.recent().changes_after(after) {
            return Ok(changed);
        }
        // Memory is read before the disk, since the disk has what memory forgets meanwhile.
        let mut changed: Vec<(ValueKey, i64)> = self.shared.recent().versions_after(after).collect();
        changed.extend(self.disk(|connection| changes(connection, after))?);
        changed.sort_by_key(|(_, version)| *version);
        Ok(changed)
    }

    /// All values of the sources after one, whole sources only: at least `limit` rows, if there are so many.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn values_of_sources(
        &mut self,
        after_source: i64,
        limit: usize,
    ) -> rusqlite::Result<Vec<(ValueKey, Arc<Value>)>> {
        let sql = format!(
            "{SELECT_VALUE} WHERE v.source > ?1 AND v.source <= coalesce((SELECT source FROM value WHERE source > ?1 ORDER BY source LIMIT 1 OFFSET ?2), 9223372036854775807) ORDER BY v.source, v.version"
        );
        // Memory is read before and after: a value may get to the disk, and be forgotten, in between.
        let before = self.shared.recent().values_within(after_source + 1, i64::MAX);
        let read =
            |connection: &Connection| values(connection, &sql, params![after_source, rows_limit(limit)]);
        let found = match self.disk(read) {
            // The disk cannot be read at all: the values in memory are better than none.
            Err(_) if !self.shared.durable() => Vec::new(),
            other => other?,
        };
        let more = limit < found.len();
        let last = found.last().filter(|_| more).map_or(i64::MAX, |(key, _)| key.source_no);
        let recent = self.shared.recent();
        let after = recent.values_within(after_source + 1, last);
        let all = before.into_iter().filter(|(key, _)| key.source_no <= last).chain(found).chain(after);
        Ok(latest(all, &recent))
    }

    /// Current value of a key.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn value(&mut self, key: &ValueKey) -> rusqlite::Result<Option<Arc<Value>>> {
        if let Some(known) = self.shared.recent().value(key) {
            return Ok(known);
        }
        let sql = format!("{SELECT_VALUE} WHERE v.source = ?1 AND v.what = ?2 AND v.event = ?3");
        let params = params![key.source_no, key.what.number(), store::event_text(key)];
        self.disk(|connection| values(connection, &sql, params))
            .map(|mut found| found.pop().map(|(_, value)| value))
    }

    /// Topics that a sink has published retained: all, or only those whose value is gone.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn retained(&mut self, sink: &str, gone_only: bool) -> rusqlite::Result<Vec<RetainedTopic>> {
        self.disk(|connection| {
            let sql =
                "SELECT r.topic, r.source, r.what, r.event, v.version IS NOT NULL, d.source FROM retained r
                LEFT JOIN value v ON v.source = r.source AND v.what = r.what AND v.event = r.event
                LEFT JOIN device d ON d.no = r.source WHERE r.sink = ?1 AND (NOT ?2 OR v.version IS NULL)";
            let mut statement = connection.prepare_cached(sql)?;
            let topic = |row: &rusqlite::Row<'_>| {
                let key = key(row.get(1)?, row.get(2)?, &row.get::<_, String>(3)?);
                let source = row.get::<_, Option<String>>(5)?.and_then(|source| Source::from_known(&source));
                let (topic, alive) = (row.get(0)?, row.get(4)?);
                Ok(key.map(|key| RetainedTopic { topic, key, source, alive }))
            };
            statement.query_map(params![sink, gone_only], topic)?.filter_map(Result::transpose).collect()
        })
    }
}

/// Runs work that may wait for the disk, without holding up other tasks of this thread. Not used for reads from
/// memory: moving the tasks to another thread costs more than most of these reads.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

/// A value row with its source and, where it refers to one, its alarm.
pub(super) const SELECT_VALUE: &str =
    "SELECT v.source, v.what, v.event, v.version, v.entry, coalesce(v.text, o.body), d.source, e.body FROM value v
    LEFT JOIN device d ON d.no = v.source LEFT JOIN entry e ON e.no = v.entry
    LEFT JOIN document o ON o.source = v.source AND o.what = v.what AND v.text IS NULL AND v.entry IS NULL";

/// Values of a [`SELECT_VALUE`] query.
fn values(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<(ValueKey, Arc<Value>)>> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params, |row| {
        let Some(key) = key(row.get(0)?, row.get(1)?, &row.get::<_, String>(2)?) else { return Ok(None) };
        let source = row.get::<_, Option<String>>(6)?.and_then(|source| Source::from_known(&source));
        let alarm =
            row.get::<_, Option<String>>(7)?.and_then(|body| serde_json::from_str::<Record>(&body).ok());
        let held = match (row.get::<_, Option<i64>>(4)?, row.get::<_, Option<String>>(5)?, alarm) {
            (Some(no), _, Some(Record::Alarm(alarm))) => ValueContent::Alarm(no, alarm),
            (None, Some(text), _) => ValueContent::Text(text),
            _ => return Ok(None),
        };
        Ok(Some((key, Arc::new(Value { version: row.get(3)?, source, held }))))
    })?;
    found.filter_map(Result::transpose).collect()
}

/// The newest version of each value, by source and version, without values that memory knows to be removed.
fn latest(
    all: impl Iterator<Item = (ValueKey, Arc<Value>)>,
    recent: &RecentChanges,
) -> Vec<(ValueKey, Arc<Value>)> {
    let mut newest: HashMap<ValueKey, Arc<Value>> = HashMap::new();
    for (key, value) in all {
        if newest.get(&key).is_none_or(|known| known.version < value.version) {
            newest.insert(key, value);
        }
    }
    let mut found: Vec<_> =
        newest.into_iter().filter(|(key, _)| !matches!(recent.value(key), Some(None))).collect();
    found.sort_by_key(|(key, value)| (key.source_no, value.version));
    found
}

/// Values with a version after this one.
fn changes(connection: &Connection, after: i64) -> rusqlite::Result<Vec<(ValueKey, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT source, what, event, version FROM value WHERE ?1 < version")?;
    let found = statement.query_map([after], |row| {
        let key = key(row.get(0)?, row.get(1)?, &row.get::<_, String>(2)?);
        Ok(key.zip(row.get(3).ok()))
    })?;
    found.filter_map(Result::transpose).collect()
}

/// Converts columns back into a key.
fn key(source_no: i64, what: i64, event: &str) -> Option<ValueKey> {
    let event = (!event.is_empty()).then(|| EventName::new(event));
    What::from_number(what).map(|what| ValueKey { source_no, what, event })
}

/// Converts a limit to the signed integers of SQLite.
pub(super) fn rows_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
