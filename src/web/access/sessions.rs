//! Sessions: a random cookie each, of which only a digest is stored. They end with the process.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::http::SecretText;

/// Time without use after which a session ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(12 * 3_600);
/// Maximum duration of a session.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Maximum number of sessions; beyond it the least recently used one ends.
const MAX_SESSIONS: usize = 64;

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Mutex<Vec<Session>>,
}

#[derive(Debug)]
struct Session {
    cookie: SecretText,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self) -> bool {
        MAX_DURATION < self.begun.elapsed() || IDLE_TIMEOUT < self.used.elapsed()
    }
}

impl Sessions {
    /// Starts a session with this cookie.
    pub(super) fn begin(&self, cookie: &str) {
        let now = Instant::now();
        self.change(|open| {
            if MAX_SESSIONS <= open.len() {
                let oldest =
                    open.iter().enumerate().min_by_key(|(_, session)| session.used).map(|(at, _)| at);
                oldest.map(|at| open.swap_remove(at));
            }
            open.push(Session { cookie: SecretText::new(cookie), begun: now, used: now });
        });
    }

    /// Returns whether the cookie is that of a session; using it keeps it.
    pub(super) fn holds(&self, cookie: &str) -> bool {
        let mut held = false;
        self.change(|open| {
            // All are compared, so that the time does not reveal which one matched.
            for session in open {
                if bool::from(session.cookie.is(cookie)) {
                    session.used = Instant::now();
                    held = true;
                }
            }
        });
        held
    }

    /// Ends the session of a cookie.
    pub(super) fn end(&self, cookie: &str) {
        self.change(|open| open.retain(|session| !bool::from(session.cookie.is(cookie))));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Session>)) {
        let mut open = self.open.lock();
        open.retain(|session| !session.is_over());
        change(&mut open);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{IDLE_TIMEOUT, MAX_SESSIONS, Sessions};

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_itself_or_by_hand() {
        let sessions = Sessions::default();
        sessions.begin("one");
        sessions.begin("two");
        assert!(sessions.holds("one") && !sessions.holds("three"));
        sessions.end("two");
        assert!(!sessions.holds("two"));
        for _ in 0..13 {
            tokio::time::advance(IDLE_TIMEOUT - Duration::from_secs(1)).await;
            assert!(sessions.holds("one"), "it is used");
        }
        tokio::time::advance(IDLE_TIMEOUT + Duration::from_secs(1)).await;
        assert!(!sessions.holds("one"));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_not_too_many() {
        let sessions = Sessions::default();
        for number in 0..=MAX_SESSIONS {
            sessions.begin(&number.to_string());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!sessions.holds("0") && sessions.holds("1") && sessions.holds(&MAX_SESSIONS.to_string()));
    }
}
