//! One session: the client, what is in flight, and how it ends.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_nats::{Client, Event, ServerError};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::denied::{Denied, Violation, violation};
use super::failure::down;
use super::store::Store;
use crate::sink::{Notice, SinkDown};

/// How many notices wait for the relay; more are dropped, since they only repeat.
const NOTICES: usize = 64;

/// A session; everything of it stops when it is dropped.
pub(super) struct Link {
    /// What the tasks of this session share.
    pub(super) shared: Arc<Shared>,
    /// What the server says by itself.
    pub(super) notices: mpsc::Receiver<Notice>,
    /// The renewal of `bridge.state`, once announced.
    pub(super) presence: Option<super::presence::Presence>,
}

/// What the tasks of a session share.
pub(super) struct Shared {
    /// The connection.
    pub(super) client: Client,
    /// JetStream, if the sink uses it.
    pub(super) store: Option<Store>,
    /// How many messages may be in flight.
    pub(super) window: Arc<Semaphore>,
    /// How the session ends, and what is refused.
    pub(super) ending: Arc<Ending>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ending.gone.cancel();
    }
}

/// How a session ends, and what the server says meanwhile.
pub(super) struct Ending {
    /// Set once the session is over: nobody may wait for anything of it.
    pub(super) gone: CancellationToken,
    /// Who waits for which subject.
    pub(super) denied: Denied,
    reason: OnceLock<SinkDown>,
    notices: mpsc::Sender<Notice>,
    last_words: Mutex<Option<String>>,
}

impl Ending {
    /// The ending of a session that begins, and the notices it will give.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Notice>) {
        let (notices, receiver) = mpsc::channel(NOTICES);
        let ending = Self {
            gone: CancellationToken::new(),
            denied: Denied::default(),
            reason: OnceLock::new(),
            notices,
            last_words: Mutex::new(None),
        };
        (Arc::new(ending), receiver)
    }

    /// Ends the session; the first reason counts.
    pub(super) fn end(&self, reason: SinkDown) {
        self.reason.get_or_init(|| reason);
        self.gone.cancel();
    }

    /// Why it ended.
    pub(super) fn reason(&self) -> SinkDown {
        let closed = || down("broker_unreachable", "the session with the NATS server was closed");
        self.reason.get().cloned().unwrap_or_else(closed)
    }

    /// Tells of a problem that does not end the session.
    pub(super) fn problem(&self, code: &'static str, detail: impl Into<String>) {
        let notice = Notice::Problem { code, detail: detail.into() };
        if let Err(error) = self.notices.try_send(notice) {
            tracing::debug!(%error, "a notice of the NATS sink was dropped");
        }
    }

    /// Takes an event of the client.
    pub(super) fn heard(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.end(self.broken()),
            Event::LameDuckMode => self.end(down(
                "broker_unreachable",
                "the NATS server is shutting down (lame duck mode); connecting again, to another if there is one",
            )),
            Event::ServerError(error) => self.complained(error),
            _ => {}
        }
    }

    /// Takes an error of the server: a refusal of one subject, or the reason why it will hang up.
    fn complained(&self, error: &ServerError) {
        let ServerError::Other(words) = error else {
            self.remember(&error.to_string());
            return;
        };
        match violation(words) {
            Some(Violation::Publish(subject)) => {
                if !self.denied.tell(subject, words) {
                    self.problem("value_refused", format!("{words}; allow the user to publish there"));
                }
            }
            // The client subscribes to nothing but its inbox, where the acknowledgements arrive.
            Some(Violation::Subscribe(subject)) => self.end(down(
                "broker_refused",
                format!(
                    "{words}; without it no acknowledgement arrives: allow the user to subscribe to {subject}"
                ),
            )),
            None => self.remember(words),
        }
    }

    fn remember(&self, words: &str) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(words.to_owned());
    }

    /// The reason for a broken link: what the server said last, if anything.
    fn broken(&self) -> SinkDown {
        match self.last_words.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(words) => down("broker_refused", format!("the NATS server closed the connection: {words}")),
            None => down(
                "broker_unreachable",
                "the connection to the NATS server broke: it was stopped or the network failed; connecting again",
            ),
        }
    }
}
