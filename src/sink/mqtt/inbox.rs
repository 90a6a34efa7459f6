//! Notices from the broker until the relay asks for them. Adding one never waits, because the event loop must keep
//! reading acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::findings::FindingCode;
use crate::sink::{Notice, SinkDown};

/// Maximum number of stored notices; a read-back of 10,000 sources with several events each stays below.
const MAX_NOTICES: usize = 100_000;
/// Maximum number of stored payload bytes.
const MAX_NOTICE_BYTES: usize = 16 << 20;

/// Notices of a session; cheap to clone.
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
    /// Number of notices discarded since the last one was taken.
    lost: usize,
    /// Reason for the end of the session.
    down: Option<SinkDown>,
}

impl Inbox {
    /// Adds a notice. Beyond the bounds it is discarded, and a problem reports it.
    pub(super) fn push(&self, notice: Notice) {
        let mut state = self.lock();
        let size = size(&notice);
        if state.notices.len() < MAX_NOTICES && state.bytes + size <= MAX_NOTICE_BYTES {
            state.bytes += size;
            state.notices.push_back(notice);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.0.ready.notify_one();
    }

    /// Stores the reason for the end of the session; the first one counts. It is delivered after all notices.
    pub(super) fn end(&self, down: SinkDown) {
        self.lock().down.get_or_insert(down);
        self.0.ready.notify_one();
    }

    /// Reason for the end of the session, if it ended.
    pub(super) fn down(&self) -> Option<SinkDown> {
        self.lock().down.clone()
    }

    /// Waits for the next notice; the last one is [`Notice::Down`]. Cancel-safe.
    pub(super) async fn next(&self) -> Notice {
        loop {
            if let Some(notice) = self.lock().take() {
                return notice;
            }
            self.0.ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl State {
    /// Takes the oldest notice, then the report of discarded ones, then the end.
    fn take(&mut self) -> Option<Notice> {
        if let Some(notice) = self.notices.pop_front() {
            self.bytes -= size(&notice);
            return Some(notice);
        }
        if self.lost > 0 {
            let detail = format!("{} messages read from the broker found no room in memory", self.lost);
            self.lost = 0;
            return Some(Notice::Problem { code: FindingCode::RetainedUnreadable, detail });
        }
        self.down.clone().map(Notice::Down)
    }
}

/// Approximate memory of a notice in bytes.
fn size(notice: &Notice) -> usize {
    match notice {
        Notice::Found { topic, payload } => topic.len() + payload.len(),
        Notice::Mark(text) => text.len(),
        Notice::Emptied(topic) => topic.len(),
        Notice::Down(_) | Notice::Retained(_) | Notice::Birth | Notice::Problem { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Inbox;
    use crate::findings::FindingCode;
    use crate::sink::{Notice, SinkDown};

    #[tokio::test]
    async fn notices_come_in_order_and_the_end_comes_last() {
        let inbox = Inbox::default();
        let down = SinkDown { code: FindingCode::BrokerUnreachable, reason: "gone".into() };
        inbox.end(down.clone());
        inbox.push(Notice::Birth);
        inbox.end(SinkDown { code: FindingCode::BrokerTls, reason: "a later cause is not the cause".into() });
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
