//! Messages and subscriptions in the form that both protocol versions share.

use std::future::Future;

use bytes::Bytes;

/// Message from the broker.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    /// Topic.
    pub(super) topic: String,
    /// Payload.
    pub(super) payload: Bytes,
    /// Set for a retained message that was sent because of a subscription, not a live one.
    pub(super) retained: bool,
    /// Destination of an answer.
    pub(super) reply: ReplyAddress,
}

/// Destination of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReplyAddress {
    /// Response topic (MQTT 5).
    pub(super) topic: Option<String>,
    /// Correlation data (MQTT 5).
    pub(super) correlation: Option<Bytes>,
}

/// Sends answers to requests.
pub(super) trait Replier: Clone + Send + Sync + 'static {
    /// Queues the answer to a request, with the correlation data of MQTT 5.
    fn answer(
        &self,
        topic: String,
        payload: Bytes,
        correlation: Option<Bytes>,
    ) -> impl Future<Output = ()> + Send;
}

/// Topic filter to subscribe to, always at QoS 0: mosquitto queues at most 1,000 QoS 1 messages for a client and
/// silently drops the rest of a large retained store (measured with 2.0.11; at QoS 0 all 9,000 arrived).
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    /// Topic filter.
    pub(super) path: String,
    /// Set if the broker should not deliver the bridge's own messages (MQTT 5 only).
    pub(super) no_local: bool,
    /// Set if the broker should deliver retained messages; MQTT 3.1.1 always does.
    pub(super) stored: bool,
}

/// Limits that the broker set for this session.
#[derive(Debug, Clone, Copy)]
pub(super) struct BrokerLimits {
    /// Largest packet in bytes.
    pub(super) packet_bytes: Option<usize>,
    /// Maximum number of unacknowledged messages.
    pub(super) window: usize,
    /// Keep-alive in seconds, if the broker requires another than ours.
    pub(super) keep_alive: Option<u16>,
}
