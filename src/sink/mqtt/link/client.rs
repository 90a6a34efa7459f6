//! The client of either protocol version.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::events::PendingPublish;
use super::{v5, v311};
use crate::render::Message;
use crate::sink::Outcome;
use crate::sink::mqtt::packet::{Replier, Subscription};

/// Maximum time until a SUBACK.
const ANSWER: Duration = Duration::from_secs(10);

/// Queues requests for the event loop of a protocol version; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::sink::mqtt) enum Client {
    /// MQTT 5.
    V5(v5::Client),
    /// MQTT 3.1.1.
    V311(v311::Client),
}

impl Client {
    /// Size of a message's packet in bytes.
    pub(in crate::sink::mqtt) fn packet_bytes(&self, message: &Message) -> usize {
        match self {
            Self::V5(client) => client.packet_bytes(message),
            Self::V311(_) => v311::packet_bytes(message),
        }
    }

    /// Queues a message; `None`: the connection ended.
    pub(in crate::sink::mqtt) async fn publish(&self, message: Message) -> Option<PendingPublish> {
        match self {
            Self::V5(client) => client.publish(message).await,
            Self::V311(client) => client.publish(message).await,
        }
    }

    /// Subscribes; the `Err` of a filter holds the broker's text. `None`: the connection ended.
    pub(in crate::sink::mqtt) async fn subscribe(
        &self,
        filters: &[Subscription],
    ) -> Option<Vec<Result<(), String>>> {
        let answer = async {
            match self {
                Self::V5(client) => client.subscribe(filters).await,
                Self::V311(client) => client.subscribe(filters).await,
            }
        };
        let silent =
            || Some(filters.iter().map(|_| Err("it does not answer the subscription".into())).collect());
        timeout(ANSWER, answer).await.unwrap_or_else(|_| silent())
    }

    /// Unsubscribes; the result is ignored.
    pub(in crate::sink::mqtt) async fn unsubscribe(&self, filter: &str) {
        match self {
            Self::V5(client) => client.unsubscribe(filter).await,
            Self::V311(client) => client.unsubscribe(filter).await,
        }
    }

    /// Sends DISCONNECT, so that the broker does not publish the will.
    pub(in crate::sink::mqtt) async fn disconnect(&self) {
        match self {
            Self::V5(client) => client.disconnect().await,
            Self::V311(client) => client.disconnect().await,
        }
    }
}

impl Replier for Client {
    async fn answer(&self, topic: String, payload: Bytes, correlation: Option<Bytes>) {
        match self {
            Self::V5(client) => client.answer(topic, payload, correlation).await,
            Self::V311(client) => client.answer(topic, payload).await,
        }
    }
}

impl PendingPublish {
    /// Waits for the outcome; `None`: the connection broke before it was known.
    pub(in crate::sink::mqtt) async fn outcome(self) -> Option<Outcome> {
        match self {
            Self::V5(notice) => v5::outcome(notice.wait_async().await),
            Self::V311(notice) => v311::outcome(&notice.wait_async().await),
            Self::Settled(outcome) => Some(outcome),
        }
    }
}
