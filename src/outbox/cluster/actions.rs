//! Changes that all instances of a cluster make, wherever they are asked for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use super::{Edge, SpooledAction};
use crate::model::Source;
use crate::outbox::command::{ParkedVerb, SinkChange};
use crate::outbox::delivery::changes::ParkedChange;
use crate::outbox::effects::Effects;
use crate::outbox::parking::{self, ParkedEntry};
use crate::outbox::writer::Writer;
use crate::outbox::{Closed, ClusterAction, DeliveryChange, Outbox, Parking};

/// Longest time that an answer waits for the change. Past it the change is still made, later.
const PATIENCE: Duration = Duration::from_secs(3);

impl Outbox {
    /// Sends a change to the cluster, and waits for it. Returns whether there was something to change.
    pub(in crate::outbox) async fn act(
        &self,
        edge: &Arc<dyn Edge>,
        action: ClusterAction,
    ) -> Result<bool, Closed> {
        let SpooledAction { row, done } = edge.action(action);
        self.spool(row, None, Vec::new()).await?;
        Ok(tokio::time::timeout(PATIENCE, done).await.ok().and_then(Result::ok).unwrap_or(true))
    }

    /// Returns whether this instance decides what a device brings: if it is alone, or owns its partition.
    #[must_use]
    pub fn decides(&self, source: &Source) -> bool {
        self.edge.get().is_none_or(|edge| edge.decides(source, &mut self.reader()))
    }

    /// Sends the messages that a sink refused to the cluster, so that all instances park them. Returns the rest.
    pub(in crate::outbox) async fn park_everywhere(
        &self,
        edge: &Arc<dyn Edge>,
        mut change: SinkChange,
    ) -> Result<SinkChange, Closed> {
        let mut reader = self.reader();
        for parking in std::mem::take(&mut change.parked) {
            let Ok(Some(entry)) = reader.entry(parking.entry) else {
                change.parked.push(parking);
                continue;
            };
            let Parking { topic, code, reason, .. } = parking;
            let (sink, id, at) = (change.sink.clone(), entry.record.id(), crate::host::now());
            let park = DeliveryChange::Park { sink, id, topic, code, reason, at };
            self.spool(edge.action(ClusterAction::Delivery(park)).row, None, Vec::new()).await?;
        }
        Ok(change)
    }

    /// The change to a parked message, if its record is known.
    pub(in crate::outbox) fn parked_change(&self, no: i64, verb: ParkedVerb) -> Option<DeliveryChange> {
        let found = self.reader().parked(no.checked_add(1), 1).ok()?;
        let ParkedEntry { sink, id, .. } = found.into_iter().find(|parked| parked.no == no)?;
        Some(match verb {
            ParkedVerb::Retry => DeliveryChange::Retry(sink, id?),
            ParkedVerb::Drop => DeliveryChange::Drop(sink, id?),
        })
    }
}

impl Writer {
    /// Makes a change to what is delivered.
    pub(in crate::outbox) fn delivery_decided(&mut self, change: DeliveryChange, effects: &mut Effects) {
        match change {
            DeliveryChange::Replay(id) => drop(self.replay(id, effects)),
            DeliveryChange::Park { sink, id, topic, code, reason, at } => {
                let known = self.parked_at(&sink, id);
                if let Some(entry) = self.find(id, effects).filter(|_| known.is_empty()) {
                    let entry = entry.no;
                    effects.delivery.parked.push(ParkedChange::Add { sink, entry, topic, code, reason, at });
                }
            }
            DeliveryChange::Retry(sink, id) => {
                self.unpark(&sink, id, effects);
                if let Some(entry) = self.find(id, effects) {
                    self.append_replay(&entry, sink, effects);
                }
            }
            DeliveryChange::Drop(sink, id) => self.unpark(&sink, id, effects),
            DeliveryChange::Rewind(sink, since) => self.rewind_since(sink, since, effects),
        }
    }

    /// Numbers of the parked messages of a sink with a record.
    fn parked_at(&self, sink: &str, id: Uuid) -> Vec<i64> {
        let Some(connection) = self.disk.connection.as_ref() else { return Vec::new() };
        parking::numbers_of(connection, sink, id).unwrap_or_else(|error| {
            tracing::warn!("parked messages cannot be read: {error}");
            Vec::new()
        })
    }

    /// Deletes a parked message.
    fn unpark(&self, sink: &str, id: Uuid, effects: &mut Effects) {
        effects.delivery.parked.extend(self.parked_at(sink, id).into_iter().map(ParkedChange::Remove));
    }

    /// Moves the position of a sink back.
    fn rewind_since(&self, sink: String, since: Timestamp, effects: &mut Effects) {
        let Some(connection) = self.disk.connection.as_ref() else { return };
        let sql = "SELECT min(no) - 1 FROM entry WHERE at >= ?1";
        let low = connection.query_row(sql, params![since.as_millisecond()], |row| row.get(0));
        let Ok(Some(low)) = low.inspect_err(|error| tracing::warn!("the log cannot be read: {error}")) else {
            return;
        };
        let position = self.shared.rewind(&sink, low);
        effects.delivery.positions.extend(position.map(|position| (sink, Some(position))));
    }
}
