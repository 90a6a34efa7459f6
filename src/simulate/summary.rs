//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::sender::{Outcome, Sent};

/// Counts and latencies of a run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Alarms sent, whatever became of them.
    pub sent: u64,
    /// Answered 200.
    pub answered: u64,
    /// Answered 200, yet only held in the bridge's memory.
    pub not_durable: u64,
    /// The others, by what went wrong.
    pub failed: BTreeMap<String, u64>,
    /// How long the run took.
    pub lasted: Duration,
    latencies: Vec<Duration>,
}

impl Summary {
    /// Counts one alarm.
    pub fn record(&mut self, sent: &Sent) {
        self.sent += 1;
        let failure = match &sent.outcome {
            Outcome::Answered { status: 200, durable } => {
                self.answered += 1;
                self.not_durable += u64::from(!durable);
                self.latencies.push(sent.latency);
                return;
            }
            Outcome::Answered { status, .. } => format!("answered {status}"),
            Outcome::Unreachable(cause) => format!("unreachable ({cause})"),
            Outcome::Broken(cause) => format!("no reply ({cause})"),
            Outcome::TimedOut => "no reply in time".into(),
        };
        *self.failed.entry(failure).or_default() += 1;
    }

    /// Whether every alarm was answered 200, and there was one.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.sent > 0 && self.answered == self.sent
    }

    /// Alarms per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        let sent = f64::from(u32::try_from(self.sent).unwrap_or(u32::MAX));
        if seconds > 0.0 { sent / seconds } else { 0.0 }
    }

    /// The latency that so many of a hundred answered alarms kept within; the longest for 100.
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
        let Self { sent, answered, not_durable, failed, lasted, .. } = self;
        let failures: u64 = failed.values().sum();
        writeln!(f, "sent {sent} in {:.1} s ({:.1} alarms/s)", lasted.as_secs_f64(), self.rate())?;
        writeln!(f, "answered 200: {answered}, of these not durable: {not_durable}; failed: {failures}")?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Summary;
    use crate::simulate::sender::{Outcome, Sent};

    #[test]
    fn a_run_is_counted_by_what_became_of_it() {
        let mut summary = Summary::default();
        assert!(!summary.is_success());
        for millis in 1..=100 {
            let outcome = Outcome::Answered { status: 200, durable: millis > 1 };
            summary.record(&Sent { outcome, latency: Duration::from_millis(millis) });
        }
        assert!(summary.is_success());
        assert_eq!((summary.answered, summary.not_durable), (100, 1));
        let percentiles = [50, 99, 100].map(|percent| summary.percentile(percent).unwrap().as_millis());
        assert_eq!(percentiles, [50, 99, 100]);
        let outcome = Outcome::Answered { status: 404, durable: true };
        summary.record(&Sent { outcome, latency: Duration::ZERO });
        assert!(!summary.is_success());
        assert!(summary.to_string().contains("1 x answered 404"));
    }
}
