//! Who is logged in: a random cookie each, of which only a digest is kept. They end with the process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::secret::SecretText;

/// A session that is not used for so long is over.
const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// However much it is used, after this it is over.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Sessions at once; past it the one used longest ago ends.
const MOST: usize = 64;

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
        LONGEST < self.begun.elapsed() || IDLE < self.used.elapsed()
    }
}

impl Sessions {
    /// Begins one under this cookie.
    pub(super) fn begin(&self, cookie: &str) {
        let now = Instant::now();
        self.change(|open| {
            if MOST <= open.len() {
                let oldest =
                    open.iter().enumerate().min_by_key(|(_, session)| session.used).map(|(at, _)| at);
                oldest.map(|at| open.swap_remove(at));
            }
            open.push(Session { cookie: SecretText::new(cookie), begun: now, used: now });
        });
    }

    /// Whether the cookie is that of a session; using it keeps it.
    pub(super) fn holds(&self, cookie: &str) -> bool {
        let mut held = false;
        self.change(|open| {
            // All are compared, so that the time does not tell which one it was.
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
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| !session.is_over());
        change(&mut open);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{IDLE, MOST, Sessions};

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_itself_or_by_hand() {
        let sessions = Sessions::default();
        sessions.begin("one");
        sessions.begin("two");
        assert!(sessions.holds("one") && !sessions.holds("three"));
        sessions.end("two");
        assert!(!sessions.holds("two"));
        for _ in 0..13 {
            tokio::time::advance(IDLE - Duration::from_secs(1)).await;
            assert!(sessions.holds("one"), "it is used");
        }
        tokio::time::advance(IDLE + Duration::from_secs(1)).await;
        assert!(!sessions.holds("one"));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_not_too_many() {
        let sessions = Sessions::default();
        for number in 0..=MOST {
            sessions.begin(&number.to_string());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(!sessions.holds("0") && sessions.holds("1") && sessions.holds(&MOST.to_string()));
    }
}
