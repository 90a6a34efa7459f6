//! Metrics: each is declared here once, with its help text; `/metrics` returns them as OpenMetrics.
//!
//! Code that counts holds a cheap handle ([`IngestMetrics`], [`OutboxMetrics`], [`SinkMetrics`]); values that are known
//! already (backlog, findings, connections) are read at each scrape (see [`Observe`]).

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod alarms;
mod cluster;
mod observed;

pub use alarms::AlarmCounts;
pub use cluster::{ClusterMetrics, ObservedCluster};
pub use observed::{FindingCount, Observe, Observed, ObservedSink};
pub use prometheus_client::metrics::histogram::Histogram;

use observed::Scrape;

use crate::findings::FindingCode;

/// Content type of OpenMetrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Histogram buckets in seconds, from 0.1 ms to the longest wait for a disk or broker.
const SECONDS: [f64; 16] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Histogram buckets for reports per commit.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0, 256.0, 1024.0];

/// Outcome of a request to an ingest listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// Its alarms are committed.
    Alarms,
    /// Understood, without an alarm.
    Nothing,
    /// Request for the page that a webhook URL shows in a browser.
    Page,
    /// Refused by path, method or peer: 404.
    Refused,
    /// It cannot become an alarm: 4xx.
    NotUnderstood,
    /// Over the rate limit for unknown peers: 429.
    Limited,
    /// The bridge was stopping, or had an internal error.
    Failed,
}

impl RequestOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Alarms,
        Self::Nothing,
        Self::Page,
        Self::Refused,
        Self::NotUnderstood,
        Self::Limited,
        Self::Failed,
    ];

    /// Label in metrics and log.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Alarms => "alarms",
            Self::Nothing => "nothing",
            Self::Page => "page",
            Self::Refused => "refused",
            Self::NotUnderstood => "not_understood",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// Counters of the ingest listeners.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    requests: Family<OutcomeLabel, Counter>,
    problems: Family<CodeLabel, Counter>,
    bytes: Counter,
    seconds: Histogram,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        let requests = Family::<OutcomeLabel, Counter>::default();
        for outcome in RequestOutcome::ALL {
            // Creates every series at the start, so that rates are correct from the first request.
            drop(requests.get_or_create(&OutcomeLabel { outcome: outcome.label() }));
        }
        Self {
            requests,
            problems: Family::default(),
            bytes: Counter::default(),
            seconds: Histogram::new(SECONDS),
        }
    }
}

impl IngestMetrics {
    /// Counts an answered request.
    pub fn request(&self, outcome: RequestOutcome) {
        self.requests.get_or_create(&OutcomeLabel { outcome: outcome.label() }).inc();
    }

    /// Counts the bytes of a body.
    pub fn bytes(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// Observes the time from the last byte of a report to its response.
    pub fn answered_after(&self, time: std::time::Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    /// Counts a problem with a report, by the finding's code.
    pub fn problem(&self, code: FindingCode) {
        self.problems.get_or_create(&CodeLabel { code: code.as_str() }).inc();
    }
}

/// Counters of the outbox.
#[derive(Debug, Clone)]
pub struct OutboxMetrics {
    /// Alarms by source and event, with a bounded number of series.
    pub alarms: AlarmCounts,
    /// Duration of commits in seconds.
    pub commit_seconds: Histogram,
    /// Number of commands that share a commit.
    pub commit_batch: Histogram,
    /// Number of commits that the disk refused.
    pub commits_refused: Counter,
    /// Number of ends without a matching start.
    pub ends_without_start: Counter,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            alarms: AlarmCounts::default(),
            commit_seconds: Histogram::new(SECONDS),
            commit_batch: Histogram::new(BATCH),
            commits_refused: Counter::default(),
            ends_without_start: Counter::default(),
        }
    }
}

/// Counters of a relay for its sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// Time from sending to acknowledgement in seconds.
    pub publish_seconds: Histogram,
    /// Bytes of payload sent.
    pub bytes: Counter,
}

impl Default for SinkMetrics {
    fn default() -> Self {
        Self { publish_seconds: Histogram::new(SECONDS), bytes: Counter::default() }
    }
}

/// All metrics of a running bridge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Registry>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Metrics {
    /// Declares every metric.
    #[must_use]
    pub fn new(ingest: &IngestMetrics, outbox: &OutboxMetrics, observe: Arc<dyn Observe>) -> Self {
        let mut registry = Registry::with_prefix("alarmbus");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "Version of the running program", build);
        registry.register(
            "requests",
            "Requests to the ingest listeners, by outcome",
            ingest.requests.clone(),
        );
        registry.register("request_bytes", "Bytes of request bodies read", ingest.bytes.clone());
        registry.register(
            "answer_seconds",
            "Time from the last byte of a report to its answer, in seconds",
            ingest.seconds.clone(),
        );
        registry.register(
            "decode_problems",
            "Problems of reports, by code of the finding",
            ingest.problems.clone(),
        );
        registry.register("alarms", "Alarms committed, by source and event", outbox.alarms.family());
        registry.register(
            "commit_seconds",
            "Duration of commits to disk, in seconds",
            outbox.commit_seconds.clone(),
        );
        registry.register("commit_commands", "Number of commands in one commit", outbox.commit_batch.clone());
        registry.register(
            "commits_refused",
            "Commits that failed because the disk refused writes; alarms are held in memory meanwhile",
            outbox.commits_refused.clone(),
        );
        registry.register(
            "ends_without_start",
            "Ends of events whose start is unknown",
            outbox.ends_without_start.clone(),
        );
        registry.register_collector(Box::new(Scrape(observe)));
        Self(Arc::new(registry))
    }

    /// Encodes all metrics as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.0).is_err() {
            tracing::error!("metrics cannot be written");
        }
        text
    }
}
