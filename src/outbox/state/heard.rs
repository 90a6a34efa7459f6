//! Time and address at which a device was last heard, for watching its availability.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::device::Device;
use crate::model::Source;
use crate::outbox::Reader;

/// Time and address at which a device was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Time of receipt of its latest alarm.
    pub at: Timestamp,
    /// Its address: reported, else that of its connection.
    pub ip: Option<String>,
}

impl Reader {
    /// Time and address at which a device was last heard, from the disk. `None`: never.
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
