//! Messages that were sent and have no receipt yet.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;
use uuid::Uuid;

use crate::metrics::Histogram;
use crate::outbox::ValueKey;
use crate::render::MessagePart;
use crate::sink::{Outcome, Receipt};

/// A message that was sent and has no receipt yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flight {
    /// A message of the log.
    Log { source_no: i64, no: i64, topic: String, part: MessagePart, picture: Option<Uuid> },
    /// A current value.
    Value { key: ValueKey, version: i64, topic: String, picture: Option<Uuid>, first: bool },
    /// The emptying of a retained topic.
    Gone { topic: String },
    /// One of the bridge's own topics: `state`, or `token` with the token.
    Bridge { topic: String, token: Option<String> },
    /// The announcement of a removed device, sent just before its topic is emptied. Nothing depends on its receipt.
    Removed { topic: String },
}

impl Default for Flight {
    fn default() -> Self {
        Self::Bridge { topic: String::new(), token: None }
    }
}

impl Flight {
    /// The topic it is for.
    pub(crate) fn topic(&self) -> &str {
        match self {
            Self::Log { topic, .. }
            | Self::Value { topic, .. }
            | Self::Gone { topic }
            | Self::Bridge { topic, .. }
            | Self::Removed { topic } => topic,
        }
    }
}

/// A message that waits for its receipt.
pub(crate) struct InFlight {
    /// The message.
    pub(crate) flight: Option<Flight>,
    /// Its number in the order sent.
    pub(crate) order: u64,
    /// Histogram of the delivery time and time of sending; `None` when it is not measured.
    pub(crate) timer: Option<(Histogram, Instant)>,
    /// Its receipt.
    pub(crate) receipt: Receipt,
}

impl Future for InFlight {
    /// The message, its number in the order sent, and the outcome (`None`: the session ended first).
    type Output = (Flight, u64, Option<Outcome>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.receipt).poll(cx)).ok();
        if let (Some((histogram, sent)), Some(Outcome::Delivered { .. })) = (self.timer.take(), &outcome) {
            histogram.observe(sent.elapsed().as_secs_f64());
        }
        Poll::Ready((self.flight.take().unwrap_or_default(), self.order, outcome))
    }
}
