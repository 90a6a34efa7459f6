//! What all requests of the ingest listeners share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::journal::Journal;
use super::memory::BodyMemory;
use super::peer::SharedAddresses;
use super::rate::Rate;
use super::webhook::Webhooks;
use crate::config::Limits;
use crate::findings::Findings;
use crate::metrics::IngestMetrics;
use crate::outbox::Outbox;

/// The ingest side of the bridge; a cheap handle.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub(super) shared: Arc<Shared>,
}

/// What an [`Ingest`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Bounds; a stored change counts from the next request on.
    pub limits: Arc<ArcSwap<Limits>>,
    /// Proxies whose `X-Forwarded-For` is believed (`http.proxies`).
    pub proxies: Vec<IpNet>,
    /// The paths that are answered.
    pub webhooks: Webhooks,
    /// Where alarms are committed.
    pub outbox: Outbox,
    /// Where what was seen is told.
    pub findings: Findings,
    /// The stop signal: bodies in progress get 2 s from then on.
    pub shutdown: CancellationToken,
}

/// What every request gets at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) proxies: Vec<IpNet>,
    pub(super) webhooks: Webhooks,
    pub(super) outbox: Outbox,
    pub(super) findings: Findings,
    pub(super) shutdown: CancellationToken,
    /// Wrong paths and undecodable bodies.
    pub(super) strangers: Rate,
    /// Reports on right paths.
    pub(super) requests: Rate,
    pub(super) memory: BodyMemory,
    /// Large bodies decoded at once: no more than leave a core to the others.
    pub(super) heavy: tokio::sync::Semaphore,
    pub(super) shared_addresses: SharedAddresses,
    pub(super) metrics: IngestMetrics,
    /// The line of each request.
    pub(super) journal: Journal,
    /// The reports being taken in.
    pub(super) tasks: TaskTracker,
}

impl Ingest {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { limits, proxies, webhooks, outbox, findings, shutdown } = parts;
        let shared = Shared {
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

    /// What it counts; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> IngestMetrics {
        self.shared.metrics.clone()
    }

    /// Waits until every report being taken in is committed or refused, whether or not its peer is still there.
    /// To be called after the listeners ended and before the outbox is closed.
    pub async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Cores but one, and at least one.
fn spare_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).max(1))
}
