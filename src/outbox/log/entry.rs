//! Rows of the log, and of the pictures and requests beside it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use crate::model::{EventName, Record};

/// A row of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number; grows with every row.
    pub no: i64,
    /// The number of its source.
    pub source_no: i64,
    /// Run of the process in which it was received.
    pub run: i64,
    /// Time of receipt in that run, in milliseconds of the monotonic clock.
    pub mono_ms: i64,
    /// The record.
    pub record: Record,
    /// The record as JSON.
    pub(crate) body: String,
    /// Marks a replay: name of the sink it is for, or empty for all; `None` for a first delivery.
    pub(crate) replay_for: Option<String>,
}

impl Entry {
    /// Run number of entries that are always `replayed`, whenever they were received.
    pub const REPLAYED: i64 = -1;

    /// An entry that belongs to no run (for recovery and tests).
    #[must_use]
    pub fn new(no: i64, source_no: i64, record: Record) -> Self {
        let body = serde_json::to_string(&record).unwrap_or_default();
        Self { no, source_no, run: 0, mono_ms: 0, record, body, replay_for: None }
    }

    /// Returns whether it is a replay made by hand; it is then marked `replayed` however recent it is.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.replay_for.is_some()
    }

    /// Returns whether it is to be sent to this sink: `false` only for a replay meant for another one.
    #[must_use]
    pub fn is_for(&self, sink: &str) -> bool {
        self.replay_for.as_deref().is_none_or(|only| only.is_empty() || only == sink)
    }

    /// Kind of an alarm that is not a replay.
    pub(crate) fn event(&self) -> Option<&EventName> {
        match &self.record {
            Record::Alarm(alarm) if self.replay_for.is_none() => Some(&alarm.event),
            Record::Alarm(_) | Record::Activity(_) => None,
        }
    }

    /// The row of its picture.
    pub(crate) fn picture_row(&self) -> Option<PictureRow> {
        let Record::Alarm(alarm) = &self.record else { return None };
        let snapshot = alarm.snapshot.as_ref()?;
        Some(PictureRow { id: snapshot.picture?, at: alarm.received_at, bytes: snapshot.bytes })
    }

    /// Its picture.
    #[must_use]
    pub fn picture(&self) -> Option<Uuid> {
        match &self.record {
            Record::Alarm(alarm) => alarm.snapshot.as_ref().and_then(|snapshot| snapshot.picture),
            Record::Activity(_) => None,
        }
    }
}

/// A picture's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureRow {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) bytes: u64,
}

/// A request as it is stored for the Requests page.
#[derive(Debug, Clone)]
pub(crate) struct StoredRequest {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) peer: String,
    pub(crate) status: u16,
    pub(crate) verdict: String,
    pub(crate) head: String,
    pub(crate) body: Bytes,
    pub(crate) alarms: Vec<Uuid>,
}

/// Entries of a query over `no, source, run, mono, body, again`. A row that cannot be read is skipped, with a warning.
pub(crate) fn rows(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    rows_or(connection, sql, params, |no, error| {
        tracing::warn!("entry {no} of the outbox cannot be read and is skipped: {error}");
    })
}

/// Entries of such a query; a row that cannot be read is skipped and passed to `skipped`.
pub(crate) fn rows_or(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    skipped: impl Fn(i64, &serde_json::Error),
) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(params, |row| {
        let (no, body): (i64, String) = (row.get(0)?, row.get(4)?);
        let record = match serde_json::from_str::<Record>(&body) {
            Ok(record) => record,
            Err(error) => {
                skipped(no, &error);
                return Ok(None);
            }
        };
        Ok(Some(Arc::new(Entry {
            no,
            source_no: row.get(1)?,
            run: row.get(2)?,
            mono_ms: row.get(3)?,
            record,
            body,
            replay_for: row.get(5)?,
        })))
    })?;
    found.filter_map(Result::transpose).collect()
}
