//! One connection in either protocol version: a client that queues requests, and an event loop that one task polls
//! until the first error.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::SharedWatch;
use super::inbox::Inbox;
use super::settings::MqttSettings;
use super::trouble::Trouble;
use super::watch::Inbound;
use crate::config::sinks::MqttVersion;
use crate::render::Message;
use crate::sink::{Outcome, Refusal, RefusalCode};
use dial::Stream;

pub(super) mod dial;
mod v311;
pub(super) mod v5;

/// Maximum number of queued requests: the window and a few of the sink's own.
pub(super) const QUEUE: usize = 128;
/// Maximum number of queued requests written to the stream at once.
pub(super) const BATCH: usize = 32;
/// Largest inbound packet in bytes; discovery messages of other integrations can be large.
pub(super) const INBOUND_BYTES: u32 = 1 << 20;
/// Maximum time until a SUBACK.
const ANSWER: Duration = Duration::from_secs(10);
/// Largest packet of the protocol in bytes.
pub(super) const PROTOCOL_BYTES: usize = 268_435_455;

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

/// Result of one poll of the event loop.
#[derive(Debug)]
pub(super) enum Turn {
    /// CONNACK: the session is up.
    Accepted(BrokerLimits),
    /// Inbound message.
    Message(Inbound),
    /// Anything else; acknowledgements go to the tasks that wait for them.
    Other,
}

/// Event loop of a protocol version.
pub(super) trait Events: Send + 'static {
    /// Polls until something happened. An error ends the connection.
    fn turn(&mut self) -> impl Future<Output = Result<Turn, Trouble>> + Send;
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

/// Queues requests for the event loop of a protocol version; cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// MQTT 5.
    V5(v5::Client),
    /// MQTT 3.1.1.
    V311(v311::Client),
}

/// Publish that waits for its acknowledgement.
#[derive(Debug)]
pub(super) enum PendingPublish {
    /// MQTT 5.
    V5(rumqttc_v5::PublishNotice),
    /// MQTT 3.1.1.
    V311(rumqttc_v4::PublishNotice),
    /// Outcome that was known before sending.
    Settled(Outcome),
}

impl Client {
    /// Size of a message's packet in bytes.
    pub(super) fn packet_bytes(&self, message: &Message) -> usize {
        match self {
            Self::V5(client) => client.packet_bytes(message),
            Self::V311(_) => v311::packet_bytes(message),
        }
    }

    /// Queues a message; `None`: the connection ended.
    pub(super) async fn publish(&self, message: Message) -> Option<PendingPublish> {
        match self {
            Self::V5(client) => client.publish(message).await,
            Self::V311(client) => client.publish(message).await,
        }
    }

    /// Queues the answer to a request, with the correlation data of MQTT 5.
    pub(super) async fn answer(&self, topic: String, payload: Bytes, correlation: Option<Bytes>) {
        match self {
            Self::V5(client) => client.answer(topic, payload, correlation).await,
            Self::V311(client) => client.answer(topic, payload).await,
        }
    }

    /// Subscribes; the `Err` of a filter holds the broker's text. `None`: the connection ended.
    pub(super) async fn subscribe(&self, filters: &[Subscription]) -> Option<Vec<Result<(), String>>> {
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
    pub(super) async fn unsubscribe(&self, filter: &str) {
        match self {
            Self::V5(client) => client.unsubscribe(filter).await,
            Self::V311(client) => client.unsubscribe(filter).await,
        }
    }

    /// Sends DISCONNECT, so that the broker does not publish the will.
    pub(super) async fn disconnect(&self) {
        match self {
            Self::V5(client) => client.disconnect().await,
            Self::V311(client) => client.disconnect().await,
        }
    }
}

impl PendingPublish {
    /// Waits for the outcome; `None`: the connection broke before it was known.
    pub(super) async fn outcome(self) -> Option<Outcome> {
        match self {
            Self::V5(notice) => v5::outcome(notice.wait_async().await),
            Self::V311(notice) => v311::outcome(&notice.wait_async().await),
            Self::Settled(outcome) => Some(outcome),
        }
    }
}

/// Outcome of a message that can never be sent.
pub(super) fn refused(code: RefusalCode, reason: String) -> Outcome {
    Outcome::Refused(Refusal { code, reason })
}

/// Receivers of the event loop's reports.
#[derive(Debug)]
pub(super) struct LinkReports {
    /// Receives the limits when the broker accepted the connection.
    pub(super) accepted: Option<oneshot::Sender<BrokerLimits>>,
    /// Interprets inbound messages.
    pub(super) watch: SharedWatch,
    /// Receives notices and the reason for the end.
    pub(super) inbox: Inbox,
    /// Cancelled at the end of the connection; cancelling it ends the connection.
    pub(super) ended: CancellationToken,
}

/// Starts the client on an open stream, and the only task that polls its event loop.
pub(super) fn start(
    settings: &MqttSettings,
    stream: Stream,
    reports: LinkReports,
) -> Result<Client, Trouble> {
    match settings.version {
        MqttVersion::V5 => {
            let (client, events) = v5::open(settings, stream)?;
            let client = Client::V5(client);
            tokio::spawn(run(events, settings.clone(), reports, client.clone()));
            Ok(client)
        }
        MqttVersion::V311 => {
            let (client, events) = v311::open(settings, stream)?;
            let client = Client::V311(client);
            tokio::spawn(run(events, settings.clone(), reports, client.clone()));
            Ok(client)
        }
    }
}

/// Polls until the first error, then drops the event loop with everything in it: it must never reconnect and send its
/// content, which counts as unsent.
async fn run<E: Events>(mut events: E, settings: MqttSettings, mut reports: LinkReports, client: Client) {
    // Before the CONNACK the connecting task bounds the time.
    let mut patience = super::CONNECT_TIMEOUT * 2;
    let mut up = false;
    let mut packet_bytes = None;
    let ended = reports.ended.clone().cancelled_owned();
    tokio::pin!(ended);
    let trouble = loop {
        let turned = tokio::select! {
            () = &mut ended => return,
            turned = timeout(patience, events.turn()) => turned,
        };
        match turned {
            Ok(Ok(Turn::Accepted(limits))) => {
                up = true;
                packet_bytes = limits.packet_bytes;
                patience = patience_for(limits.keep_alive.unwrap_or(settings.keep_alive_seconds));
                if let Some(accepted) = reports.accepted.take() {
                    // If the receiver gave up, `ended` is cancelled next.
                    accepted.send(limits).ok();
                }
            }
            Ok(Ok(Turn::Message(inbound))) => {
                let request_topics = settings.request_topics.as_ref();
                let other = request_topics.map_or(Some(inbound.clone()), |request_topics| {
                    request_topics.take(inbound, &client, packet_bytes)
                });
                let Some(inbound) = other else { continue };
                let mut watch = super::lock(&reports.watch);
                let (mark, notice) = (watch.mark(&inbound), watch.interpret(inbound));
                drop(watch);
                mark.into_iter().for_each(|mark| reports.inbox.push(mark));
                notice.into_iter().for_each(|notice| reports.inbox.push(notice));
            }
            Ok(Ok(Turn::Other)) => {}
            Ok(Err(trouble)) => break trouble,
            Err(_) => break Trouble::Silent,
        }
    };
    reports.inbox.end(trouble.explain(&settings, up));
    reports.ended.cancel();
}

/// Maximum time without a result of the event loop. The client itself sends a ping after one keep-alive and gives up
/// after a second one, but not while a write blocks because the peer reads nothing; this bounds that case too.
fn patience_for(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => Duration::from_secs(u64::from(u32::MAX)),
        seconds => Duration::from_secs(u64::from(seconds) * 2 + 1),
    }
}
