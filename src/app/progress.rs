//! Whether commits and deliveries get on: what `/health/ready`, `bridge/health` and the watchdog go by.
//!
//! A broker that is down for a moment, or cameras that say nothing, stand in nobody's way. What does: a writer that
//! does not come back, and a sink that has work and gets nothing done for long.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// A sink with a backlog that delivers nothing for so long is stalled.
pub(super) const SINK_LIMIT: Duration = Duration::from_secs(300);
/// A writer with commands waiting that does not turn for so long is stuck: longer than any slow disk should take.
pub(super) const WRITER_LIMIT: Duration = Duration::from_secs(30);

/// What is seen of a sink at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SinkSeen {
    pub(super) name: String,
    /// Messages that wait.
    pub(super) backlog: u64,
    /// Grows with everything that is dealt with: acknowledged, parked, dropped.
    pub(super) done: u64,
}

/// What is seen of the writer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriterSeen {
    /// Its thread is there.
    pub(super) alive: bool,
    /// Commands that wait.
    pub(super) waiting: usize,
    /// Grows with every round it makes.
    pub(super) rounds: u64,
}

/// Since when nothing has moved.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    sinks: HashMap<String, (u64, Instant)>,
    writer: Option<(WriterSeen, Instant)>,
}

impl Progress {
    /// Takes a look into account.
    pub(super) fn note(&mut self, now: Instant, writer: WriterSeen, sinks: &[SinkSeen]) {
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

    /// Why nothing can be committed, if that is so.
    pub(super) fn writer(&self, now: Instant) -> Option<String> {
        let (seen, since) = self.writer?;
        if !seen.alive {
            return Some("the outbox has ended: nothing can be committed".into());
        }
        let stuck = now.saturating_duration_since(since);
        (WRITER_LIMIT <= stuck).then(|| {
            format!(
                "the outbox has not moved for {} s with {} commands waiting: the disk hangs",
                stuck.as_secs(),
                seen.waiting
            )
        })
    }

    /// The sinks that have stalled, and since how many seconds.
    pub(super) fn sinks(&self, now: Instant) -> Vec<(String, u64)> {
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
        let (mut progress, start) = (Progress::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        progress.note(at(0), FINE, &sink(0, 5));
        progress.note(at(1_000), FINE, &sink(0, 5));
        assert!(progress.sinks(at(1_001)).is_empty(), "silence is no fault");
        progress.note(at(1_002), FINE, &sink(3, 5));
        assert!(progress.sinks(at(1_299)).is_empty(), "a moment is no fault");
        assert_eq!(progress.sinks(at(1_300)), [("mqtt".to_owned(), 300)]);
        progress.note(at(1_301), FINE, &sink(3, 6));
        assert!(progress.sinks(at(1_302)).is_empty(), "it moves");
    }

    #[test]
    fn a_writer_is_stuck_only_with_work() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        progress.note(at(0), FINE, &[]);
        progress.note(at(100), FINE, &[]);
        assert_eq!(progress.writer(at(101)), None);
        let busy = WriterSeen { waiting: 7, ..FINE };
        progress.note(at(102), busy, &[]);
        assert_eq!(progress.writer(at(129)), None);
        assert!(progress.writer(at(130)).unwrap().contains("7 commands"));
        progress.note(at(131), WriterSeen { rounds: 2, ..busy }, &[]);
        assert_eq!(progress.writer(at(132)), None);
        progress.note(at(133), WriterSeen { alive: false, ..FINE }, &[]);
        assert!(progress.writer(at(133)).unwrap().contains("has ended"));
    }
}
