//! When and where a device was last heard, for whoever watches over it.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::Reader;
use super::device::Device;
use crate::model::Source;

/// When and where a device was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Receipt of its latest alarm.
    pub at: Timestamp,
    /// Its address, as it says, else as its connection came from.
    pub ip: Option<String>,
}

impl Reader {
    /// When and where a device was last heard, as the disk knows it; `None` for a device that never was.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn heard(&mut self, source: &Source) -> rusqlite::Result<Option<Heard>> {
        let sql = "SELECT last_heard, body FROM device JOIN heard USING (no) WHERE source = ?1";
        let row = self.disk(|connection| {
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            connection.prepare_cached(sql)?.query_row(params![source.as_str()], columns).optional()
        })?;
        Ok(row.and_then(|(at, body)| {
            let at = Timestamp::from_millisecond(at).ok()?;
            let device = serde_json::from_str::<Device>(&body).ok()?;
            Some(Heard { at, ip: device.ip })
        }))
    }
}
