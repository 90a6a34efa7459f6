//! What is sent again by hand: the same record as a new row of the log, marked, so that it is `replayed` and touches
//! no activity, value or picture.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::command::{Command, ParkedVerb};
use super::effects::{Effects, Entry, ParkedChange};
use super::writer::Writer;
use super::{Closed, Outbox, history};

impl Outbox {
    /// Sends an alarm again to every sink, with the same id and marked as replayed; `false`: it is not known (any
    /// more).
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn replay(&self, id: Uuid) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Replay { id, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Tries something parked again (as replayed, on its own sink only), or forgets it; `false`: there is no such
    /// entry.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn parked(&self, no: i64, verb: ParkedVerb) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Parked { no, verb, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

impl Writer {
    /// Appends an alarm once more.
    pub(super) fn replay(&mut self, id: Uuid, effects: &mut Effects) -> bool {
        let held = effects.entries.iter().find(|entry| entry.record.id() == id).map(Arc::clone);
        let on_disk = || {
            let connection = self.disk.connection.as_ref()?;
            history::entry_by_id(connection, id).ok().flatten()
        };
        let recent = || self.shared.recent().tail(0).find(|entry| entry.record.id() == id).map(Arc::clone);
        let Some(entry) = held.or_else(on_disk).or_else(recent) else { return false };
        self.again(&entry, String::new(), effects);
        true
    }

    /// Acts on something parked.
    pub(super) fn parked(&mut self, no: i64, verb: ParkedVerb, effects: &mut Effects) -> bool {
        let found = self.disk.connection.as_ref().and_then(|connection| {
            let sql = "SELECT sink, entry FROM parked WHERE no = ?1";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
            connection.query_row(sql, params![no], row).optional().ok().flatten()
        });
        let Some((sink, entry)) = found else { return false };
        if verb == ParkedVerb::Retry {
            let connection = self.disk.connection.as_ref();
            let entry =
                connection.and_then(|connection| history::entry_by_no(connection, entry).ok().flatten());
            let Some(entry) = entry else { return false };
            self.again(&entry, sink, effects);
        }
        effects.parked.push(ParkedChange::Remove(no));
        true
    }

    fn again(&mut self, entry: &Entry, sink: String, effects: &mut Effects) {
        effects.entries.push(Arc::new(Entry {
            no: self.ledger.next_no,
            run: self.ledger.run,
            mono_ms: i64::try_from(self.now().mono.as_millis()).unwrap_or(i64::MAX),
            again: Some(sink),
            ..entry.clone()
        }));
        self.ledger.next_no += 1;
    }
}
