//! Sinks. A sink takes rendered messages and reports the outcome of each; the relay is responsible for order, retries
//! and positions.

mod cloudevents;
#[cfg(feature = "embedded-broker")]
pub mod embedded;
pub mod mqtt;
pub mod nats;
pub mod notify;
pub mod partition;
pub mod request;
pub mod stdout;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::findings::FindingCode;
use crate::render::Message;

/// Destination of messages.
///
/// Life cycle: `connect` until it succeeds; then `send` in order, whose receipts arrive in any order. Any `SinkDown`
/// (from `send`, or a dropped receipt) ends the session: every unacknowledged message counts as unsent, and the relay
/// connects again with backoff. `close` ends the sink for good.
pub trait Sink: Send + 'static {
    /// Capabilities of this sink; they never change.
    fn traits(&self) -> Traits;

    /// Opens a new session with nothing in flight and abandons the previous one.
    ///
    /// It must end within 10 s, and its error must name cause and remedy.
    fn connect(&mut self) -> impl Future<Output = Result<Session, SinkDown>> + Send;

    /// Sends one message; waits while the window is full. It must only be called in a session.
    fn send(&mut self, message: Message) -> impl Future<Output = Result<Receipt, SinkDown>> + Send;

    /// Waits for the next notice that the broker sent on its own; pending forever if there is none. Cancel-safe.
    fn notice(&mut self) -> impl Future<Output = Notice> + Send;

    /// Requests the retained messages under a topic filter; each arrives as a [`Notice::Found`]. A sink without
    /// retained topics does nothing.
    ///
    /// # Errors
    /// Fails when the session is over.
    fn read_back(&mut self, filter: &str) -> impl Future<Output = Result<(), SinkDown>> + Send {
        let _ = filter;
        std::future::ready(Ok(()))
    }

    /// Token with a mark appended that holds the position of the outbox. A later session reads it back as a
    /// [`Notice::Mark`]. A sink that cannot read it back omits the mark.
    fn marked(&self, token: &str, mark: &str) -> String {
        let _ = mark;
        token.to_owned()
    }

    /// Publishes `offline` and disconnects if a session is open; the caller bounds the time.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// Capabilities of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Name: its section of the configuration (`mqtt`, `nats`, `notify`, `stdout`), and its key in the outbox.
    pub name: &'static str,
    /// Set if it accepts the value lane (retained topics), not only the log lane.
    pub values: bool,
    /// Set if it accepts Home Assistant discovery.
    pub discovery: bool,
    /// Set if at most one log message per source may be unacknowledged, because the connection does not preserve
    /// order.
    pub one_per_source: bool,
    /// Set if receipts mean that the broker stored the message. `false`: best effort (core NATS; always `true` for
    /// MQTT).
    pub acknowledges: bool,
}

/// New session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Largest payload in bytes that the sink accepts; the sink subtracts topic and overhead itself.
    pub max_payload: Option<usize>,
    /// Number of messages that may be unacknowledged at once.
    pub window: usize,
    /// State of the retained messages since the last session.
    pub retained: Retained,
    /// Token that the relay publishes at the bridge's token topic once everything is published. The relay stores it as
    /// the last acknowledged token when its receipt arrives. `None`: the sink has no token.
    pub token: Option<String>,
    /// One line for log and page: protocol, address, limits.
    pub description: String,
}

/// State of the broker's retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// The messages exist: the last acknowledged token was read back, or the sink cannot lose values.
    Kept,
    /// The messages are lost: everything retained must be sent again.
    Lost,
    /// Unknown for lack of permission: a finding is raised, nothing is sent again.
    Unreadable,
    /// Unknown until a [`Notice::Retained`] follows. Small values and `online` are sent at once, pictures wait.
    Unknown,
}

/// Receiver of a message's outcome. The sender is dropped without one when the session ends.
pub type Receipt = oneshot::Receiver<Outcome>;

/// Outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker acknowledged the message.
    Delivered {
        /// Name of the object it was stored as, if it was not published at its topic.
        object: Option<String>,
        /// `Some(false)`: accepted without a subscriber (MQTT 5 reason code 0x10, or known from the embedded broker).
        heard: Option<bool>,
    },
    /// The broker refuses the message for good.
    Refused(Refusal),
    /// The broker rejects the message for now; it must be sent again later.
    Later(String),
    /// The receiver failed to take the message: it is out of order, or the message is the cause.
    Failed(Failure),
    /// The message is none that this sink sends. Nothing follows for the receiver.
    Skipped,
}

/// Failure of a receiver to take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Kind of the failure.
    pub kind: FailureKind,
    /// The receiver, its own words, and the remedy.
    pub reason: String,
    /// Pause that the receiver asks for.
    pub retry_after: Option<Duration>,
    /// Duration of the attempt.
    pub elapsed: Duration,
}

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The receiver answered that it failed.
    Answer,
    /// No complete answer arrived.
    NoAnswer,
    /// Login or address is refused.
    Access,
    /// The receiver takes fewer messages.
    Busy,
}

/// Reason for a permanent refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Kind of the refusal.
    pub code: RefusalCode,
    /// The broker's own words and the remedy.
    pub reason: String,
}

/// Kind of a permanent refusal; its text is stored with parked messages and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// The user may not publish there.
    Permission,
    /// The message is larger than the broker takes.
    TooLarge,
    /// The broker's protocol does not allow the topic.
    TopicInvalid,
    /// The broker does not accept the payload.
    PayloadInvalid,
    /// The broker cuts the link over the message, and says nothing.
    CutsLink,
    /// The receiver answers that it failed, for this message only.
    Failed,
    /// The receiver does not answer, for this message only.
    NoAnswer,
}

impl RefusalCode {
    /// The code as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::TooLarge => "too_large",
            Self::TopicInvalid => "topic_invalid",
            Self::PayloadInvalid => "payload_invalid",
            Self::CutsLink => "cuts_link",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// End of a session, or a failed connect; every unacknowledged message counts as unsent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SinkDown {
    /// Code of the finding: `broker_unreachable`, `broker_refused`, `broker_taken_over`, `broker_tls` …
    pub code: FindingCode,
    /// Cause and remedy, without secrets.
    pub reason: String,
}

/// A message or event from the broker that is not a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The session ended.
    Down(SinkDown),
    /// State of the retained messages, after a session that began with [`Retained::Unknown`].
    Retained(Retained),
    /// The mark that was published with the token the broker holds, if this bridge published it.
    Mark(String),
    /// Home Assistant started: discovery and values are published again, events never are.
    Birth,
    /// Another client emptied the retained message at this topic (Home Assistant deletes a device).
    Emptied(String),
    /// Retained message that was requested by `read_back` (`state/+` with a new database).
    Found {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Bytes,
    },
    /// Problem that does not end the session, such as a refused subscription; it becomes a finding.
    Problem {
        /// Code of the finding.
        code: FindingCode,
        /// Detail of the finding.
        detail: String,
    },
}
