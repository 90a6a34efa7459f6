//! A message on its way, and what it was.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use uuid::Uuid;

use crate::outbox::ValueKey;
use crate::render::Part;
use crate::sink::{Outcome, Receipt};

/// What is on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flight {
    /// A message of the log.
    Log { source_no: i64, no: i64, topic: String, part: Part, picture: Option<Uuid> },
    /// A current value.
    Value { key: ValueKey, version: i64, topic: String, picture: Option<Uuid>, first: bool },
    /// The emptying of a retained topic.
    Gone { topic: String },
    /// One of the bridge's own topics, `state` or `token`; which token it is.
    Bridge { topic: String, token: Option<String> },
    /// The announcement of a removed device, just before it is emptied: nothing depends on it.
    Removed,
}

impl Default for Flight {
    fn default() -> Self {
        Self::Bridge { topic: String::new(), token: None }
    }
}

impl Flight {
    /// What it is, whichever attempt this is.
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Log { no, topic, .. } => Identity::Log(*no, topic.clone()),
            Self::Value { version, .. } => Identity::Value(*version),
            Self::Gone { .. } | Self::Bridge { .. } | Self::Removed => Identity::Other,
        }
    }
}

/// A message over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    Log(i64, String),
    Value(i64),
    Other,
}

/// A message that waits for its receipt.
pub(crate) struct InFlight {
    pub(crate) flight: Option<Flight>,
    /// Grows with every message sent.
    pub(crate) order: u64,
    pub(crate) receipt: Receipt,
}

impl Future for InFlight {
    /// What it was, which one in order, and what became of it (`None`: the session ended first).
    type Output = (Flight, u64, Option<Outcome>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.receipt).poll(cx)).ok();
        Poll::Ready((self.flight.take().unwrap_or_default(), self.order, outcome))
    }
}
