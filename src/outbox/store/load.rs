//! Loading at a start: devices, activities, positions, and the numbers to continue from.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::lineage::DatabaseCard;
use super::{IDENTITY, card, schema};
use crate::activity::{ActivityKey, Ongoing};
use crate::model::{EventName, Record, Source};
use crate::outbox::cluster::{self, Applied};
use crate::outbox::delivery::position::Position;
use crate::outbox::log::entry::{self, Entry};
use crate::outbox::state::checkpoint;
use crate::outbox::state::device::Device;

/// Content of the tables at a start.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) devices: Vec<Device>,
    pub(crate) activities: Vec<(ActivityKey, Ongoing)>,
    pub(crate) sinks: Vec<(String, Position)>,
    pub(crate) next_no: i64,
    pub(crate) next_version: i64,
    pub(crate) next_device: i64,
    /// Identity of the database.
    pub(crate) identity: Option<String>,
    /// The last entry that all rows follow from (see [`checkpoint`]).
    pub(crate) checkpoint: i64,
    /// Alarms after it.
    pub(crate) redo: Vec<Arc<Entry>>,
    /// Identity of the store, and the numbers to continue from.
    pub(crate) card: DatabaseCard,
    /// Highest number of the spool so far, and the last record of each partition of a cluster.
    pub(crate) cluster: (i64, Vec<Applied>),
}

impl Saved {
    /// Highest sequence number used by any device.
    pub(crate) fn highest_seq(&self) -> u64 {
        let of_entry = |entry: &Arc<Entry>| match &entry.record {
            Record::Alarm(alarm) => alarm.seq,
            Record::Activity(_) => 0,
        };
        let devices = self.devices.iter().map(|device| device.seq);
        devices.chain(self.redo.iter().map(of_entry)).max().unwrap_or(0)
    }
}

/// Reads everything that the writer keeps in memory.
pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Saved> {
    let number = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(Option::unwrap_or_default)
    };
    let sinks = load_sinks(connection)?;
    let furthest = sinks
        .iter()
        .map(|(_, position)| (position.log_low, position.value_low))
        .fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let identity = schema::note(connection, IDENTITY)?;
    let card = card::read(connection, identity.as_deref())?;
    // Entries up to it were written, though they may have been deleted since.
    let written = card::number(connection, checkpoint::NOTE)?;
    let next_no = number("SELECT max(no) FROM entry")?.max(furthest.0).max(written).max(card.no_floor) + 1;
    // Before there was such a note, all rows were written with their entries.
    let noted = schema::note(connection, checkpoint::NOTE)?.and_then(|no| no.parse().ok());
    let checkpoint = noted.unwrap_or(next_no - 1);
    Ok(Saved {
        next_no,
        next_version: number("SELECT max(version) FROM value")?.max(furthest.1) + 1,
        next_device: number("SELECT max(no) FROM device")?
            .max(number("SELECT max(source) FROM entry")?)
            .max(number("SELECT max(source) FROM retained")?)
            + 1,
        devices: load_devices(connection)?,
        activities: load_activities(connection)?,
        identity,
        sinks,
        redo: alarms_after(connection, checkpoint)?,
        checkpoint,
        card,
        cluster: load_cluster(connection)?,
    })
}

/// The spool and the records that were applied; versions before 4 have none.
fn load_cluster(connection: &Connection) -> rusqlite::Result<(i64, Vec<Applied>)> {
    if schema::version(connection)? < 4 {
        return Ok((0, Vec::new()));
    }
    cluster::load(connection)
}

/// Entries whose alarms the rows may lack, except replays and alarms of removed devices.
fn alarms_after(connection: &Connection, checkpoint: i64) -> rusqlite::Result<Vec<Arc<Entry>>> {
    let sql = "SELECT no, source, run, mono, body, again FROM entry WHERE ?1 < no AND again IS NULL AND 0 < run ORDER BY no";
    entry::rows(connection, sql, params![checkpoint])
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

/// The activities in progress.
pub(crate) fn load_activities(connection: &Connection) -> rusqlite::Result<Vec<(ActivityKey, Ongoing)>> {
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
        let key =
            Source::from_known(&source).map(|source| ActivityKey { source, event: EventName::new(&event) });
        Ok(key.map(|key| (key, ongoing)))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// The positions of the sinks.
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
