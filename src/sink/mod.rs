//! Destinations. A sink takes rendered messages and says what became of each; order, retries and positions are
//! the relay's.

#[cfg(feature = "embedded-broker")]
pub mod embedded;
pub mod mqtt;
pub mod nats;
pub mod stdout;

use std::future::Future;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::render::Message;

/// A destination.
///
/// Life: `connect` until it succeeds; then `send`s, in order, whose receipts come in any order; any `SinkDown`
/// (from `send`, or a receipt that is dropped) ends the session: everything unacknowledged counts as unsent, and
/// the relay connects again with backoff. `close` ends it for good.
pub trait Sink: Send + 'static {
    /// What this sink can take; fixed over its life.
    fn traits(&self) -> Traits;

    /// Makes a fresh session, with nothing in flight. The old one, if any, is given up first.
    ///
    /// Must be bounded in time (10 s) and name the cause and the remedy in its error.
    fn connect(&mut self) -> impl Future<Output = Result<Session, SinkDown>> + Send;

    /// Hands one message over; waits while the window is full. Must only be called in a session.
    fn send(&mut self, message: Message) -> impl Future<Output = Result<Receipt, SinkDown>> + Send;

    /// The next thing the other side says by itself; pending for ever if it never does. Cancel-safe.
    fn notice(&mut self) -> impl Future<Output = Notice> + Send;

    /// Asks for the retained messages under a topic filter; each comes as a [`Notice::Found`], none if there is
    /// none. A sink without retained topics has nothing to read.
    ///
    /// # Errors
    /// When the session is over.
    fn read_back(&mut self, filter: &str) -> impl Future<Output = Result<(), SinkDown>> + Send {
        let _ = filter;
        std::future::ready(Ok(()))
    }

    /// Says goodbye (`offline`, disconnect) if a session is open; bounded by the caller.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a sink can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The section of the configuration it comes from: `mqtt`, `nats`, `stdout`. Its identity in the outbox.
    pub name: &'static str,
    /// Takes the value lane (retained topics), not only the log lane.
    pub values: bool,
    /// Takes Home Assistant discovery.
    pub discovery: bool,
    /// At most one unacknowledged log message per source (order is not the connection's).
    pub one_per_source: bool,
    /// Receipts mean that the far side has it. `false`: best effort (core NATS, MQTT has it always `true`).
    pub acknowledges: bool,
}

/// A fresh session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The largest message (topic and payload and overhead are the sink's business) it takes, in payload bytes.
    pub max_payload: Option<usize>,
    /// How many messages may be unacknowledged at once.
    pub window: usize,
    /// What became of the retained store since the last session.
    pub retained: Retained,
    /// What the relay publishes at the bridge's token topic once everything is up, and keeps as the last
    /// acknowledged token when its receipt says so; `None`: the sink knows no token.
    pub token: Option<String>,
    /// One line for log and page: protocol, address, limits.
    pub description: String,
}

/// Whether the far side still has what was retained there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// The last acknowledged token was read back, or the sink cannot lose values.
    Kept,
    /// It was not: everything retained must be sent again.
    Lost,
    /// It could not be read (not permitted): a finding, nothing is sent again.
    Unreadable,
    /// Not known yet: a [`Notice::Retained`] follows. Small values and `online` do not wait for it, pictures do.
    Unknown,
}

/// The promise of an outcome. Dropped without one when the session ends.
pub type Receipt = oneshot::Receiver<Outcome>;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The far side has it.
    Delivered {
        /// The object-store or other name it was stored under, if not under its topic.
        object: Option<String>,
        /// `Some(false)`: accepted, but nobody subscribes (MQTT 5 reason 0x10; embedded broker's knowledge).
        heard: Option<bool>,
    },
    /// The far side will not have it.
    Refused(Refusal),
    /// Not now: send it again after a while.
    Later(String),
}

/// Why a message was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `permission`, `too_large`, `topic_invalid`, `payload_invalid`: a stable word.
    pub code: &'static str,
    /// The far side's own words and the remedy.
    pub reason: String,
}

/// The session is over (or could not be made); everything unacknowledged counts as unsent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SinkDown {
    /// The finding's code: `broker_unreachable`, `broker_refused`, `broker_taken_over`, `broker_tls` …
    pub code: &'static str,
    /// Cause and remedy for people, without secrets.
    pub reason: String,
}

/// Something the far side says by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The session broke.
    Down(SinkDown),
    /// The verdict on the retained store, after a session that began with [`Retained::Unknown`].
    Retained(Retained),
    /// Home Assistant is up: discovery and values again, never events.
    Birth,
    /// The retained message at this topic was emptied by somebody else (Home Assistant deletes a device).
    Emptied(String),
    /// A retained payload that the sink had asked to read back (`state/+` with a new database).
    Found {
        /// Where.
        topic: String,
        /// What.
        payload: Bytes,
    },
    /// A problem that does not end the session (a permission error on a subscription …): becomes a finding.
    Problem {
        /// The finding's code.
        code: &'static str,
        /// What was seen.
        detail: String,
    },
}
