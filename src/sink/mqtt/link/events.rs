//! Parts that the event loops of both protocol versions share.

use std::future::Future;

use crate::sink::mqtt::packet::{BrokerLimits, Inbound};
use crate::sink::mqtt::trouble::Trouble;
use crate::sink::{Outcome, Refusal, RefusalCode};

/// Maximum number of queued requests: the window and a few of the sink's own.
pub(in crate::sink::mqtt) const QUEUE: usize = 128;
/// Maximum number of queued requests written to the stream at once.
pub(in crate::sink::mqtt) const BATCH: usize = 32;
/// Largest inbound packet in bytes; discovery messages of other integrations can be large.
pub(in crate::sink::mqtt) const INBOUND_BYTES: u32 = 1 << 20;
/// Largest packet of the protocol in bytes.
pub(in crate::sink::mqtt) const PROTOCOL_BYTES: usize = 268_435_455;

/// Result of one poll of the event loop.
#[derive(Debug)]
pub(in crate::sink::mqtt) enum Turn {
    /// CONNACK: the session is up.
    Accepted(BrokerLimits),
    /// Inbound message.
    Message(Inbound),
    /// Anything else; acknowledgements go to the tasks that wait for them.
    Other,
}

/// Event loop of a protocol version.
pub(in crate::sink::mqtt) trait Events: Send + 'static {
    /// Polls until something happened. An error ends the connection.
    fn turn(&mut self) -> impl Future<Output = Result<Turn, Trouble>> + Send;
}

/// Publish that waits for its acknowledgement.
#[derive(Debug)]
pub(in crate::sink::mqtt) enum PendingPublish {
    /// MQTT 5.
    V5(rumqttc_v5::PublishNotice),
    /// MQTT 3.1.1.
    V311(rumqttc_v4::PublishNotice),
    /// Outcome that was known before sending.
    Settled(Outcome),
}

/// Outcome of a message that can never be sent.
pub(in crate::sink::mqtt) fn refused(code: RefusalCode, reason: String) -> Outcome {
    Outcome::Refused(Refusal { code, reason })
}
