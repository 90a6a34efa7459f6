//! Applying decisions of the cluster with the numbers of this database.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Writer;
use crate::activity::{ActivityKey, Now};
use crate::model::{Record, Source};
use crate::outbox::cluster::{Applied, DecidedDevice, DecidedValue, Decision, SpoolRow};
use crate::outbox::effects::Effects;
use crate::outbox::log::entry::StoredRequest;
use crate::outbox::state::value::{ValueContent, ValueKey};

impl Writer {
    /// Stores a message until JetStream has acknowledged it.
    pub(super) fn spool(
        &mut self,
        row: SpoolRow,
        request: Option<Box<StoredRequest>>,
        effects: &mut Effects,
    ) {
        effects.cluster.spool.push(self.shared.spool.add(row, self.unwritten.is_none()));
        if let Some(request) = request {
            self.captures.take(*request, effects);
        }
    }

    /// Deletes messages up to a number, which JetStream has acknowledged.
    pub(super) fn spooled(&mut self, no: i64) {
        self.shared.spool.forget(no);
        self.pending.cluster.spooled = Some(no);
        self.pending_since.get_or_insert_with(Instant::now);
    }

    /// Applies the changes of a decision.
    pub(super) fn apply(&mut self, decision: Decision, at: Applied, effects: &mut Effects) -> bool {
        let now = self.now();
        for source in &decision.gone {
            self.ledger.remove(source, effects);
        }
        for (source, device) in decision.devices {
            self.device_decided(&source, device, effects);
        }
        for (source, event, ongoing) in decision.activities {
            let key = ActivityKey { source, event };
            self.ledger.activities.replace(&key, ongoing.clone(), now);
            effects.state.repeats.remove(&key);
            effects.state.activities.insert(key, ongoing);
        }
        let first = self.ledger.next_no;
        let records = decision.entries.clone();
        for record in decision.entries {
            self.entry_decided(record, now, effects);
        }
        for (source, what, event, value) in decision.values {
            let Some(source_no) = self.ledger.devices.get(&source).map(|device| device.no) else { continue };
            let held = match value {
                DecidedValue::Text(text) => ValueContent::Text(text),
                DecidedValue::Entry { entry: index } => {
                    let Some(Record::Alarm(alarm)) = records.get(index) else { continue };
                    ValueContent::Alarm(first + i64::try_from(index).unwrap_or(i64::MAX), Arc::clone(alarm))
                }
            };
            self.ledger.value(ValueKey { source_no, what, event }, &source, held, effects);
        }
        for change in decision.deliveries {
            self.delivery_decided(change, effects);
        }
        let (no, version) = (self.ledger.next_no - 1, self.ledger.next_version - 1);
        let at = Applied { no, version, ..at };
        self.shared.spool.note_applied(at);
        effects.cluster.applied.push(at);
        true
    }

    /// Applies a device of a decision, or its counters.
    fn device_decided(&mut self, source: &Source, decided: DecidedDevice, effects: &mut Effects) {
        let known = self.ledger.devices.get(source);
        let mut device = decided.row;
        device.no = known.map_or(self.ledger.next_device, |device| device.no);
        let is_new = known.is_none();
        self.ledger.next_device += i64::from(is_new);
        device.seq = decided.seq;
        device.alarms = decided.alarms;
        device.last_heard_ms = decided.last_heard_ms;
        self.ledger.highest_seq = self.ledger.highest_seq.max(device.seq);
        self.ledger.devices.insert(source.clone(), device);
        self.ledger.keep_device(source, effects);
        if is_new {
            self.ledger.announce(source, effects);
        }
    }

    /// Applies an entry of a decision.
    fn entry_decided(&mut self, record: Record, now: Now, effects: &mut Effects) {
        // This database may lack the device: then the entry brings it.
        let source = record.source().clone();
        let source_no = self.ledger.known_or_kept(&source, record.at(), effects);
        let ago = Duration::try_from(now.wall.duration_since(record.at())).unwrap_or_default();
        // For a receipt before this run only the wall clock gives the delay.
        let (mono, run) =
            now.mono.checked_sub(ago).map_or((Duration::ZERO, 0), |mono| (mono, self.ledger.run));
        self.ledger.entry(record, source_no, mono, run, effects);
        if let Some(picture) = effects.log.entries.last().and_then(|entry| entry.picture_row()) {
            effects.log.pictures.push(picture);
        }
    }
}
