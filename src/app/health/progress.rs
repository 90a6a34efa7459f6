//! Progress of commits and deliveries, as used by `/health/ready`, `bridge/health` and the watchdog.
//!
//! A broker that is briefly down, or cameras that send nothing, do not count as lack of progress. A writer that does
//! not return, or a sink that delivers nothing from its backlog, does.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Time after which a sink that has a backlog and delivers nothing counts as stalled.
pub(super) const SINK_LIMIT: Duration = Duration::from_secs(300);
/// Time after which a writer with waiting commands and no completed round counts as stuck; longer than a slow disk
/// takes.
pub(super) const WRITER_LIMIT: Duration = Duration::from_secs(30);

/// State of a sink at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SinkSeen {
    pub(in crate::app) name: String,
    /// Number of undelivered messages.
    pub(super) backlog: u64,
    /// Total number of messages acknowledged, parked or dropped.
    pub(in crate::app) done: u64,
}

/// State of the writer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriterSeen {
    /// Set while its thread runs.
    pub(super) alive: bool,
    /// Number of waiting commands.
    pub(in crate::app) waiting: usize,
    /// Total number of completed rounds.
    pub(super) rounds: u64,
}

/// Time of the last progress of the writer and of each sink.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct ProgressMonitor {
    sinks: HashMap<String, (u64, Instant)>,
    writer: Option<(WriterSeen, Instant)>,
}

impl ProgressMonitor {
    /// Records the state at one check.
    pub(in crate::app) fn note(&mut self, now: Instant, writer: WriterSeen, sinks: &[SinkSeen]) {
        for sink in sinks {
            let (done, since) = self.sinks.entry(sink.name.clone()).or_insert((sink.done, now));
            if *done != sink.done || sink.backlog == 0 {
                (*done, *since) = (sink.done, now);
            }
        }
        let moved = self.writer.is_none_or(|(last, _)| last.rounds != writer.rounds || writer.waiting == 0);
        let since = self.writer.filter(|_| !moved).map_or(now, |(_, since)| since);
        self.writer = Some((writer, since));
    }

    /// Reason why nothing can be committed, if that is so.
    pub(in crate::app) fn writer(&self, now: Instant) -> Option<String> {
        let (seen, since) = self.writer?;
        if !seen.alive {
            return Some("the outbox has ended: alarms cannot be stored".into());
        }
        let stuck = now.saturating_duration_since(since);
        (WRITER_LIMIT <= stuck).then(|| {
            format!(
                "the outbox has made no progress for {} s with {} waiting commands: the disk hangs",
                stuck.as_secs(),
                seen.waiting
            )
        })
    }

    /// Stalled sinks, each with the seconds since its last progress.
    pub(in crate::app) fn sinks(&self, now: Instant) -> Vec<(String, u64)> {
        let mut stalled: Vec<(String, u64)> = self
            .sinks
            .iter()
            .map(|(name, (_, since))| (name.clone(), now.saturating_duration_since(*since)))
            .filter(|(_, since)| SINK_LIMIT <= *since)
            .map(|(name, since)| (name, since.as_secs()))
            .collect();
        stalled.sort();
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: WriterSeen = WriterSeen { alive: true, waiting: 0, rounds: 1 };

    fn sink(backlog: u64, done: u64) -> [SinkSeen; 1] {
        [SinkSeen { name: "mqtt".into(), backlog, done }]
    }

    #[test]
    fn a_sink_stalls_only_with_work_and_after_its_limit() {
        let (mut progress, start) = (ProgressMonitor::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        progress.note(at(0), FINE, &sink(0, 5));
        progress.note(at(1_000), FINE, &sink(0, 5));
        assert!(progress.sinks(at(1_001)).is_empty(), "silence is not a fault");
        progress.note(at(1_002), FINE, &sink(3, 5));
        assert!(progress.sinks(at(1_299)).is_empty(), "a moment is not a fault");
        assert_eq!(progress.sinks(at(1_300)), [("mqtt".to_owned(), 300)]);
        progress.note(at(1_301), FINE, &sink(3, 6));
        assert!(progress.sinks(at(1_302)).is_empty(), "it moves");
    }

    #[test]
    fn a_writer_is_stuck_only_with_work() {
        let (mut progress, start) = (ProgressMonitor::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        progress.note(at(0), FINE, &[]);
        progress.note(at(100), FINE, &[]);
        assert_eq!(progress.writer(at(101)), None);
        let busy = WriterSeen { waiting: 7, ..FINE };
        progress.note(at(102), busy, &[]);
        assert_eq!(progress.writer(at(129)), None);
        assert!(progress.writer(at(130)).unwrap().contains("7 waiting commands"));
        progress.note(at(131), WriterSeen { rounds: 2, ..busy }, &[]);
        assert_eq!(progress.writer(at(132)), None);
        progress.note(at(133), WriterSeen { alive: false, ..FINE }, &[]);
        assert!(progress.writer(at(133)).unwrap().contains("has ended"));
    }
}
