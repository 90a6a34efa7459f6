//! Alarms that somebody marked as reviewed. The mark is of this database alone: it is neither published nor shared in a
//! cluster.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::entry::{Entry, rows};
use super::history::AlarmFilter;
use crate::model::Record;
use crate::outbox::command::Command;
use crate::outbox::effects::Effects;
use crate::outbox::reader::Reader;
use crate::outbox::writer::Writer;
use crate::outbox::{Closed, Outbox};

/// Maximum distance between the numbers of alarms of one report.
const REPORT: i64 = 128;

/// A mark set or lifted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Review {
    /// The entry.
    pub(crate) entry: i64,
    /// Time of the mark; none: it is lifted.
    pub(crate) at: Option<Timestamp>,
}

impl Outbox {
    /// Marks an alarm, and the others of its report, as reviewed, or lifts the mark. Returns `false` if the alarm is not
    /// known (any more).
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn review(&self, id: Uuid, reviewed: bool) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Review { id, reviewed, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

impl Writer {
    /// Marks the alarms of a report, or lifts their marks.
    pub(crate) fn review(&mut self, id: Uuid, reviewed: bool, effects: &mut Effects) -> bool {
        let Some(entry) = self.find(id, effects) else { return false };
        let at = reviewed.then(crate::host::now);
        let beside = self.report_of(&entry);
        let numbers = beside.into_iter().chain([entry.no]);
        effects.log.reviews.extend(numbers.map(|entry| Review { entry, at }));
        true
    }

    /// Numbers of the alarms on disk that came with the same report.
    fn report_of(&self, entry: &Entry) -> Vec<i64> {
        let Some(connection) = self.disk.connection.as_ref() else { return Vec::new() };
        let sql = "SELECT e.no, e.source, e.run, e.mono, e.body, e.again FROM entry e INDEXED BY entry_source
            WHERE e.source = ?1 AND e.no BETWEEN ?2 AND ?3 AND e.event IS NOT NULL";
        let near = params![entry.source_no, entry.no - REPORT, entry.no + REPORT];
        let found = rows(connection, sql, near).unwrap_or_default();
        let same = |other: &Arc<Entry>| other.record.at() == entry.record.at();
        found.iter().filter(|other| same(other)).map(|other| other.no).collect()
    }
}

impl Reader {
    /// Numbers of those entries that are marked as reviewed.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn reviewed(&mut self, entries: &[Arc<Entry>]) -> rusqlite::Result<HashSet<i64>> {
        self.known(|connection| {
            let mut marked = connection.prepare_cached("SELECT 1 FROM reviewed WHERE entry = ?1")?;
            let alarms = entries.iter().filter(|entry| matches!(entry.record, Record::Alarm(_)));
            let mut found = HashSet::new();
            for entry in alarms {
                if marked.exists([entry.no])? {
                    found.insert(entry.no);
                }
            }
            Ok(found)
        })
    }
}

impl AlarmFilter {
    /// The condition on a column of numbers, in the language of the database.
    pub(super) fn review_condition(&self, column: &str) -> String {
        match self.reviewed {
            None => String::new(),
            Some(true) => format!(" AND {column} IN (SELECT entry FROM reviewed)"),
            Some(false) => {
                format!(" AND NOT EXISTS (SELECT 1 FROM reviewed WHERE reviewed.entry = {column})")
            }
        }
    }
}

/// Writes the marks of a commit.
pub(crate) fn write(transaction: &Transaction<'_>, reviews: &[Review]) -> rusqlite::Result<()> {
    let mut set = transaction
        .prepare_cached("INSERT INTO reviewed (entry, at) VALUES (?1, ?2) ON CONFLICT (entry) DO NOTHING")?;
    let mut lift = transaction.prepare_cached("DELETE FROM reviewed WHERE entry = ?1")?;
    for review in reviews {
        match review.at {
            Some(at) => set.execute(params![review.entry, at.as_millisecond()])?,
            None => lift.execute([review.entry])?,
        };
    }
    Ok(())
}
