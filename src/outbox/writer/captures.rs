//! Requests for the Requests page. Only the latest are kept there, so under load most would be written to be deleted
//! a moment later: past a few in a second they wait in memory, and only those that are still the latest are written.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::super::effects::{Effects, RequestRow};

/// So many in a second go with the commit of their alarms.
const AT_ONCE: usize = 20;
/// The rest waits so long at the most.
const WAIT: Duration = Duration::from_secs(1);
/// The latest of so many are kept while they wait: as many as the page has.
const LATEST: usize = 500;
/// And so many bytes of them.
const BYTES: usize = 4 << 20;

/// Requests that wait to be written.
#[derive(Debug)]
pub(crate) struct Captures {
    waiting: VecDeque<RequestRow>,
    /// How many bytes of bodies wait.
    bytes: usize,
    since: Instant,
    written: usize,
}

impl Captures {
    /// None wait.
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, since: Instant::now(), written: 0 }
    }

    /// Takes one; it goes with this commit if there are few.
    pub(crate) fn take(&mut self, row: RequestRow, effects: &mut Effects) {
        if WAIT <= self.since.elapsed() && self.waiting.is_empty() {
            self.since = Instant::now();
            self.written = 0;
        }
        if self.written < AT_ONCE {
            self.written += 1;
            effects.requests.push(row);
            return;
        }
        self.bytes += row.body.len();
        self.waiting.push_back(row);
        while LATEST < self.waiting.len() || BYTES < self.bytes {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    /// When those that wait are due.
    pub(crate) fn wake(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.since + WAIT)
    }

    /// Gives those that are due (or all) to the commit.
    pub(crate) fn flush(&mut self, all: bool, effects: &mut Effects) {
        if !self.waiting.is_empty() && (all || WAIT <= self.since.elapsed()) {
            effects.requests.extend(self.waiting.drain(..));
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

    fn row(status: u16) -> RequestRow {
        RequestRow {
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
        assert_eq!(effects.requests.len(), AT_ONCE);
        captures.flush(false, &mut effects);
        assert_eq!(effects.requests.len(), AT_ONCE, "not due yet");
        tokio::time::advance(WAIT).await;
        captures.flush(false, &mut effects);
        assert_eq!(effects.requests.len(), AT_ONCE + LATEST);
        assert_eq!(effects.requests.last().map(|row| row.status), Some(999));
        assert!(captures.wake().is_none());
        for number in 0..100 {
            captures
                .take(RequestRow { body: Bytes::from_static(&[7; BYTES / 10]), ..row(number) }, &mut effects);
        }
        assert!(
            captures.bytes <= BYTES && captures.waiting.len() < 11,
            "many large ones take no more memory"
        );
    }
}
