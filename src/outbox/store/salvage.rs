//! Reading a damaged database as far as possible.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::recover::Salvaged;
use super::schema;
use crate::activity::{ActivityKey, Now};
use crate::config::Config;
use crate::findings::Findings;
use crate::model::Record;
use crate::outbox::delivery::position::Position;
use crate::outbox::settings::WriterSettings;
use crate::outbox::state::device::Device;
use crate::outbox::state::ledger::Ledger;
use crate::outbox::store;

/// Number of rows read at a time.
const PART_ROWS: usize = 256;
/// Number of missing numbers in a row after which reading ends, if the last number is not known.
const MAX_MISSING: i64 = 1_000_000;

/// A damaged database that is being read.
#[derive(Debug)]
pub(crate) struct Salvage {
    connection: Connection,
    positions: Vec<Position>,
    from: i64,
    last: Option<i64>,
    unreadable: u64,
    begun: bool,
    /// A repaired copy, deleted at the end.
    copy: Option<PathBuf>,
}

/// A row of its log: number, source, record.
type Row = (i64, i64, Record);

impl Salvage {
    /// Opens a file; if its first page is damaged, opens a copy with an intact one.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let sound = |connection: Connection| {
            connection.prepare("SELECT no, source, body FROM entry")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let (connection, copy) = match store::open_file_for_reading(path).and_then(sound) {
            Ok(connection) => (connection, None),
            Err(error) if store::is_damage(&error) => {
                let copy = repaired_copy(path)?;
                (store::open_file_for_reading(&copy).and_then(sound)?, Some(copy))
            }
            Err(error) => return Err(error),
        };
        let positions = store::load_sinks(&connection).unwrap_or_default();
        let last = connection.query_row("SELECT max(no) FROM entry", [], |row| row.get(0)).ok().flatten();
        Ok(Self {
            positions: positions.into_iter().map(|(_, position)| position).collect(),
            connection,
            from: 0,
            last,
            unreadable: 0,
            begun: false,
            copy,
        })
    }

    /// Reads the next part; `None` at the end. The first part has the devices.
    pub(crate) fn next_part(&mut self) -> Option<Salvaged> {
        if !std::mem::replace(&mut self.begun, true) {
            self.from = self.positions.iter().map(|position| position.log_low).min().unwrap_or(0);
            let (devices, activities) = self.state();
            let ongoing = activities.into_iter().map(|key| (key.source, key.event)).collect();
            return Some(Salvaged { devices, ongoing, records: Vec::new() });
        }
        let (rows, complete) = self.rows();
        if let Some((no, ..)) = rows.last() {
            self.from = *no;
        }
        let row = if complete { None } else { self.next_readable() };
        if rows.is_empty() && row.is_none() {
            return None;
        }
        let rows = rows.into_iter().chain(row);
        let records = rows.filter(|(no, source, _)| self.is_undelivered(*no, *source));
        Some(Salvaged { records: records.map(|(.., record)| record).collect(), ..Salvaged::default() })
    }

    /// Number of entries that could not be read.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Devices and activities, updated to the end of the log if all of it can be read.
    fn state(&self) -> (Vec<Device>, Vec<ActivityKey>) {
        let Ok(saved) = store::load(&self.connection) else {
            let activities = store::load_activities(&self.connection).unwrap_or_default();
            let devices = store::load_devices(&self.connection).unwrap_or_default();
            return (devices, activities.into_iter().map(|(key, _)| key).collect());
        };
        let settings = Arc::new(WriterSettings::new(&Config::default()));
        let mut ledger = Ledger::new(settings, Findings::default(), 0);
        ledger.restore(saved, Now { mono: Duration::ZERO, wall: crate::host::now() });
        let mut activities: Vec<ActivityKey> = ledger.activities.iter().map(|(key, _)| key.clone()).collect();
        activities.sort();
        let mut devices: Vec<Device> = ledger.devices.into_values().collect();
        devices.sort_by_key(|device| device.no);
        (devices, activities)
    }

    fn is_undelivered(&self, no: i64, source: i64) -> bool {
        self.positions.is_empty() || self.positions.iter().any(|position| position.of(source) < no)
    }

    /// Rows in order as far as they can be read, and whether that was without an error.
    fn rows(&mut self) -> (Vec<Row>, bool) {
        let mut rows = Vec::new();
        let sql = "SELECT no, source, body FROM entry WHERE no > ?1 ORDER BY no LIMIT ?2";
        let Ok(mut statement) = self.connection.prepare_cached(sql) else { return (rows, false) };
        let Ok(found) = statement.query_map(params![self.from, PART_ROWS as i64], row) else {
            return (rows, false);
        };
        for found in found {
            match found {
                Ok((no, source, Some(record))) => rows.push((no, source, record)),
                Ok((no, _, None)) => {
                    tracing::debug!("entry {no} of the file set aside cannot be read");
                    self.unreadable += 1;
                }
                Err(_) => return (rows, false),
            }
        }
        (rows, true)
    }

    /// Finds the next row after a damaged page, trying number by number.
    fn next_readable(&mut self) -> Option<Row> {
        let end = self.last.unwrap_or_else(|| self.from.saturating_add(MAX_MISSING));
        let mut statement =
            self.connection.prepare_cached("SELECT no, source, body FROM entry WHERE no = ?1").ok()?;
        for no in self.from + 1..=end {
            if let Ok(Some((no, source, Some(record)))) = statement.query_row([no], row).optional() {
                self.from = no;
                return Some((no, source, record));
            }
            self.unreadable += u64::from(self.last.is_some());
        }
        self.from = end;
        None
    }
}

impl Drop for Salvage {
    fn drop(&mut self) {
        if let Some(copy) = &self.copy {
            drop(fs::remove_file(copy));
        }
    }
}

/// Reads one row; without a record if its text is damaged.
fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, i64, Option<Record>)> {
    let body: String = row.get(2)?;
    Ok((row.get(0)?, row.get(1)?, serde_json::from_str(&body).ok()))
}

/// Makes a copy whose first page is that of a new database: the tables lie at the same pages in every file of one
/// version.
fn repaired_copy(path: &Path) -> rusqlite::Result<PathBuf> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(".repaired");
    let copy = PathBuf::from(copy);
    let repaired = || -> std::io::Result<()> {
        fs::copy(path, &copy)?;
        let mut file = fs::OpenOptions::new().write(true).open(&copy)?;
        let mut page = first_page(&path.with_extension("page")).map_err(std::io::Error::other)?;
        let pages = u32::try_from(file.metadata()?.len() / page.len().max(1) as u64).unwrap_or(u32::MAX);
        // Offset 28: the size in pages. 32 and 36: the list of free pages, unknown here.
        for (offset, value) in [(28, pages), (32, 0), (36, 0)] {
            if let Some(field) = page.get_mut(offset..offset + 4) {
                field.copy_from_slice(&value.to_be_bytes());
            }
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)
    };
    repaired().map_err(store::other)?;
    Ok(copy)
}

/// The first page of a database made for this purpose, in a journal mode without a log file.
fn first_page(path: &Path) -> rusqlite::Result<Vec<u8>> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    schema::migrate(&mut connection)?.map_err(|newer| store::refusal(&newer.to_string()))?;
    let size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.close().map_err(|(_, error)| error)?;
    let mut image = fs::read(path).map_err(store::other)?;
    fs::remove_file(path).map_err(store::other)?;
    image.truncate(size as usize);
    Ok(image)
}
