//! Memory in place of the disk: while the disk refuses writes, changes are kept under a bound and tried again. They
//! are written first, and in order, when the disk accepts writes again.

use tokio::time::Instant;

use super::disk::is_full;
use super::{RETRY_INTERVAL, Writer};
use crate::findings::FindingCode;
use crate::outbox::effects::Effects;

/// Maximum bytes of changes that the disk refused, pictures included.
const MAX_BYTES: usize = 64 << 20;

impl Writer {
    /// Writes changes, and makes them visible to relays. If the disk refuses, they are kept in memory. `checkpoint`:
    /// include the deferred rows.
    pub(super) fn commit(&mut self, mut effects: Effects, checkpoint: bool) {
        self.reserve();
        if self.unwritten.is_none() {
            let begun = Instant::now();
            let written = self.write(
                &mut effects,
                checkpoint || self.checkpoint.goes_with_commit(self.ledger.next_version),
            );
            self.shared.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
            match written {
                Ok(()) => {
                    self.witness_written();
                    self.shared.publish(&effects, &self.ledger);
                    self.written(&effects);
                    return;
                }
                Err(error) => {
                    self.shared.metrics.commits_refused.inc();
                    self.refused(&error);
                }
            }
        }
        self.shared.publish(&effects, &self.ledger);
        self.keep_unwritten(effects);
    }

    /// Deletes unwanted pictures, and updates counts, once changes are on the disk.
    fn written(&mut self, effects: &Effects) {
        for picture in &effects.log.unwanted {
            self.shared.pictures.delete(*picture);
        }
        if !effects.delivery.parked.is_empty() || effects.delivery.positions.values().any(Option::is_none) {
            self.bound_parked();
        }
        self.housekeeping.stored(effects.log.pictures.iter().map(|picture| picture.bytes).sum());
    }

    /// Begins the time in which the disk refuses writes and changes are kept in memory.
    pub(super) fn refused(&mut self, error: &rusqlite::Error) {
        self.shared.findings.raise(
            FindingCode::Disk,
            "storage",
            &format!("the storage folder cannot be written ({error}); alarms are held in memory"),
        );
        self.shared.pin(true);
        self.unwritten = Some(Effects { state: self.checkpoint.take_deferred(), ..Effects::default() });
        self.witness_memory();
        self.repair(error);
    }

    /// Repairs what can be repaired before the next attempt: makes room on a full disk, or drops a broken connection.
    fn repair(&mut self, error: &rusqlite::Error) {
        if is_full(error) {
            self.make_room();
        } else {
            self.disk.connection = None;
        }
    }

    /// Keeps changes that the disk refused, under the bound: requests are dropped first, then pictures, then the oldest
    /// alarms.
    fn keep_unwritten(&mut self, effects: Effects) {
        let Some(unwritten) = self.unwritten.as_mut() else { return };
        unwritten.merge(effects);
        let over = |bytes: usize, pictures: usize| (bytes + pictures).saturating_sub(MAX_BYTES);
        if over(unwritten.bytes(), self.shared.pictures.held_bytes()) == 0 {
            return;
        }
        unwritten.log.requests.clear();
        let bytes = unwritten.bytes();
        let excess = over(bytes, self.shared.pictures.held_bytes());
        let pictures = self.shared.pictures.give_up(excess);
        let mut dropped = 0;
        if over(bytes, self.shared.pictures.held_bytes()) > 0 {
            let gone = unwritten.forget_oldest(MAX_BYTES - MAX_BYTES / 8, self.shared.delivered());
            dropped = gone.undelivered;
            self.shared.drop_until(gone.last);
            let rest = MAX_BYTES.saturating_sub(unwritten.bytes() - unwritten.cluster.bytes());
            let (spooled, last) = unwritten.cluster.forget_oldest(rest.max(MAX_BYTES / 8));
            self.shared.spool.forget(last);
            dropped += spooled;
        }
        if pictures == 0 && dropped == 0 {
            return;
        }
        let detail = format!(
            "memory is full while the storage folder cannot be written: {pictures} pictures and {dropped} alarms were dropped"
        );
        self.shared.findings.raise(FindingCode::MemoryDropped, "storage", &detail);
    }

    /// Tries the disk again: the changes in memory are written in order, in one transaction.
    pub(super) fn retry(&mut self) {
        if self.unwritten.is_none() || self.housekeeping.too_early(RETRY_INTERVAL) {
            return;
        }
        let Some(mut unwritten) = self.unwritten.take() else { return };
        self.disk.begun = false;
        match self.write(&mut unwritten, true) {
            Ok(()) => {
                if self.disk.begun {
                    self.shared.publish_values(&unwritten, &self.ledger);
                }
                self.renew_witness();
                self.witness_written();
                self.shared.pin(false);
                self.written(&unwritten);
                self.shared.findings.settle(FindingCode::Disk, "storage");
                tracing::info!(
                    "the disk takes writes again; {} log entries were written from memory",
                    unwritten.log.entries.len()
                );
                self.housekeeping.soon();
            }
            Err(error) => {
                self.unwritten = Some(unwritten);
                self.repair(&error);
            }
        }
    }
}
