//! Requests for the Requests page. Only the latest are stored, so under load most would be deleted right after they
//! were written. So past a few per second they wait in memory, and only the latest of them are written.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::outbox::effects::Effects;
use crate::outbox::log::entry::StoredRequest;

/// Number of requests per second that are written with their alarms.
const IMMEDIATE_PER_SECOND: usize = 20;
/// Maximum delay of further requests.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// Maximum number of requests that wait: as many as the page shows.
const CAPACITY: usize = 500;
/// Maximum bytes of bodies that wait.
const MAX_BYTES: usize = 4 << 20;

/// Requests that wait to be written.
#[derive(Debug)]
pub(crate) struct Captures {
    /// The requests, oldest first.
    waiting: VecDeque<StoredRequest>,
    /// Bytes of bodies that wait.
    bytes: usize,
    /// Beginning of the current second.
    since: Instant,
    /// Number of requests written at once since then.
    written: usize,
}

impl Captures {
    /// No requests.
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, since: Instant::now(), written: 0 }
    }

    /// Adds a request. It is written with this commit if there are few.
    pub(crate) fn take(&mut self, row: StoredRequest, effects: &mut Effects) {
        if MAX_DELAY <= self.since.elapsed() && self.waiting.is_empty() {
            self.since = Instant::now();
            self.written = 0;
        }
        if self.written < IMMEDIATE_PER_SECOND {
            self.written += 1;
            effects.log.requests.push(row);
            return;
        }
        self.bytes += row.body.len();
        self.waiting.push_back(row);
        while CAPACITY < self.waiting.len() || MAX_BYTES < self.bytes {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    /// Time at which waiting requests are due.
    pub(crate) fn wake(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.since + MAX_DELAY)
    }

    /// Adds requests that are due (or all) to the commit.
    pub(crate) fn flush(&mut self, all: bool, effects: &mut Effects) {
        if !self.waiting.is_empty() && (all || MAX_DELAY <= self.since.elapsed()) {
            effects.log.requests.extend(self.waiting.drain(..));
            self.bytes = 0;
            self.since = Instant::now();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn row(status: u16) -> StoredRequest {
        StoredRequest {
            id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            peer: String::new(),
            status,
            verdict: String::new(),
            head: String::new(),
            body: Bytes::new(),
            alarms: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_go_at_once_and_of_many_only_the_latest_are_written() {
        let mut captures = Captures::new();
        let mut effects = Effects::default();
        for number in 0..1_000 {
            captures.take(row(number), &mut effects);
        }
        assert_eq!(effects.log.requests.len(), IMMEDIATE_PER_SECOND);
        captures.flush(false, &mut effects);
        assert_eq!(effects.log.requests.len(), IMMEDIATE_PER_SECOND, "not due yet");
        tokio::time::advance(MAX_DELAY).await;
        captures.flush(false, &mut effects);
        assert_eq!(effects.log.requests.len(), IMMEDIATE_PER_SECOND + CAPACITY);
        assert_eq!(effects.log.requests.last().map(|row| row.status), Some(999));
        assert!(captures.wake().is_none());
        for number in 0..100 {
            captures.take(
                StoredRequest { body: Bytes::from_static(&[7; MAX_BYTES / 10]), ..row(number) },
                &mut effects,
            );
        }
        assert!(
            captures.bytes <= MAX_BYTES && captures.waiting.len() < 11,
            "many large ones take no more memory"
        );
    }
}
