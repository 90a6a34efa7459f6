//! State shared by all ingest requests.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::memory::BodyMemory;
use super::peer::SharedAddresses;
use super::webhook::Webhooks;
use crate::config::Limits;
use crate::findings::Findings;
use crate::metrics::IngestMetrics;
use crate::outbox::Outbox;
use journal::Journal;
use rate::Rate;

mod capture;
mod journal;
mod outcome;
mod page;
mod rate;
pub(super) mod receive;
mod report;
mod visit;

/// Ingest side of the bridge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub(super) shared: Arc<IngestState>,
}

/// Dependencies of an [`Ingest`].
#[derive(Debug)]
pub struct IngestParts {
    /// Limits; a stored change applies from the next request on.
    pub limits: Arc<ArcSwap<Limits>>,
    /// Proxies whose `X-Forwarded-For` is trusted (`http.proxies`).
    pub proxies: Vec<IpNet>,
    /// Webhooks that accept requests.
    pub webhooks: Webhooks,
    /// Outbox that alarms are committed to.
    pub outbox: Outbox,
    /// Findings.
    pub findings: Findings,
    /// Stop signal: bodies in progress get 2 s from then on.
    pub shutdown: CancellationToken,
}

/// State shared by all ingest requests.
#[derive(Debug)]
pub(super) struct IngestState {
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) proxies: Vec<IpNet>,
    pub(super) webhooks: Webhooks,
    pub(super) outbox: Outbox,
    pub(super) findings: Findings,
    pub(super) shutdown: CancellationToken,
    /// Rate of wrong paths and undecodable bodies.
    strangers: Rate,
    /// Rate of reports at webhook paths.
    requests: Rate,
    pub(super) memory: BodyMemory,
    /// Permits for decoding large bodies; one core stays free for other work.
    pub(super) heavy: tokio::sync::Semaphore,
    pub(super) shared_addresses: SharedAddresses,
    pub(super) metrics: IngestMetrics,
    /// Log of requests.
    journal: Journal,
    /// Reports in progress.
    pub(super) tasks: TaskTracker,
}

impl Ingest {
    /// Creates it.
    #[must_use]
    pub fn new(parts: IngestParts) -> Self {
        let IngestParts { limits, proxies, webhooks, outbox, findings, shutdown } = parts;
        let shared = IngestState {
            limits,
            proxies,
            webhooks,
            outbox,
            findings,
            journal: Journal::new(shutdown.clone()),
            shutdown,
            strangers: Rate::default(),
            requests: Rate::default(),
            memory: BodyMemory::default(),
            heavy: tokio::sync::Semaphore::new(spare_cores()),
            shared_addresses: SharedAddresses::default(),
            metrics: IngestMetrics::default(),
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counters; cheap to clone.
    #[must_use]
    pub fn metrics(&self) -> IngestMetrics {
        self.shared.metrics.clone()
    }

    /// Waits until every report in progress is committed or refused, even if its peer has disconnected. Must be called
    /// after the listeners ended and before the outbox is closed.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Number of cores minus one, at least one.
fn spare_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).max(1))
}
