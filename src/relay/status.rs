//! How a sink is doing, for page, health and metrics.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde::Serialize;

use crate::metrics::SinkMetrics;

/// How a sink is doing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SinkStatus {
    /// The section it comes from.
    pub name: String,
    /// A session is open.
    pub connected: bool,
    /// Protocol, address and limits of the session.
    pub description: String,
    /// Why there is no session, or why nothing is accepted.
    pub trouble: Option<String>,
    /// Everything is refused: its position stands still.
    pub blocked: bool,
    /// Log entries it has not acknowledged.
    pub backlog: u64,
    /// Receipt of the oldest of them.
    pub oldest: Option<Timestamp>,
    /// Log messages acknowledged over all time.
    pub delivered: u64,
    /// Log entries dropped by the bounds over all time.
    pub dropped: u64,
    /// Sessions made since the start.
    pub sessions: u64,
    /// When something was acknowledged last.
    pub last_delivery: Option<Timestamp>,
    /// Of the log messages of this session: how many found no subscriber.
    pub unheard: u64,
    /// Messages parked since the start.
    pub parked: u64,
    /// From receipt of the alarm to its acknowledgement, the latest one, in milliseconds.
    pub latency_ms: Option<u64>,
}

/// A shared view of a sink's status; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<RwLock<SinkStatus>>, SinkMetrics);

impl Status {
    /// For the sink of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let status = SinkStatus { name: name.into(), ..SinkStatus::default() };
        Self(Arc::new(RwLock::new(status)), SinkMetrics::default())
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> SinkStatus {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its relay counts; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> &SinkMetrics {
        &self.1
    }

    /// Notes when the oldest entry it has not acknowledged was received.
    pub fn note_oldest(&self, oldest: Option<Timestamp>) {
        self.update(|status| status.oldest = oldest);
    }

    /// Changes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}
