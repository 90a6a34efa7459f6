//! While the disk refuses: what could not be written is kept in memory under a bound, tried again, and written first
//! and in order when the disk takes writes again.

use tokio::time::Instant;

use super::disk::is_full;
use super::{RETRY, Writer};
use crate::outbox::effects::Effects;

/// Memory for what a refusing disk has not got, pictures included.
const MEMORY: usize = 64 << 20;

impl Writer {
    /// Writes, and makes what was written visible to relays. A disk that refuses costs the durability, not the alarm.
    /// `all`: what follows from the log is written with it.
    pub(super) fn commit(&mut self, mut effects: Effects, all: bool) {
        if self.unwritten.is_none() {
            let begun = Instant::now();
            let written = self.write(&mut effects, all || self.waiting.is_time(self.ledger.next_version));
            self.shared.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
            match written {
                Ok(()) => {
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

    /// What is left to do once effects are on the disk.
    fn written(&mut self, effects: &Effects) {
        for picture in &effects.unwanted {
            self.shared.pictures.delete(*picture);
        }
        if !effects.parked.is_empty() || effects.sinks.values().any(Option::is_none) {
            self.bound_parked();
        }
        self.housekeeping.stored(effects.pictures.iter().map(|picture| picture.bytes).sum());
    }

    /// The disk refuses: from here on memory is all there is, until it takes writes again.
    pub(super) fn refused(&mut self, error: &rusqlite::Error) {
        self.shared.findings.raise(
            "disk",
            "storage",
            &format!("the disk refuses writes ({error}); alarms are held in memory"),
        );
        self.shared.pin(true);
        self.unwritten = Some(self.waiting.take());
        self.mend(error);
    }

    /// What may help before the next try: room on a full disk, another connection on a broken one.
    fn mend(&mut self, error: &rusqlite::Error) {
        if is_full(error) {
            self.make_room();
        } else {
            self.disk.connection = None;
        }
    }

    /// Keeps what the disk has not got, under the bound: kept requests go first, then pictures, then the oldest alarms.
    fn keep_unwritten(&mut self, effects: Effects) {
        let Some(unwritten) = self.unwritten.as_mut() else { return };
        unwritten.merge(effects);
        let over = |bytes: usize, pictures: usize| (bytes + pictures).saturating_sub(MEMORY);
        if over(unwritten.bytes(), self.shared.pictures.held_bytes()) == 0 {
            return;
        }
        unwritten.forget_requests();
        let bytes = unwritten.bytes();
        let excess = over(bytes, self.shared.pictures.held_bytes());
        let pictures = self.shared.pictures.give_up(excess);
        let mut dropped = 0;
        if over(bytes, self.shared.pictures.held_bytes()) > 0 {
            let gone = unwritten.forget_oldest(MEMORY - MEMORY / 8, self.shared.delivered());
            dropped = gone.undelivered;
            self.shared.drop_until(gone.last);
        }
        if pictures == 0 && dropped == 0 {
            return;
        }
        let detail = format!(
            "memory is full while the disk refuses writes: {pictures} pictures and {dropped} alarms were dropped"
        );
        self.shared.findings.raise("memory_dropped", "storage", &detail);
    }

    /// Tries the disk again; what memory holds goes first, in order, in one transaction.
    pub(super) fn retry(&mut self) {
        if self.unwritten.is_none() || self.housekeeping.too_early(RETRY) {
            return;
        }
        let Some(mut unwritten) = self.unwritten.take() else { return };
        self.disk.begun = false;
        match self.write(&mut unwritten, true) {
            Ok(()) => {
                if self.disk.begun {
                    self.shared.publish_values(&unwritten, &self.ledger);
                }
                self.shared.pin(false);
                self.written(&unwritten);
                self.shared.findings.settle("disk", "storage");
                tracing::info!(
                    "the disk takes writes again; {} log entries were written from memory",
                    unwritten.entries.len()
                );
                self.housekeeping.soon();
            }
            Err(error) => {
                self.unwritten = Some(unwritten);
                self.mend(&error);
            }
        }
    }
}
