//! Search index of the log: a full-text table whose rows have the numbers of their entries.
//!
//! Writing an alarm does not touch it. Housekeeping adds new entries in short steps, and a query examines the entries
//! not yet indexed one by one; so an alarm is found as soon as it is committed, and an older database opens at once.
//! The note `searched` is the number up to which entries are indexed.
//!
//! The index can be rebuilt from the log, so an error in it is never treated as damage of the database.

use std::io;
use std::sync::Arc;

use rusqlite::{Connection, named_params, params};

use super::entry::{Entry, rows};
use super::history::{AlarmFilter, BOUNDS, first_since, range, source_no};
use super::terms;
use crate::model::Record;
use crate::outbox::reader::{Reader, rows_limit};
use crate::outbox::store::{self, schema};
use counts::Counted;
pub(crate) use counts::KeptCounts;

mod counts;

/// Maximum number of entries not yet indexed that one query examines.
const MAX_UNINDEXED: i64 = 20_000;
/// Name of the note that holds the number up to which entries are indexed.
const SEARCHED_NOTE: &str = "searched";
/// Columns of an entry, as [`rows`] reads them.
const COLUMNS: &str = "e.no, e.source, e.run, e.mono, e.body, e.again";

impl Reader {
    /// Returns whether more entries are not yet indexed than a query examines.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn search_is_behind(&mut self) -> rusqlite::Result<bool> {
        self.known(|connection| Ok(MAX_UNINDEXED < newest(connection)? - searched(connection)?))
    }

    /// Numbers of alarms between moments in ascending order: one count less than there are moments. `since` and
    /// `until` of the filter are ignored.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms_between(
        &mut self,
        filter: &AlarmFilter,
        moments: &[jiff::Timestamp],
    ) -> rusqlite::Result<Vec<u64>> {
        let shared = Arc::clone(&self.shared);
        // Taken before the file is opened: a file that comes after it is counted and not kept.
        let ticket = shared.counts.begin(shared.generation());
        self.known(|connection| {
            let bounds: Vec<i64> =
                moments.iter().map(|moment| first_since(connection, *moment)).collect::<Result<_, _>>()?;
            let pairs = bounds.iter().zip(bounds.iter().skip(1));
            if filter.needs_search() {
                return count_searched(connection, filter, &bounds);
            }
            let Some(source_no) = source_no(connection, filter)? else { return Ok(vec![0; pairs.len()]) };
            let indexed = |from, to| count_indexed(connection, filter, source_no, from, to);
            // A mark may come or go for any alarm.
            if filter.reviewed.is_some() {
                return pairs.map(|(from, to)| indexed(*from, *to)).collect();
            }
            let (_, end): (i64, i64) =
                connection.prepare_cached(BOUNDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let kept = |(from, to): (&i64, &i64)| {
                let closed = Some(*to).filter(|to| *to < end);
                let counted =
                    Counted { source: source_no, event: filter.event.clone(), from: *from, to: closed };
                shared.counts.get(ticket, counted, *to, |from| indexed(from, *to))
            };
            pairs.map(kept).collect()
        })
    }
}

/// Alarms that pass a filter, newest first.
pub(super) fn alarms(
    connection: &Connection,
    filter: &AlarmFilter,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let (from, before) = range(connection, filter)?;
    let searched = searched(connection)?;
    let mut found = behind(connection, filter, (from.max(searched + 1), before), limit)?;
    if found.len() < limit {
        let numbers = (from, before.min(searched + 1));
        let left = limit - found.len();
        found.extend(indexed(connection, filter, numbers, left)?);
    }
    Ok(found)
}

/// Indexed entries that pass a filter.
fn indexed(
    connection: &Connection,
    filter: &AlarmFilter,
    (from, before): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let Some(query) = query(connection, filter)? else { return Ok(Vec::new()) };
    let params =
        named_params! {":query": query, ":from": from, ":before": before, ":limit": rows_limit(limit)};
    rows(connection, &indexed_statement(filter), params).map_err(of_index)
}

/// SQL of [`indexed`].
pub(super) fn indexed_statement(filter: &AlarmFilter) -> String {
    let review = filter.review_condition("search.rowid");
    format!(
        "SELECT {COLUMNS} FROM (SELECT rowid AS no FROM search WHERE search MATCH :query AND rowid >= :from
            AND rowid < :before{review} ORDER BY rowid DESC LIMIT :limit) AS p JOIN entry e ON e.no = p.no ORDER BY e.no DESC"
    )
}

/// Entries not yet indexed that pass a filter.
fn behind(
    connection: &Connection,
    filter: &AlarmFilter,
    (from, before): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let from = from.max(newest(connection)? - MAX_UNINDEXED);
    let sql = behind_statement(filter);
    let mut found = Vec::new();
    let mut before = before;
    while found.len() < limit && from < before {
        let part = rows(connection, &sql, params![from, before])?;
        let Some(last) = part.last() else { break };
        before = last.no;
        found.extend(part.into_iter().filter(|entry| filter.matches(entry)));
    }
    found.truncate(limit);
    Ok(found)
}

/// SQL of [`behind`].
pub(super) fn behind_statement(filter: &AlarmFilter) -> String {
    format!(
        "SELECT {COLUMNS} FROM entry e WHERE e.no >= ?1 AND e.no < ?2 AND e.event IS NOT NULL{} ORDER BY e.no DESC LIMIT 500",
        filter.review_condition("e.no")
    )
}

/// Query of the full-text table; `None` when the filter's source is not known. If an alarm has all words exactly,
/// whole words are searched for; otherwise words that begin so. The choice is made over the whole index, so that all
/// pages agree.
fn query(connection: &Connection, filter: &AlarmFilter) -> rusqlite::Result<Option<String>> {
    let Some(whole) = expression(connection, filter, false)? else { return Ok(None) };
    let sql = "SELECT 1 FROM search WHERE search MATCH ?1 LIMIT 1";
    let found = |query: &String| connection.prepare_cached(sql)?.exists([query]);
    if filter.text.is_none() || found(&whole).map_err(of_index)? {
        return Ok(Some(whole));
    }
    expression(connection, filter, true)
}

/// The filter in the language of the full-text table.
fn expression(
    connection: &Connection,
    filter: &AlarmFilter,
    prefix: bool,
) -> rusqlite::Result<Option<String>> {
    let Some(source_no) = source_no(connection, filter)? else { return Ok(None) };
    let mut properties = Vec::new();
    match (&filter.event, 0 < source_no) {
        (Some(event), true) => properties.push(terms::of_event_at(source_no, event)),
        (Some(event), false) => properties.push(terms::of_event(event)),
        (None, true) => properties.push(terms::of_source(source_no)),
        (None, false) => {}
    }
    properties.extend(filter.maker.as_deref().map(terms::of_maker));
    properties.extend(filter.picture.map(|picture| terms::of_picture(picture).to_owned()));
    let star = if prefix { " *" } else { "" };
    let words = filter.text.as_deref().map(terms::words).unwrap_or_default();
    let quoted = properties.iter().map(|term| format!("\"{term}\""));
    let all: Vec<String> = quoted.chain(words.iter().map(|word| format!("\"{word}\"{star}"))).collect();
    // A text without a word matches every alarm.
    Ok(Some(if all.is_empty() { "\"_p:yes\" OR \"_p:no\"".into() } else { all.join(" AND ") }))
}

/// Counts the alarms in a range of numbers that pass a filter, by the index of kinds alone.
fn count_indexed(
    connection: &Connection,
    filter: &AlarmFilter,
    source_no: i64,
    from: i64,
    to: i64,
) -> rusqlite::Result<u64> {
    let event = filter.event.as_ref().map(crate::model::EventName::as_str);
    let params = named_params! {":from": from, ":to": to, ":event": event, ":source": source_no};
    let mut counted = connection.prepare_cached(&count_statement(filter))?;
    counted.query_row(params, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

/// SQL of [`count_indexed`].
pub(super) fn count_statement(filter: &AlarmFilter) -> String {
    format!(
        "{} SELECT count(*) FROM kind CROSS JOIN entry INDEXED BY entry_event ON entry.event = kind.event
            AND entry.no >= :from AND entry.no < :to
            WHERE (:event IS NULL OR kind.event = :event) AND (:source = 0 OR entry.source = :source){}",
        super::timeline::KINDS,
        filter.review_condition("entry.no")
    )
}

/// Counts the alarms between numbers that pass a filter, by the search index and the entries not yet indexed: in one
/// pass, since the index finds the beginning of a range by walking there.
fn count_searched(
    connection: &Connection,
    filter: &AlarmFilter,
    bounds: &[i64],
) -> rusqlite::Result<Vec<u64>> {
    let mut counts = vec![0; bounds.len().saturating_sub(1)];
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else { return Ok(counts) };
    let mut count = |no: i64| {
        let range = bounds.partition_point(|bound| *bound <= no).checked_sub(1);
        range.and_then(|range| counts.get_mut(range)).into_iter().for_each(|count| *count += 1);
    };
    let searched = searched(connection)?;
    let unbounded = AlarmFilter { since: None, until: None, before: None, ..filter.clone() };
    let fresh = behind(connection, &unbounded, ((*first).max(searched + 1), *last), usize::MAX)?;
    fresh.iter().for_each(|entry| count(entry.no));
    let Some(query) = query(connection, filter)? else { return Ok(counts) };
    let mut found = connection.prepare_cached(&format!(
        "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid >= ?2 AND rowid < ?3{}",
        filter.review_condition("search.rowid")
    ))?;
    let mut found = found.query(params![query, first, (*last).min(searched + 1)]).map_err(of_index)?;
    while let Some(row) = found.next().map_err(of_index)? {
        count(row.get(0)?);
    }
    Ok(counts)
}

/// Marks an error as one of the index alone: the database is intact.
fn of_index(error: rusqlite::Error) -> rusqlite::Error {
    if store::is_damage(&error) {
        store::other(io::Error::other(format!("the search index cannot be used: {error}")))
    } else {
        error
    }
}

/// Removes an entry from the index. A damaged index is rebuilt.
pub(super) fn remove(connection: &Connection, no: i64) -> rusqlite::Result<()> {
    match connection
        .prepare_cached("DELETE FROM search WHERE rowid = ?1")
        .and_then(|mut sql| sql.execute([no]))
    {
        Err(error) if store::is_damage(&error) => rebuild(connection),
        result => result.map(drop),
    }
}

/// Empties the index, so that it is built again.
fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    tracing::warn!(
        "the search index is damaged and is made again: older alarms may be missing in a search for some minutes"
    );
    connection.execute_batch("DROP TABLE search")?;
    connection.execute_batch(schema::SEARCH)?;
    connection.execute("DELETE FROM note WHERE key = ?1", [SEARCHED_NOTE]).map(drop)
}

/// Adds one step of entries to the index. Returns whether there are more. A damaged index is rebuilt.
pub(crate) fn index_step(connection: &mut Connection, step: usize) -> rusqlite::Result<bool> {
    let probe = "SELECT 1 FROM search WHERE search MATCH '\"_p:no\"' LIMIT 1";
    let probed = connection.prepare_cached(probe).and_then(|mut sql| sql.exists([]));
    let sql = format!("SELECT {COLUMNS} FROM entry e WHERE e.no > ?1 ORDER BY e.no LIMIT ?2");
    let bounds = (searched(connection)?, rows_limit(step));
    let entries = rows(connection, &sql, bounds)?;
    // Entries that cannot be read are skipped, and count as indexed.
    let end = "SELECT coalesce(max(no), ?1), count(*) FROM (SELECT no FROM entry WHERE no > ?1 ORDER BY no LIMIT ?2)";
    let (last, count): (i64, i64) =
        connection.prepare_cached(end)?.query_row(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let added = probed.and_then(|_| if count == 0 { Ok(()) } else { add(connection, &entries, last) });
    match added {
        Err(error) if store::is_damage(&error) => rebuild(connection).map(|()| true),
        added => added.map(|()| count == bounds.1),
    }
}

/// Adds entries to the index, and notes that it goes up to the entry `last`.
fn add(connection: &mut Connection, entries: &[Arc<Entry>], last: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    insert(&transaction, entries)?;
    let note =
        "INSERT INTO note (key, text) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET text = excluded.text";
    transaction.prepare_cached(note)?.execute(params![SEARCHED_NOTE, last.to_string()])?;
    transaction.commit()
}

/// Adds alarms to the index.
fn insert(connection: &Connection, entries: &[Arc<Entry>]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO search (rowid, terms) VALUES (?1, ?2)")?;
    for entry in entries {
        let Record::Alarm(alarm) = &entry.record else { continue };
        if !entry.is_replay() {
            insert.execute(params![entry.no, terms::of_alarm(entry.source_no, alarm).join(" ")])?;
        }
    }
    Ok(())
}

/// Number up to which entries are indexed.
fn searched(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(schema::note(connection, SEARCHED_NOTE)?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// The newest number of the log.
fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(no), 0) FROM entry", [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
