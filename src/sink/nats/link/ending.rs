//! End of a session, and the server's reports until then.

use std::sync::{Arc, OnceLock};

use async_nats::{Event, ServerError};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::findings::FindingCode;
use crate::sink::nats::denied::{DeniedSubjects, Violation, violation};
use crate::sink::nats::failure::down;
use crate::sink::{Notice, SinkDown};

/// Maximum number of notices that wait for the relay; further ones only repeat and are dropped.
const NOTICES: usize = 64;

/// End of a session, and the server's reports until then.
pub(in crate::sink::nats) struct Ending {
    /// Cancelled once the session is over; tasks then stop waiting.
    pub(in crate::sink::nats) gone: CancellationToken,
    /// Messages that wait for a refusal, by subject.
    pub(in crate::sink::nats) denied: DeniedSubjects,
    reason: OnceLock<SinkDown>,
    notices: mpsc::Sender<Notice>,
    last_error: Mutex<Option<String>>,
}

impl Ending {
    /// Creates it for a new session, with the receiver of its notices.
    pub(in crate::sink::nats) fn new() -> (Arc<Self>, mpsc::Receiver<Notice>) {
        let (notices, receiver) = mpsc::channel(NOTICES);
        let ending = Self {
            gone: CancellationToken::new(),
            denied: DeniedSubjects::default(),
            reason: OnceLock::new(),
            notices,
            last_error: Mutex::new(None),
        };
        (Arc::new(ending), receiver)
    }

    /// Ends the session; the first reason counts.
    pub(in crate::sink::nats) fn end(&self, reason: SinkDown) {
        self.reason.get_or_init(|| reason);
        self.gone.cancel();
    }

    /// Reason for the end.
    pub(in crate::sink::nats) fn reason(&self) -> SinkDown {
        let closed = || down(FindingCode::BrokerUnreachable, "the session with the NATS server was closed");
        self.reason.get().cloned().unwrap_or_else(closed)
    }

    /// Reports a problem that does not end the session.
    pub(in crate::sink::nats) fn problem(&self, code: FindingCode, detail: impl Into<String>) {
        let notice = Notice::Problem { code, detail: detail.into() };
        if let Err(error) = self.notices.try_send(notice) {
            tracing::debug!(%error, "a notice of the NATS sink was dropped");
        }
    }

    /// Handles an event of the client.
    pub(in crate::sink::nats) fn handle_event(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.end(self.broken()),
            Event::LameDuckMode => self.end(down(
                FindingCode::BrokerUnreachable,
                "the NATS server is shutting down (lame duck mode); connecting again, to another if there is one",
            )),
            Event::ServerError(error) => self.handle_error(error),
            _ => {}
        }
    }

    /// Handles an error of the server: a refused subject, or the reason why it closes the connection.
    fn handle_error(&self, error: &ServerError) {
        let ServerError::Other(words) = error else {
            self.remember(&error.to_string());
            return;
        };
        match violation(words) {
            Some(Violation::Publish(subject)) => {
                if !self.denied.notify(subject, words) {
                    self.problem(
                        FindingCode::ValueRefused,
                        format!("{words}; allow the user to publish there"),
                    );
                }
            }
            Some(Violation::Subscribe(subject)) if subject.contains(".request.") => self.problem(
                FindingCode::SubscriptionRefused,
                format!("{words}; allow the user to subscribe to {subject}, or set requests.enabled = false"),
            ),
            // The only other subscription is the client's inbox, where acknowledgements arrive.
            Some(Violation::Subscribe(subject)) => self.end(down(
                FindingCode::BrokerRefused,
                format!(
                    "{words}; without it no acknowledgement arrives: allow the user to subscribe to {subject}"
                ),
            )),
            None => self.remember(words),
        }
    }

    fn remember(&self, words: &str) {
        *self.last_error.lock() = Some(words.to_owned());
    }

    /// Reason for a broken connection: the server's last error, if there is one.
    fn broken(&self) -> SinkDown {
        match self.last_error.lock().as_deref() {
            Some(words) => {
                down(FindingCode::BrokerRefused, format!("the NATS server closed the connection: {words}"))
            }
            None => down(
                FindingCode::BrokerUnreachable,
                "the connection to the NATS server broke: it was stopped or the network failed; connecting again",
            ),
        }
    }
}
