//! A message on its way, and what it was.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;
use uuid::Uuid;

use crate::outbox::ValueKey;
use crate::sink::{Outcome, Receipt};

/// What is on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flight {
    /// A message of the log; `event`: of an alarm itself, which tells whether anybody listens.
    Log { source_no: i64, no: i64, topic: String, event: bool, picture: Option<Uuid> },
    /// A current value.
    Value { key: ValueKey, version: i64, topic: String, picture: Option<Uuid>, first: bool },
    /// The emptying of a retained topic.
    Gone { topic: String },
    /// `online`, or the token by which a lost retained store is noticed.
    Bridge { topic: String, token: Option<String> },
}

impl Flight {
    /// Could it be what the far side cuts the link for? (Small values pass in every session.)
    pub(crate) fn is_heavy(&self) -> bool {
        match self {
            Self::Log { .. } => true,
            Self::Value { key, .. } => super::values::is_heavy(key),
            Self::Gone { .. } | Self::Bridge { .. } => false,
        }
    }

    /// What it is, whichever attempt this is.
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Log { no, topic, .. } => Identity::Log(*no, topic.clone()),
            Self::Value { version, .. } => Identity::Value(*version),
            Self::Gone { .. } | Self::Bridge { .. } => Identity::Other,
        }
    }
}

/// A message over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Log(i64, String),
    Value(i64),
    Other,
}

/// A message that waits for its receipt.
pub(crate) struct InFlight {
    pub(crate) flight: Option<Flight>,
    pub(crate) sent: Instant,
    pub(crate) receipt: Receipt,
}

impl Future for InFlight {
    /// What it was, when it was sent, and what became of it (`None`: the session ended first).
    type Output = (Flight, Instant, Option<Outcome>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.receipt).poll(cx)).ok();
        Poll::Ready((self.flight.take().unwrap_or(Flight::Gone { topic: String::new() }), self.sent, outcome))
    }
}
