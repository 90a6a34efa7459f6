//! Publishes the bridge's own values: `info` at the start, `health` every minute and on change.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::{ProgressMonitor, SinkSeen, WriterSeen};
use crate::findings::{Finding, FindingCode, Findings, Severity};
use crate::model::status::{
    BridgeHealth, BridgeInfo, HealthProblem, SCHEMA, SinkHealth, SinkInfo, Status as Overall,
};
use crate::model::time::clock::utc;
use crate::model::value::What;
use crate::outbox::{Outbox, Reader};
use crate::relay::StatusHandle;
use crate::web::Health;

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum interval between two publications of an unchanged health.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(60);

/// Checks the bridge's health and publishes it; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::app) struct HealthPublisher {
    /// The outbox.
    pub(in crate::app) outbox: Outbox,
    /// Findings.
    pub(in crate::app) findings: Findings,
    /// Status of each sink.
    pub(in crate::app) statuses: Vec<StatusHandle>,
    progress: Arc<Mutex<ProgressMonitor>>,
}

impl HealthPublisher {
    /// Creates it for these sinks.
    pub(in crate::app) fn new(outbox: Outbox, findings: Findings, statuses: Vec<StatusHandle>) -> Self {
        Self { outbox, findings, statuses, progress: Arc::default() }
    }

    /// Publishes `info` once, then `health` until the stop.
    pub(in crate::app) async fn run(self, info: BridgeInfo, stop: CancellationToken) {
        let text = serde_json::to_string(&info).unwrap_or_default();
        // The content is not used; the value only triggers the bridge's own Home Assistant discovery.
        let announced = self.outbox.bridge(What::Discovery, info.version.clone()).await;
        if announced.is_err() || self.outbox.bridge(What::Info, text).await.is_err() {
            return;
        }
        let mut last: Option<BridgeHealth> = None;
        let mut renewed = Instant::now();
        let mut reader = self.outbox.reader();
        loop {
            self.update_progress(&mut reader);
            let health = self.health();
            let stale = last.as_ref().is_none_or(|last| differs(last, &health))
                || PUBLISH_INTERVAL <= renewed.elapsed();
            if stale {
                let text = serde_json::to_string(&health).unwrap_or_default();
                if self.outbox.bridge(What::Health, text).await.is_err() {
                    return;
                }
                renewed = Instant::now();
                last = Some(health);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
        }
    }

    /// Records progress of the writer and the sinks, and raises or settles the findings about them.
    fn update_progress(&self, reader: &mut Reader) {
        let (now, mut seen) = (Instant::now(), Vec::new());
        for status in &self.statuses {
            self.note_oldest(status, reader);
            let status = status.get();
            let done = status.delivered.wrapping_add(status.parked).wrapping_add(status.dropped);
            seen.push(SinkSeen { name: status.name, backlog: status.backlog, done });
        }
        let writer = WriterSeen {
            alive: self.outbox.is_alive(),
            waiting: self.outbox.waiting(),
            rounds: self.outbox.rounds(),
        };
        let (writer, stalled) = {
            // One guard for both calls: the mutex is not reentrant.
            let mut progress = self.progress();
            progress.note(now, writer, &seen);
            (progress.writer(now), progress.sinks(now))
        };
        match writer {
            Some(why) => self.findings.raise(FindingCode::NotCommitting, "storage", &why),
            None => self.findings.settle(FindingCode::NotCommitting, "storage"),
        }
        for sink in seen {
            match stalled.iter().find(|(name, _)| *name == sink.name) {
                Some((name, seconds)) => {
                    let wait = if sink.backlog == 1 { "message waits" } else { "messages wait" };
                    let text =
                        format!("{name} has acknowledged nothing for {seconds} s, {} {wait}", sink.backlog);
                    self.findings.raise(FindingCode::SinkStalled, name, &text);
                }
                None => self.findings.settle(FindingCode::SinkStalled, &sink.name),
            }
        }
    }

    /// Updates the time of a sink's oldest undelivered entry in its status.
    fn note_oldest(&self, status: &StatusHandle, reader: &mut Reader) {
        let seen = status.get();
        let low = self.outbox.position(&seen.name).log_low;
        let waits = 0 < seen.backlog;
        let first = waits.then(|| reader.entries_after(low, 1));
        let oldest = first.and_then(Result::ok).and_then(|entries| {
            let (seconds, nanos) = entries.first()?.record.id().get_timestamp()?.to_unix();
            Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
        });
        status.note_oldest(oldest);
    }

    fn progress(&self) -> MutexGuard<'_, ProgressMonitor> {
        self.progress.lock()
    }

    /// Returns whether commits make progress.
    pub(super) fn commits(&self) -> bool {
        self.outbox.is_alive() && self.progress().writer(Instant::now()).is_none()
    }

    /// Current health.
    #[must_use]
    pub(in crate::app) fn health(&self) -> BridgeHealth {
        let sinks: Vec<SinkHealth> = self
            .statuses
            .iter()
            .map(|status| {
                let status = status.get();
                let parked = self.outbox.parked_now(&status.name);
                SinkHealth {
                    name: status.name,
                    connected: status.connected || status.standby,
                    backlog: status.backlog,
                    parked,
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
            .filter(|f| {
                matches!(
                    f.kind.code,
                    FindingCode::NotUnderstood | FindingCode::WrongPath | FindingCode::PeerNotAllowed
                )
            })
            .map(|f| f.count)
            .sum();
        BridgeHealth {
            schema: SCHEMA,
            at: utc(Timestamp::now()),
            status: match (self.obstacles().is_empty(), degraded) {
                (false, _) => Overall::NotReady,
                (true, true) => Overall::Degraded,
                (true, false) => Overall::Ok,
            },
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

/// Converts a finding to its published form.
fn problem(finding: Finding) -> HealthProblem {
    HealthProblem {
        code: finding.kind.code.to_string(),
        severity: finding.kind.severity,
        title: finding.kind.title.into(),
        subject: finding.subject,
        detail: finding.detail,
        count: finding.count,
        since: utc(finding.first),
    }
}

/// Returns whether a difference is published before the minute is over; mere counts are not.
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

impl Health for HealthPublisher {
    fn obstacles(&self) -> Vec<String> {
        let now = Instant::now();
        let mut obstacles: Vec<String> = self.progress().writer(now).into_iter().collect();
        if obstacles.is_empty() && !self.outbox.is_alive() {
            obstacles.push("the outbox has ended: alarms cannot be stored".into());
        }
        let stalled = self.progress().sinks(now);
        obstacles.extend(
            stalled.iter().map(|(name, seconds)| format!("{name} has acknowledged nothing for {seconds} s")),
        );
        obstacles
    }

    fn takes_alarms(&self) -> bool {
        self.commits()
    }

    fn troubles(&self) -> Vec<String> {
        let errors =
            self.findings.list().into_iter().filter(|finding| finding.kind.severity == Severity::Error);
        errors.map(|finding| format!("{}: {}", finding.kind.title, finding.detail)).collect()
    }
}

/// Content of `info`.
#[must_use]
pub(in crate::app) fn info(instance: &str, public_url: Option<String>, sinks: Vec<SinkInfo>) -> BridgeInfo {
    BridgeInfo {
        schema: SCHEMA,
        instance: instance.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started: utc(Timestamp::now()),
        public_url,
        sinks,
    }
}
