//! What the broker said by itself, until the relay asks. Filling it never waits: the event loop must go on reading
//! acknowledgements even while nobody asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sink::{Notice, SinkDown};

/// The most notices kept; a read-back of 10,000 sources with some kinds each stays below.
const KEPT: usize = 100_000;
/// The most payload bytes kept.
const KEPT_BYTES: usize = 16 << 20;

/// A session's notices; a cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    notices: VecDeque<Notice>,
    /// Payload bytes in `notices`.
    bytes: usize,
    /// Notices that found no room since the last one taken.
    lost: usize,
    /// Why the session ended.
    down: Option<SinkDown>,
}

impl Inbox {
    /// Adds a notice. Past the bounds it is lost, and a problem says so.
    pub(super) fn push(&self, notice: Notice) {
        let mut state = self.lock();
        let size = size(&notice);
        if state.notices.len() < KEPT && state.bytes + size <= KEPT_BYTES {
            state.bytes += size;
            state.notices.push_back(notice);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.0.ready.notify_one();
    }

    /// Says why the session ended; the first word counts. Comes after all notices.
    pub(super) fn end(&self, down: SinkDown) {
        self.lock().down.get_or_insert(down);
        self.0.ready.notify_one();
    }

    /// Why the session ended, if it did.
    pub(super) fn down(&self) -> Option<SinkDown> {
        self.lock().down.clone()
    }

    /// The next notice, at last [`Notice::Down`]. Cancel-safe.
    pub(super) async fn next(&self) -> Notice {
        loop {
            if let Some(notice) = self.lock().take() {
                return notice;
            }
            self.0.ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The oldest notice, then what was lost, then the end.
    fn take(&mut self) -> Option<Notice> {
        if let Some(notice) = self.notices.pop_front() {
            self.bytes -= size(&notice);
            return Some(notice);
        }
        if self.lost > 0 {
            let detail = format!("{} messages read from the broker found no room in memory", self.lost);
            self.lost = 0;
            return Some(Notice::Problem { code: "retained_unreadable", detail });
        }
        self.down.clone().map(Notice::Down)
    }
}

/// The memory a notice needs, about.
fn size(notice: &Notice) -> usize {
    match notice {
        Notice::Found { topic, payload } => topic.len() + payload.len(),
        Notice::Emptied(topic) => topic.len(),
        Notice::Down(_) | Notice::Retained(_) | Notice::Birth | Notice::Problem { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Inbox;
    use crate::sink::{Notice, SinkDown};

    #[tokio::test]
    async fn notices_come_in_order_and_the_end_comes_last() {
        let inbox = Inbox::default();
        let down = SinkDown { code: "broker_unreachable", reason: "gone".into() };
        inbox.end(down.clone());
        inbox.push(Notice::Birth);
        inbox.end(SinkDown { code: "broker_tls", reason: "a later cause is not the cause".into() });
        assert_eq!(inbox.next().await, Notice::Birth);
        assert_eq!(inbox.next().await, Notice::Down(down));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_said() {
        let inbox = Inbox::default();
        for _ in 0..3 {
            inbox.push(Notice::Found { topic: "t".into(), payload: Bytes::from(vec![0; 9 << 20]) });
        }
        assert!(matches!(inbox.next().await, Notice::Found { .. }));
        let Notice::Problem { detail, .. } = inbox.next().await else { panic!("not said") };
        assert!(detail.starts_with("2 messages"), "{detail}");
    }
}
