//! The bridge's own values: `info` at the start, `health` each minute and on change.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::findings::{Finding, Findings, Severity};
use crate::http::Health;
use crate::model::clock::utc;
use crate::model::status::{
    BridgeHealth, BridgeInfo, Problem, SCHEMA, SinkHealth, SinkInfo, Status as Overall,
};
use crate::model::value::What;
use crate::outbox::Outbox;
use crate::relay::Status;

/// How often health is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often an unchanged health is published again.
const RENEW: Duration = Duration::from_secs(60);

/// Watches over a running bridge; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    /// The outbox.
    pub(super) outbox: Outbox,
    /// What was seen.
    pub(super) findings: Findings,
    /// How each sink is doing.
    pub(super) statuses: Vec<Status>,
}

impl Pulse {
    /// Publishes `info` once, then `health` until the stop.
    pub(super) async fn run(self, info: BridgeInfo, stop: CancellationToken) {
        let text = serde_json::to_string(&info).unwrap_or_default();
        // Its content does not matter: it stands for the bridge's own announcement to Home Assistant.
        let announced = self.outbox.bridge(What::Discovery, info.version.clone()).await;
        if announced.is_err() || self.outbox.bridge(What::Info, text).await.is_err() {
            return;
        }
        let mut last: Option<BridgeHealth> = None;
        let mut renewed = tokio::time::Instant::now();
        loop {
            let health = self.health();
            let stale = last.as_ref().is_none_or(|last| differs(last, &health)) || RENEW <= renewed.elapsed();
            if stale {
                let text = serde_json::to_string(&health).unwrap_or_default();
                if self.outbox.bridge(What::Health, text).await.is_err() {
                    return;
                }
                renewed = tokio::time::Instant::now();
                last = Some(health);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Health as it is now.
    #[must_use]
    pub(super) fn health(&self) -> BridgeHealth {
        let sinks: Vec<SinkHealth> = self
            .statuses
            .iter()
            .map(|status| {
                let status = status.get();
                SinkHealth {
                    name: status.name,
                    connected: status.connected,
                    backlog: status.backlog,
                    parked: status.parked,
                    dropped: status.dropped,
                    published: status.delivered,
                }
            })
            .collect();
        let problems: Vec<Finding> = self
            .findings
            .list()
            .into_iter()
            .filter(|finding| finding.kind.severity != Severity::Info)
            .collect();
        let bad = problems.iter().any(|problem| problem.kind.severity == Severity::Error);
        let degraded = bad || !self.outbox.durable() || sinks.iter().any(|sink| !sink.connected);
        let counts = self.outbox.counts();
        let refused = self
            .findings
            .list()
            .iter()
            .filter(|f| matches!(f.kind.code, "not_understood" | "wrong_path" | "peer_not_allowed"))
            .map(|f| f.count)
            .sum();
        BridgeHealth {
            schema: SCHEMA,
            at: utc(Timestamp::now()),
            status: if degraded { Overall::Degraded } else { Overall::Ok },
            backlog: sinks.iter().map(|sink| sink.backlog).sum(),
            parked: sinks.iter().map(|sink| sink.parked).sum(),
            dropped: sinks.iter().map(|sink| sink.dropped).sum(),
            alarms: counts.alarms,
            refused,
            devices: counts.devices,
            sinks,
            problems: problems.into_iter().map(problem).collect(),
        }
    }
}

/// A finding as it is published.
fn problem(finding: Finding) -> Problem {
    Problem {
        code: finding.kind.code.into(),
        severity: finding.kind.severity,
        title: finding.kind.title.into(),
        subject: finding.subject,
        detail: finding.detail,
        count: finding.count,
        since: utc(finding.first),
    }
}

/// Whether something changed that is worth a message before the minute is over: not mere counts.
fn differs(a: &BridgeHealth, b: &BridgeHealth) -> bool {
    let gist = |health: &BridgeHealth| {
        let problems: Vec<_> = health.problems.iter().map(|p| (p.code.clone(), p.subject.clone())).collect();
        let sinks: Vec<_> = health
            .sinks
            .iter()
            .map(|sink| (sink.connected, sink.backlog == 0, sink.parked, sink.dropped))
            .collect();
        (health.status, problems, sinks, health.devices)
    };
    gist(a) != gist(b)
}

impl Health for Pulse {
    fn obstacles(&self) -> Vec<String> {
        let blocked = self.statuses.iter().map(Status::get).filter(|status| status.blocked);
        blocked
            .map(|status| format!("{} accepts nothing: {}", status.name, status.trouble.unwrap_or_default()))
            .collect()
    }

    fn troubles(&self) -> Vec<String> {
        let errors =
            self.findings.list().into_iter().filter(|finding| finding.kind.severity == Severity::Error);
        errors.map(|finding| format!("{}: {}", finding.kind.title, finding.detail)).collect()
    }
}

/// What `info` says.
#[must_use]
pub(super) fn info(instance: &str, public_url: Option<String>, sinks: Vec<SinkInfo>) -> BridgeInfo {
    BridgeInfo {
        schema: SCHEMA,
        instance: instance.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started: utc(Timestamp::now()),
        public_url,
        sinks,
    }
}
