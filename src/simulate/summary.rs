//! Results of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::sender::{SendOutcome, SentRequest};

/// Counts and latencies of a run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Number of requests sent, with any result.
    pub sent: u64,
    /// Number of alarms in them: one for each kind that a request reports.
    pub alarms: u64,
    /// Number of requests answered 200.
    pub answered: u64,
    /// Number of alarms in the bridge's answers.
    pub accepted: u64,
    /// Number of requests answered 200 and only held in memory.
    pub not_durable: u64,
    /// Number of other results, by description.
    pub failed: BTreeMap<String, u64>,
    /// Duration of the run.
    pub lasted: Duration,
    latencies: Vec<Duration>,
}

impl Summary {
    /// Counts one request with this many alarms.
    pub fn record(&mut self, sent: &SentRequest, alarms: u64) {
        self.sent += 1;
        self.alarms += alarms;
        let failure = match &sent.outcome {
            SendOutcome::Answered { status: 200, durable, alarms: accepted } => {
                self.answered += 1;
                self.accepted += accepted.unwrap_or(alarms);
                self.not_durable += u64::from(!durable);
                self.latencies.push(sent.latency);
                return;
            }
            SendOutcome::Answered { status, .. } => format!("answered {status}"),
            SendOutcome::Unreachable(cause) => format!("unreachable ({cause})"),
            SendOutcome::Broken(cause) => format!("no reply ({cause})"),
            SendOutcome::TimedOut => "no reply in time".into(),
        };
        *self.failed.entry(failure).or_default() += 1;
    }

    /// Returns whether every request was answered 200, and there was one.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.sent > 0 && self.answered == self.sent
    }

    /// Alarms per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        let alarms = f64::from(u32::try_from(self.alarms).unwrap_or(u32::MAX));
        if seconds > 0.0 { alarms / seconds } else { 0.0 }
    }

    /// Latency within which this percentage of answered requests was answered; the longest one for 100.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, alarms, answered, accepted, not_durable, failed, lasted, .. } = self;
        let failures: u64 = failed.values().sum();
        let (sent, alarms) = (counted(*sent, "request"), counted(*alarms, "alarm"));
        writeln!(
            f,
            "sent {sent} with {alarms} in {:.1} s ({:.1} alarms/s)",
            lasted.as_secs_f64(),
            self.rate()
        )?;
        writeln!(
            f,
            "requests answered 200: {answered}, of these not durable: {not_durable}; failed: {failures}"
        )?;
        writeln!(f, "alarms that the bridge took: {accepted}")?;
        for (what, count) in failed {
            writeln!(f, "  {count} x {what}")?;
        }
        let millis = |percent| self.percentile(percent).unwrap_or_default().as_secs_f64() * 1_000.0;
        if self.latencies.is_empty() {
            return write!(f, "no latency: none was answered 200");
        }
        write!(f, "latency p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", millis(50), millis(99), millis(100))
    }
}

/// A number and its noun.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Summary;
    use crate::simulate::sender::{SendOutcome, SentRequest};

    #[test]
    fn a_run_is_counted_by_what_became_of_it() {
        let mut summary = Summary::default();
        assert!(!summary.is_success());
        for millis in 1..=100 {
            let outcome = SendOutcome::Answered { status: 200, durable: millis > 1, alarms: Some(2) };
            summary.record(&SentRequest { outcome, latency: Duration::from_millis(millis) }, 2);
        }
        assert!(summary.is_success());
        assert_eq!((summary.answered, summary.not_durable), (100, 1));
        let percentiles = [50, 99, 100].map(|percent| summary.percentile(percent).unwrap().as_millis());
        assert_eq!(percentiles, [50, 99, 100]);
        let outcome = SendOutcome::Answered { status: 404, durable: true, alarms: None };
        summary.record(&SentRequest { outcome, latency: Duration::ZERO }, 2);
        assert!(!summary.is_success());
        let text = summary.to_string();
        for expected in ["sent 101 requests with 202 alarms", "bridge took: 200", "1 x answered 404"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
