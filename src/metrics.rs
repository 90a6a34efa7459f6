//! Metrics: each is declared here once, with what it means; `/metrics` shows them as OpenMetrics.
//!
//! Who counts holds a cheap handle ([`IngestMetrics`], [`OutboxMetrics`], [`SinkMetrics`]); what is known anyway
//! (backlog, findings, connections) is asked for when somebody scrapes (see [`Observe`]).

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod alarms;
mod observed;

pub use alarms::AlarmCounts;
pub use observed::{Found, Observe, Observed, ObservedSink};
pub use prometheus_client::metrics::histogram::Histogram;

use observed::Scrape;

/// What OpenMetrics is served as.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a tenth of a millisecond to the longest a disk or a broker is waited for, in seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Reports of one commit.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 128.0, 256.0, 1024.0];

/// What became of a request to an ingest listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its alarms are committed.
    Alarms,
    /// Understood, and there was none in it.
    Nothing,
    /// Somebody looked at the page behind the URL.
    Page,
    /// Refused by path, method or peer: 404.
    Refused,
    /// No alarm can be made of it: 4xx.
    NotUnderstood,
    /// Over the rate for strangers: 429.
    Limited,
    /// The bridge was stopping, or made a mistake.
    Failed,
}

impl Outcome {
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

    /// Its word in metrics and log.
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

/// What the ingest side counts.
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
        for outcome in Outcome::ALL {
            // A counter that is there from the start has a rate from the start.
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
    /// A request was answered.
    pub fn request(&self, outcome: Outcome) {
        self.requests.get_or_create(&OutcomeLabel { outcome: outcome.label() }).inc();
    }

    /// A body was read: so many bytes.
    pub fn bytes(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// From the last byte of a report to its answer.
    pub fn answered_after(&self, time: std::time::Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    /// Something was wrong with a report that was understood all the same, or was not; by the finding's code.
    pub fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&CodeLabel { code }).inc();
    }
}

/// What the outbox counts.
#[derive(Debug, Clone)]
pub struct OutboxMetrics {
    /// Alarms by source and event, under a bound.
    pub alarms: AlarmCounts,
    /// How long commits take, in seconds.
    pub commit_seconds: Histogram,
    /// How many commands share a commit.
    pub commit_batch: Histogram,
    /// Commits the disk refused.
    pub commits_refused: Counter,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            alarms: AlarmCounts::default(),
            commit_seconds: Histogram::new(SECONDS),
            commit_batch: Histogram::new(BATCH),
            commits_refused: Counter::default(),
        }
    }
}

/// What a relay counts for its sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// From sending to acknowledgement, in seconds.
    pub publish_seconds: Histogram,
    /// Bytes of payload sent.
    pub bytes: Counter,
}

impl Default for SinkMetrics {
    fn default() -> Self {
        Self { publish_seconds: Histogram::new(SECONDS), bytes: Counter::default() }
    }
}

/// All metrics of a running bridge; a cheap handle.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Registry>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Metrics {
    /// Declares them all.
    #[must_use]
    pub fn new(ingest: &IngestMetrics, outbox: &OutboxMetrics, observe: Arc<dyn Observe>) -> Self {
        let mut registry = Registry::with_prefix("alarmbus");
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "The version that runs", build);
        registry.register(
            "requests",
            "Requests to the ingest listeners, by what became of them",
            ingest.requests.clone(),
        );
        registry.register("request_bytes", "Bytes of request bodies read", ingest.bytes.clone());
        registry.register(
            "answer_seconds",
            "From the last byte of a report to its answer, in seconds",
            ingest.seconds.clone(),
        );
        registry.register(
            "decode_problems",
            "Things wrong with reports, by code of the finding",
            ingest.problems.clone(),
        );
        registry.register("alarms", "Alarms committed, by source and event", outbox.alarms.family());
        registry.register(
            "commit_seconds",
            "How long commits to disk take, in seconds",
            outbox.commit_seconds.clone(),
        );
        registry.register("commit_commands", "Commands that share one commit", outbox.commit_batch.clone());
        registry.register(
            "commits_refused",
            "Commits that the disk refused; alarms are held in memory meanwhile",
            outbox.commits_refused.clone(),
        );
        registry.register_collector(Box::new(Scrape(observe)));
        Self(Arc::new(registry))
    }

    /// All of them as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.0).is_err() {
            tracing::error!("metrics cannot be written");
        }
        text
    }
}
