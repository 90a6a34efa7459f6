//! Status of a sink, for page, health and metrics.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::metrics::SinkMetrics;
pub use crate::model::status::SinkStatus;

/// Number of acknowledgements that are remembered with their times.
const REMEMBERED: usize = 1_024;

/// A shared view of a sink's status; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct StatusHandle {
    status: Arc<RwLock<SinkStatus>>,
    acks: Arc<Mutex<VecDeque<Ack>>>,
    metrics: SinkMetrics,
}

/// An acknowledgement of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The entry.
    pub no: i64,
    /// Time of the acknowledgement.
    pub at: Timestamp,
    /// True if it had a subscriber, where the broker reports that.
    pub heard: Option<bool>,
    /// True if the settings of the sink leave the entry out, so that it was not sent.
    pub left_out: bool,
}

impl StatusHandle {
    /// For the sink of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let status = SinkStatus { name: name.into(), ..SinkStatus::default() };
        Self { status: Arc::new(RwLock::new(status)), acks: Arc::default(), metrics: SinkMetrics::default() }
    }

    /// Returns the current status.
    #[must_use]
    pub fn get(&self) -> SinkStatus {
        self.status.read().clone()
    }

    /// Returns the acknowledgement of an entry, while it is remembered.
    #[must_use]
    pub fn ack(&self, no: i64) -> Option<Ack> {
        let acks = self.acks.lock();
        acks.iter().rev().find(|ack| ack.no == no).copied()
    }

    /// Metrics of its relay; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> &SinkMetrics {
        &self.metrics
    }

    /// Records the receipt time of the oldest unacknowledged entry.
    pub fn note_oldest(&self, oldest: Option<Timestamp>) {
        self.update(|status| status.oldest = oldest);
    }

    /// Updates the status.
    pub(crate) fn update(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.status.write());
    }

    /// Remembers an entry that the settings of the sink leave out.
    pub(crate) fn left_out(&self, no: i64) {
        self.remember(Ack { no, at: crate::host::now(), heard: None, left_out: true });
    }

    fn remember(&self, ack: Ack) {
        let mut acks = self.acks.lock();
        if acks.len() == REMEMBERED {
            acks.pop_front();
        }
        acks.push_back(ack);
    }

    /// Remembers an acknowledgement.
    pub(crate) fn acknowledged(&self, no: i64, heard: Option<bool>) {
        let at = crate::host::now();
        self.remember(Ack { no, at, heard, left_out: false });
        self.update(|status| {
            status.last_delivery = Some(at);
            status.unheard += u64::from(heard == Some(false));
            status.heard = heard.or(status.heard);
        });
    }
}
