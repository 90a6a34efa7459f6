//! Values that `/metrics` reads at each scrape.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::publisher::HealthPublisher;
use crate::cluster::View;
use crate::findings::{FindingCode, Severity};
use crate::http::Connections;
use crate::metrics::{FindingCount, Observe, Observed, ObservedSink};
use crate::outbox::Outbox;
use crate::relay::StatusHandle;
use crate::web::Health as _;

/// Sources of the values.
#[derive(Debug)]
pub(in crate::app) struct Gauges {
    pub(in crate::app) health_publisher: HealthPublisher,
    /// Connections of cameras and of operators.
    pub(in crate::app) connections: [(&'static str, Arc<Connections>); 2],
    pub(in crate::app) folder: PathBuf,
    pub(in crate::app) started: Timestamp,
    /// The cluster, if there is one.
    pub(in crate::app) cluster: Option<View>,
}

impl Observe for Gauges {
    fn observe(&self) -> Observed {
        let counts = self.health_publisher.outbox.counts();
        let mut found: BTreeMap<FindingCode, FindingCount> = BTreeMap::new();
        for finding in self.health_publisher.findings.list() {
            let (code, severity) = (finding.kind.code, name(finding.kind.severity));
            found.entry(code).or_insert(FindingCount { code, severity, count: 0 }).count += 1;
        }
        let space = rustix::fs::statvfs(&self.folder).ok();
        let started = std::time::Duration::try_from(self.started.duration_since(Timestamp::UNIX_EPOCH));
        Observed {
            sinks: self
                .health_publisher
                .statuses
                .iter()
                // Of what another instance publishes, that one tells.
                .filter(|status| !status.get().standby)
                .map(|status| sink(status, &self.health_publisher.outbox))
                .collect(),
            findings: found.into_values().collect(),
            connections: self.connections.iter().map(|(kind, open)| (*kind, open.count() as u64)).collect(),
            devices: counts.devices,
            durable: self.health_publisher.outbox.durable(),
            ready: self.health_publisher.obstacles().is_empty(),
            free_bytes: space.map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
            started: started.unwrap_or_default().as_secs_f64(),
            cluster: self.cluster.as_ref().map(View::observe),
        }
    }
}

fn sink(status: &StatusHandle, outbox: &Outbox) -> ObservedSink {
    let metrics = status.metrics().clone();
    let status = status.get();
    let waits = status.oldest.map(|oldest| Timestamp::now().duration_since(oldest));
    ObservedSink {
        parked_now: outbox.parked_now(&status.name),
        name: status.name,
        connected: status.connected,
        blocked: status.blocked,
        backlog: status.backlog,
        oldest_seconds: waits.map_or(0.0, |waits| waits.as_secs_f64().max(0.0)),
        delivered: status.delivered,
        unheard: status.unheard,
        parked: status.parked,
        dropped: status.dropped,
        sessions: status.sessions,
        metrics,
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
