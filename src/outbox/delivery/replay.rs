//! Replay: the same record is appended to the log as a new entry, marked as `replayed`; it changes no activity, value
//! or picture.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::changes::ParkedChange;
use crate::outbox::command::{Command, ParkedVerb};
use crate::outbox::effects::Effects;
use crate::outbox::log::entry::Entry;
use crate::outbox::log::history;
use crate::outbox::writer::Writer;
use crate::outbox::{Closed, ClusterAction, DeliveryChange, Outbox};

impl Outbox {
    /// Sends an alarm again to every sink, with the same id and marked as replayed. Returns `false` if it is unknown
    /// or already deleted.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn replay(&self, id: Uuid) -> Result<bool, Closed> {
        if let Some(edge) = self.edge.get() {
            let known = self.reader().alarm(id).is_ok_and(|found| found.is_some());
            return Ok(known && self.act(edge, ClusterAction::Delivery(DeliveryChange::Replay(id))).await?);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Replay { id, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Sends a parked message again (as replayed, on its own sink only), or deletes it. Returns `false` if there is
    /// no such message.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn parked(&self, no: i64, verb: ParkedVerb) -> Result<bool, Closed> {
        if let Some(edge) = self.edge.get()
            && let Some(change) = self.parked_change(no, verb)
        {
            return self.act(edge, ClusterAction::Delivery(change)).await;
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Parked { no, verb, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

impl Writer {
    /// Appends an alarm again.
    pub(crate) fn replay(&mut self, id: Uuid, effects: &mut Effects) -> bool {
        let Some(entry) = self.find(id, effects) else { return false };
        self.append_replay(&entry, String::new(), effects);
        true
    }

    /// An entry by its identifier: in this commit, on disk, or in memory.
    pub(crate) fn find(&self, id: Uuid, effects: &Effects) -> Option<Arc<Entry>> {
        let held = effects.log.entries.iter().find(|entry| entry.record.id() == id).map(Arc::clone);
        let on_disk = || {
            let connection = self.disk.connection.as_ref()?;
            history::entry_by_id(connection, id).ok().flatten()
        };
        let recent = || self.shared.recent().tail(0).find(|entry| entry.record.id() == id).map(Arc::clone);
        held.or_else(on_disk).or_else(recent)
    }

    /// Appends a parked message again, or deletes it.
    pub(crate) fn parked(&mut self, no: i64, verb: ParkedVerb, effects: &mut Effects) -> bool {
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
            self.append_replay(&entry, sink, effects);
        }
        effects.delivery.parked.push(ParkedChange::Remove(no));
        true
    }

    /// Adds an entry to the log again, for one sink.
    pub(in crate::outbox) fn append_replay(&mut self, entry: &Entry, sink: String, effects: &mut Effects) {
        effects.log.entries.push(Arc::new(Entry {
            no: self.ledger.next_no,
            run: self.ledger.run,
            mono_ms: i64::try_from(self.now().mono.as_millis()).unwrap_or(i64::MAX),
            replay_for: Some(sink),
            ..entry.clone()
        }));
        self.ledger.next_no += 1;
    }
}
