//! What `/metrics` asks for at each scrape.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::pulse::Pulse;
use crate::findings::Severity;
use crate::http::{Connections, Health as _};
use crate::metrics::{Found, Observe, Observed, ObservedSink};
use crate::outbox::Outbox;
use crate::relay::Status;

/// Where it is all seen.
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) pulse: Pulse,
    /// Connections of cameras, and of operators.
    pub(super) connections: [(&'static str, Arc<Connections>); 2],
    pub(super) folder: PathBuf,
    pub(super) started: Timestamp,
}

impl Observe for Gauges {
    fn observe(&self) -> Observed {
        let counts = self.pulse.outbox.counts();
        let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
        for finding in self.pulse.findings.list() {
            let (code, severity) = (finding.kind.code, name(finding.kind.severity));
            found.entry(code).or_insert(Found { code, severity, count: 0 }).count += 1;
        }
        let space = rustix::fs::statvfs(&self.folder).ok();
        let started = std::time::Duration::try_from(self.started.duration_since(Timestamp::UNIX_EPOCH));
        Observed {
            sinks: self.pulse.statuses.iter().map(|status| sink(status, &self.pulse.outbox)).collect(),
            findings: found.into_values().collect(),
            connections: self.connections.iter().map(|(kind, open)| (*kind, open.count() as u64)).collect(),
            devices: counts.devices,
            durable: self.pulse.outbox.durable(),
            ready: self.pulse.obstacles().is_empty(),
            free_bytes: space.map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
            started: started.unwrap_or_default().as_secs_f64(),
        }
    }
}

fn sink(status: &Status, outbox: &Outbox) -> ObservedSink {
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
