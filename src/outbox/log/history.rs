//! Queries of pages and API: alarms newest first, devices, requests. Every query uses an index and reads only the rows
//! it shows, so that its time does not grow with the store.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use uuid::Uuid;

use super::entry::{Entry, rows};
use super::{search, terms};
use crate::model::{EventName, Record, Source};
use crate::outbox::reader::{Reader, rows_limit};
use crate::outbox::state::device::Device;

/// Filter of a list of alarms.
#[derive(Debug, Clone, Default)]
pub struct AlarmFilter {
    /// Of this source only.
    pub source: Option<Source>,
    /// Of this kind only.
    pub event: Option<EventName>,
    /// Of devices of this maker only.
    pub maker: Option<String>,
    /// With a picture, or without one.
    pub picture: Option<bool>,
    /// Words that all occur in names, kinds and details.
    pub text: Option<String>,
    /// Marked as reviewed, or not.
    pub reviewed: Option<bool>,
    /// Received at or after this.
    pub since: Option<Timestamp>,
    /// Received before this.
    pub until: Option<Timestamp>,
    /// Before this number of the log, for the next page.
    pub before: Option<i64>,
}

/// A device as pages show it.
#[derive(Debug, Clone)]
pub struct DeviceState {
    /// The device.
    pub device: Device,
    /// Its current value `device`, the JSON that is published of it.
    pub published: Option<String>,
    /// Kinds of its activities in progress.
    pub ongoing: Vec<EventName>,
}

/// A request as a list shows it.
#[derive(Debug, Clone)]
pub struct RequestSummary {
    /// Its number; rises with each request.
    pub no: i64,
    /// The identifier of the report.
    pub id: Uuid,
    /// Time of receipt.
    pub at: Timestamp,
    /// Address of the sender.
    pub peer: String,
    /// Status of the answer.
    pub status: u16,
    /// Stored bytes of head and body.
    pub bytes: u64,
    /// The result in plain words.
    pub verdict: String,
    /// Identifiers of its alarms.
    pub alarms: Vec<Uuid>,
}

/// A request with head and body; secrets are masked.
#[derive(Debug, Clone)]
pub struct KeptRequest {
    /// As in a list.
    pub summary: RequestSummary,
    /// Request line and headers.
    pub head: String,
    /// The body, as far as it is stored.
    pub body: Bytes,
}

impl Reader {
    /// Returns a read result; while the storage folder cannot be written, an error counts as an empty result.
    pub(crate) fn known<T: Default>(
        &mut self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let found = self.disk(read);
        if self.shared.durable() { found } else { Ok(found.unwrap_or_default()) }
    }

    /// Alarms, newest first. Those sent again by hand are listed once.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms(&mut self, filter: &AlarmFilter, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
        let mut found = self.known(|connection| {
            let found = if filter.needs_search() { search::alarms } else { alarms };
            found(connection, filter, limit)
        })?;
        if !self.shared.durable() {
            let recent = self.shared.recent();
            let fresh = recent.tail(0).filter(|entry| filter.reviewed != Some(true) && filter.matches(entry));
            found.extend(fresh.map(Arc::clone));
            found.sort_by_key(|entry| std::cmp::Reverse(entry.no));
            found.dedup_by_key(|entry| entry.no);
            found.truncate(limit);
        }
        Ok(found)
    }

    /// An alarm by its identifier.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarm(&mut self, id: Uuid) -> rusqlite::Result<Option<Arc<Entry>>> {
        let found = self.known(|connection| entry_by_id(connection, id))?;
        Ok(found
            .or_else(|| self.shared.recent().tail(0).find(|entry| entry.record.id() == id).map(Arc::clone)))
    }

    /// The alarms before and after an entry at the same device.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn neighbours(&mut self, entry: &Entry) -> rusqlite::Result<(Option<Uuid>, Option<Uuid>)> {
        self.known(|connection| {
            let beside = |condition: &str, order: &str| {
                let sql = format!(
                    "SELECT id FROM entry INDEXED BY entry_source WHERE source = ?1 AND no {condition} ?2
                    AND event IS NOT NULL ORDER BY no {order} LIMIT 1"
                );
                let id = |row: &rusqlite::Row<'_>| row.get(0).map(Uuid::from_bytes);
                connection.prepare_cached(&sql)?.query_row([entry.source_no, entry.no], id).optional()
            };
            Ok((beside("<", "DESC")?, beside(">", "ASC")?))
        })
    }

    /// Devices in the order of their sources, after one, with their activities in progress.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn devices(&mut self, after: &str, limit: usize) -> rusqlite::Result<Vec<DeviceState>> {
        self.known(|connection| devices(connection, "d.source > ?1", after, i64::MAX, limit))
    }

    /// Devices not heard since a moment, in the order of their sources, after one.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn quiet_devices(
        &mut self,
        since: Timestamp,
        after: &str,
        limit: usize,
    ) -> rusqlite::Result<Vec<DeviceState>> {
        let since = since.as_millisecond();
        self.known(|connection| devices(connection, "d.source > ?1", after, since, limit))
    }

    /// One device.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn device(&mut self, source: &Source) -> rusqlite::Result<Option<DeviceState>> {
        self.known(|connection| devices(connection, "d.source = ?1", source.as_str(), i64::MAX, 1))
            .map(|mut found| found.pop())
    }

    /// A small text that was stored by name.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn note(&mut self, key: &str) -> rusqlite::Result<Option<String>> {
        self.known(|connection| {
            connection.query_row("SELECT text FROM note WHERE key = ?1", [key], |row| row.get(0)).optional()
        })
    }

    /// Requests, newest first, before a number.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn requests(&mut self, before: Option<i64>, limit: usize) -> rusqlite::Result<Vec<RequestSummary>> {
        self.known(|connection| {
            let sql = "SELECT no, id, at, peer, status, bytes, verdict, alarms FROM request
                WHERE no < ?1 ORDER BY no DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(params![before.unwrap_or(i64::MAX), rows_limit(limit)], summary)?.collect()
        })
    }

    /// A request with head and body.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn request(&mut self, no: i64) -> rusqlite::Result<Option<KeptRequest>> {
        self.known(|connection| {
            let sql = "SELECT no, id, at, peer, status, bytes, verdict, alarms, head, body FROM request WHERE no = ?1";
            let kept = |row: &rusqlite::Row<'_>| {
                let (head, body): (_, Vec<u8>) = (row.get(8)?, row.get(9)?);
                Ok(KeptRequest { summary: summary(row)?, head, body: body.into() })
            };
            connection.query_row(sql, [no], kept).optional()
        })
    }

    /// The latest request with this alarm, as far back as requests are stored.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn request_of(&mut self, alarm: Uuid) -> rusqlite::Result<Option<i64>> {
        self.known(|connection| {
            let sql = "SELECT max(no) FROM request WHERE instr(alarms, ?1) > 0";
            connection.query_row(sql, [alarm.to_string()], |row| row.get(0))
        })
    }

    /// The latest request, and the latest request with an alarm.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn latest_requests(&mut self) -> rusqlite::Result<(Option<RequestSummary>, Option<RequestSummary>)> {
        self.known(|connection| {
            let latest = |condition: &str| {
                let sql = format!(
                    "SELECT no, id, at, peer, status, bytes, verdict, alarms FROM request
                    WHERE {condition} ORDER BY no DESC LIMIT 1"
                );
                connection.prepare_cached(&sql)?.query_row([], summary).optional()
            };
            Ok((latest("1")?, latest("alarms <> '[]'")?))
        })
    }
}

impl AlarmFilter {
    /// Returns whether the filter needs the search index.
    pub(super) fn needs_search(&self) -> bool {
        self.maker.is_some() || self.picture.is_some() || self.text.is_some()
    }

    /// Returns whether an entry in memory passes the filter.
    pub(super) fn matches(&self, entry: &Entry) -> bool {
        let Record::Alarm(alarm) = &entry.record else { return false };
        !entry.is_replay()
            && self.maker.as_ref().is_none_or(|maker| *maker == alarm.device.vendor)
            && self.picture.is_none_or(|picture| picture == entry.picture().is_some())
            && self.until.is_none_or(|until| alarm.received_at < until)
            && self.text.as_ref().is_none_or(|text| terms::contains(alarm, text))
            && self.source.as_ref().is_none_or(|source| *source == alarm.source)
            && self.event.as_ref().is_none_or(|event| *event == alarm.event)
            && self.since.is_none_or(|since| since <= alarm.received_at)
            && self.before.is_none_or(|before| entry.no < before)
    }
}

/// Runs the query of [`Reader::alarms`]: finds numbers by an index alone, then reads their rows.
fn alarms(connection: &Connection, filter: &AlarmFilter, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let Some(source_no) = source_no(connection, filter)? else { return Ok(Vec::new()) };
    let (from, before) = range(connection, filter)?;
    let params = named_params! {
        ":event": filter.event.as_ref().map(EventName::as_str),
        ":source": source_no,
        ":before": before,
        ":from": from,
        ":since": filter.since.map_or(i64::MIN, |since| since.as_millisecond()),
        ":limit": rows_limit(limit),
    };
    rows(connection, &statement(filter), params)
}

/// SQL of the query of [`Reader::alarms`] without the search index.
pub(super) fn statement(filter: &AlarmFilter) -> String {
    let (index, kind) = match (&filter.event, &filter.source) {
        (Some(_), _) => ("INDEXED BY entry_event", "event = :event"),
        (None, Some(_)) => ("INDEXED BY entry_source", "event IS NOT NULL AND :event IS NULL"),
        (None, None) => ("NOT INDEXED", "event IS NOT NULL AND :event IS NULL"),
    };
    let source = if filter.source.is_some() { "source = :source" } else { ":source = 0" };
    let review = filter.review_condition("entry.no");
    format!(
        "SELECT e.no, e.source, e.run, e.mono, e.body, e.again FROM (
            SELECT no FROM entry {index} WHERE {kind} AND {source} AND no < :before AND no >= :from AND at >= :since{review}
            ORDER BY no DESC LIMIT :limit) AS p JOIN entry e ON e.no = p.no ORDER BY e.no DESC"
    )
}

/// The number of the filter's source: 0 without one, none when it is not known.
pub(super) fn source_no(connection: &Connection, filter: &AlarmFilter) -> rusqlite::Result<Option<i64>> {
    let Some(source) = &filter.source else { return Ok(Some(0)) };
    let sql = "SELECT no FROM device WHERE source = ?1";
    connection.query_row(sql, [source.as_str()], |row| row.get(0)).optional()
}

/// Range of numbers that the times and the page of a filter allow: from the first (included) to the second
/// (excluded).
pub(super) fn range(connection: &Connection, filter: &AlarmFilter) -> rusqlite::Result<(i64, i64)> {
    let from = filter.since.map_or(Ok(0), |since| first_since(connection, since))?;
    let until = filter.until.map_or(Ok(i64::MAX), |until| first_since(connection, until))?;
    Ok((from, until.min(filter.before.unwrap_or(i64::MAX))))
}

/// The lowest number, and the one after the highest. In one SELECT both would visit every row.
pub(super) const BOUNDS: &str =
    "SELECT coalesce((SELECT min(no) FROM entry), 0), coalesce((SELECT max(no) FROM entry), 0) + 1";

/// First number received at or after a moment, by binary search: numbers rise with time (unless a clock was set
/// back).
pub(crate) fn first_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<i64> {
    let (mut low, mut high): (i64, i64) =
        connection.prepare_cached(BOUNDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut at = connection.prepare_cached("SELECT no, at FROM entry WHERE no >= ?1 ORDER BY no LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> =
            at.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((no, at)) if at < since.as_millisecond() => low = no + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn devices(
    connection: &Connection,
    condition: &str,
    key: &str,
    heard_before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<DeviceState>> {
    let sql = format!(
        "SELECT d.no, h.seq, h.alarms, h.last_heard, d.body, v.body FROM device d JOIN heard h ON h.no = d.no
        LEFT JOIN document v ON v.source = d.no AND v.what = 6
        WHERE {condition} AND h.last_heard < ?3 ORDER BY d.source LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params![key, rows_limit(limit), heard_before], |row| {
        let body: String = row.get(4)?;
        let Ok(device) = serde_json::from_str::<Device>(&body) else { return Ok(None) };
        let device = Device {
            no: row.get(0)?,
            seq: row.get::<_, i64>(1)?.unsigned_abs(),
            alarms: row.get::<_, i64>(2)?.unsigned_abs(),
            last_heard_ms: row.get(3)?,
            ..device
        };
        Ok(Some(DeviceState { device, published: row.get(5)?, ongoing: Vec::new() }))
    })?;
    let mut found: Vec<DeviceState> = found.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let mut ongoing =
        connection.prepare_cached("SELECT event FROM activity WHERE source = ?1 ORDER BY event")?;
    for state in &mut found {
        let events = ongoing.query_map([state.device.source.as_str()], |row| row.get::<_, String>(0))?;
        state.ongoing =
            events.map(|event| event.map(|event| EventName::new(&event))).collect::<Result<_, _>>()?;
    }
    Ok(found)
}

/// One entry by the identifier of its record: the first one, where it was sent again.
pub(crate) fn entry_by_id(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Arc<Entry>>> {
    let sql = "SELECT min(no) FROM entry WHERE id = ?1";
    let no: Option<i64> = connection.query_row(sql, [id.as_bytes()], |row| row.get(0))?;
    no.map_or(Ok(None), |no| entry_by_no(connection, no))
}

/// One entry by its number.
pub(crate) fn entry_by_no(connection: &Connection, no: i64) -> rusqlite::Result<Option<Arc<Entry>>> {
    let sql = "SELECT no, source, run, mono, body, again FROM entry WHERE no = ?1";
    rows(connection, sql, params![no]).map(|mut found| found.pop())
}

/// The columns of a [`RequestSummary`].
fn summary(row: &rusqlite::Row<'_>) -> rusqlite::Result<RequestSummary> {
    Ok(RequestSummary {
        no: row.get(0)?,
        id: Uuid::from_bytes(row.get(1)?),
        at: moment(row.get(2)?),
        peer: row.get(3)?,
        status: row.get(4)?,
        bytes: row.get::<_, i64>(5)?.unsigned_abs(),
        verdict: row.get(6)?,
        alarms: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
    })
}

/// The time of a column in milliseconds.
pub(crate) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
