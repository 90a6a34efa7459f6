//! The bridge's own values: `info` at the start, `health` each minute and on change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::{Progress, SinkSeen, WriterSeen};
use crate::findings::{Finding, Findings, Severity};
use crate::http::Health;
use crate::model::clock::utc;
use crate::model::status::{
    BridgeHealth, BridgeInfo, Problem, SCHEMA, SinkHealth, SinkInfo, Status as Overall,
};
use crate::model::value::What;
use crate::outbox::{Outbox, Reader};
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
    progress: Arc<Mutex<Progress>>,
}

impl Pulse {
    /// Watches these.
    pub(super) fn new(outbox: Outbox, findings: Findings, statuses: Vec<Status>) -> Self {
        Self { outbox, findings, statuses, progress: Arc::default() }
    }

    /// Publishes `info` once, then `health` until the stop.
    pub(super) async fn run(self, info: BridgeInfo, stop: CancellationToken) {
        let text = serde_json::to_string(&info).unwrap_or_default();
        // Its content does not matter: it stands for the bridge's own announcement to Home Assistant.
        let announced = self.outbox.bridge(What::Discovery, info.version.clone()).await;
        if announced.is_err() || self.outbox.bridge(What::Info, text).await.is_err() {
            return;
        }
        let mut last: Option<BridgeHealth> = None;
        let mut renewed = Instant::now();
        let mut reader = self.outbox.reader();
        loop {
            self.look(&mut reader);
            let health = self.health();
            let stale = last.as_ref().is_none_or(|last| differs(last, &health)) || RENEW <= renewed.elapsed();
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
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Sees what gets on and what does not; that becomes findings.
    fn look(&self, reader: &mut Reader) {
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
            // Taken once: a second guard in the same statement would wait for the first for ever.
            let mut progress = self.progress();
            progress.note(now, writer, &seen);
            (progress.writer(now), progress.sinks(now))
        };
        match writer {
            Some(why) => self.findings.raise("not_committing", "storage", &why),
            None => self.findings.settle("not_committing", "storage"),
        }
        for sink in seen {
            match stalled.iter().find(|(name, _)| *name == sink.name) {
                Some((name, seconds)) => {
                    let text =
                        format!("{name} has taken nothing for {seconds} s, {} messages wait", sink.backlog);
                    self.findings.raise("sink_stalled", name, &text);
                }
                None => self.findings.settle("sink_stalled", &sink.name),
            }
        }
    }

    /// Keeps the receipt of a sink's oldest undelivered entry current.
    fn note_oldest(&self, status: &Status, reader: &mut Reader) {
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

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commits get on.
    pub(super) fn commits(&self) -> bool {
        self.outbox.is_alive() && self.progress().writer(Instant::now()).is_none()
    }

    /// Health as it is now.
    #[must_use]
    pub(super) fn health(&self) -> BridgeHealth {
        let sinks: Vec<SinkHealth> = self
            .statuses
            .iter()
            .map(|status| {
                let status = status.get();
                let parked = self.outbox.parked_now(&status.name);
                SinkHealth {
                    name: status.name,
                    connected: status.connected,
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
            .filter(|f| matches!(f.kind.code, "not_understood" | "wrong_path" | "peer_not_allowed"))
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
        let now = Instant::now();
        let mut obstacles: Vec<String> = self.progress().writer(now).into_iter().collect();
        if obstacles.is_empty() && !self.outbox.is_alive() {
            obstacles.push("the outbox has ended: nothing can be committed".into());
        }
        let stalled = self.progress().sinks(now);
        obstacles.extend(
            stalled.iter().map(|(name, seconds)| format!("{name} has taken nothing for {seconds} s")),
        );
        obstacles
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
