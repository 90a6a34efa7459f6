//! What pages and API read: alarms newest first, devices, requests, what is parked. Every query goes by an index and
//! reads only the rows it shows, so that it answers at once however much there is.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use uuid::Uuid;

use super::device::Device;
use super::effects::Entry;
use super::reader::{Reader, rows, rows_limit};
use crate::model::{EventName, Record, Source};

/// Which alarms a page shows.
#[derive(Debug, Clone, Default)]
pub struct AlarmFilter {
    /// Of this source only.
    pub source: Option<Source>,
    /// Of this kind only.
    pub event: Option<EventName>,
    /// Received at or after this.
    pub since: Option<Timestamp>,
    /// Before this number of the log: the page after one that ended there.
    pub before: Option<i64>,
}

/// A device as pages show it.
#[derive(Debug, Clone)]
pub struct DeviceState {
    /// What the books say.
    pub device: Device,
    /// Its current value `device`, the JSON that is published of it.
    pub published: Option<String>,
    /// The kinds that go on now.
    pub ongoing: Vec<EventName>,
}

/// A request as a list shows it.
#[derive(Debug, Clone)]
pub struct RequestSummary {
    /// Its number; grows.
    pub no: i64,
    /// The identifier of the report.
    pub id: Uuid,
    /// When it came.
    pub at: Timestamp,
    /// Who sent it.
    pub peer: String,
    /// What was answered.
    pub status: u16,
    /// Bytes kept of head and body.
    pub bytes: u64,
    /// What became of it, in plain words.
    pub verdict: String,
    /// The alarms made of it.
    pub alarms: Vec<Uuid>,
}

/// A request with all that is kept of it; secrets are masked.
#[derive(Debug, Clone)]
pub struct KeptRequest {
    /// As in a list.
    pub summary: RequestSummary,
    /// Request line and headers.
    pub head: String,
    /// The body, as far as it is kept.
    pub body: Bytes,
}

impl Reader {
    /// Reads from the disk. While it fails as a whole, what it holds is out of reach, and memory is all there is.
    pub(super) fn known<T: Default>(
        &mut self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let found = self.disk(read);
        if self.shared.durable() { found } else { Ok(found.unwrap_or_default()) }
    }

    /// Alarms, newest first; what was sent again by hand is not listed twice.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn alarms(&mut self, filter: &AlarmFilter, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
        let mut found = self.known(|connection| alarms(connection, filter, limit))?;
        if !self.shared.durable() {
            let recent = self.shared.recent();
            found.extend(recent.tail(0).filter(|entry| filter.takes(entry)).map(Arc::clone));
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

    /// Devices in the order of their sources, after one, with what goes on at each.
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

    /// A request with all that is kept of it.
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

    /// The latest request that made this alarm, as far back as requests are kept.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn request_of(&mut self, alarm: Uuid) -> rusqlite::Result<Option<i64>> {
        self.known(|connection| {
            let sql = "SELECT max(no) FROM request WHERE instr(alarms, ?1) > 0";
            connection.query_row(sql, [alarm.to_string()], |row| row.get(0))
        })
    }

    /// The latest request of all, and the latest that alarms were made of.
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
    /// The same in memory.
    fn takes(&self, entry: &Entry) -> bool {
        let Record::Alarm(alarm) = &entry.record else { return false };
        !entry.is_again()
            && self.source.as_ref().is_none_or(|source| *source == alarm.source)
            && self.event.as_ref().is_none_or(|event| *event == alarm.event)
            && self.since.is_none_or(|since| since <= alarm.received_at)
            && self.before.is_none_or(|before| entry.no < before)
    }
}

/// The query of [`Reader::alarms`]: numbers by an index alone, then their rows.
fn alarms(connection: &Connection, filter: &AlarmFilter, limit: usize) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let source_no = match &filter.source {
        None => 0,
        Some(source) => {
            let sql = "SELECT no FROM device WHERE source = ?1";
            let known =
                connection.query_row(sql, [source.as_str()], |row| row.get::<_, i64>(0)).optional()?;
            let Some(no) = known else { return Ok(Vec::new()) };
            no
        }
    };
    let (index, kind) = match (&filter.event, &filter.source) {
        (Some(_), _) => ("INDEXED BY entry_event", "event = :event"),
        (None, Some(_)) => ("INDEXED BY entry_source", "event IS NOT NULL AND :event IS NULL"),
        (None, None) => ("NOT INDEXED", "event IS NOT NULL AND :event IS NULL"),
    };
    let source = if filter.source.is_some() { "source = :source" } else { ":source = 0" };
    let sql = format!(
        "SELECT e.no, e.source, e.run, e.mono, e.body, e.again FROM (
            SELECT no FROM entry {index} WHERE {kind} AND {source} AND no < :before AND no >= :from AND at >= :since
            ORDER BY no DESC LIMIT :limit) AS p JOIN entry e ON e.no = p.no ORDER BY e.no DESC"
    );
    let from = filter.since.map_or(Ok(0), |since| first_since(connection, since))?;
    let params = named_params! {
        ":event": filter.event.as_ref().map(EventName::as_str),
        ":source": source_no,
        ":before": filter.before.unwrap_or(i64::MAX),
        ":from": from,
        ":since": filter.since.map_or(i64::MIN, |since| since.as_millisecond()),
        ":limit": rows_limit(limit),
    };
    rows(connection, &sql, params)
}

/// The first number received at or after a moment. Numbers grow with time (but for a clock that was set), so it is
/// found by halving.
pub(super) fn first_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<i64> {
    let bounds = "SELECT coalesce(min(no), 0), coalesce(max(no), 0) + 1 FROM entry";
    let (mut low, mut high): (i64, i64) =
        connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
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
pub(super) fn entry_by_id(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Arc<Entry>>> {
    let sql = "SELECT min(no) FROM entry WHERE id = ?1";
    let no: Option<i64> = connection.query_row(sql, [id.as_bytes()], |row| row.get(0))?;
    no.map_or(Ok(None), |no| entry_by_no(connection, no))
}

/// One entry by its number.
pub(super) fn entry_by_no(connection: &Connection, no: i64) -> rusqlite::Result<Option<Arc<Entry>>> {
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

/// A moment back from its column.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
