//! How a sink is doing, for page, health and metrics.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;

use crate::metrics::SinkMetrics;
pub use crate::model::status::SinkStatus;

/// So many acknowledgements are remembered with their times.
const REMEMBERED: usize = 1_024;

/// A shared view of a sink's status; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Status {
    status: Arc<RwLock<SinkStatus>>,
    acks: Arc<Mutex<VecDeque<Ack>>>,
    metrics: SinkMetrics,
}

/// An acknowledgement of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The entry.
    pub no: i64,
    /// When the far side had it.
    pub at: Timestamp,
    /// Whether it had a subscriber, where the far side says so.
    pub heard: Option<bool>,
}

impl Status {
    /// For the sink of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let status = SinkStatus { name: name.into(), ..SinkStatus::default() };
        Self { status: Arc::new(RwLock::new(status)), acks: Arc::default(), metrics: SinkMetrics::default() }
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> SinkStatus {
        self.status.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The acknowledgement of an entry, as long as it is remembered.
    #[must_use]
    pub fn ack(&self, no: i64) -> Option<Ack> {
        let acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        acks.iter().rev().find(|ack| ack.no == no).copied()
    }

    /// What its relay counts; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> &SinkMetrics {
        &self.metrics
    }

    /// Notes when the oldest entry it has not acknowledged was received.
    pub fn note_oldest(&self, oldest: Option<Timestamp>) {
        self.update(|status| status.oldest = oldest);
    }

    /// Changes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.status.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Remembers an acknowledgement.
    pub(crate) fn acknowledged(&self, no: i64, heard: Option<bool>) {
        let at = Timestamp::now();
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        if acks.len() == REMEMBERED {
            acks.pop_front();
        }
        acks.push_back(Ack { no, at, heard });
        drop(acks);
        self.update(|status| {
            status.last_delivery = Some(at);
            status.unheard += u64::from(heard == Some(false));
            status.heard = heard.or(status.heard);
        });
    }
}
