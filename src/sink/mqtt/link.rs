//! One connection, whichever protocol version speaks on it: a client to hand requests to, and an event loop that one
//! task polls until the first error.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::dial::Stream;
use super::inbox::Inbox;
use super::settings::MqttSettings;
use super::trouble::Trouble;
use super::watch::Inbound;
use super::{SharedWatch, v5, v311};
use crate::config::sinks::MqttVersion;
use crate::render::Message;
use crate::sink::{Outcome, Refusal};

/// Requests that wait for the event loop: the window and a few of our own.
pub(super) const QUEUE: usize = 128;
/// Requests written to the stream in one go, if so many wait.
pub(super) const BATCH: usize = 32;
/// The largest inbound packet: other integrations' discovery can be big.
pub(super) const INBOUND_BYTES: u32 = 1 << 20;
/// How long a SUBACK may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The largest packet the protocol knows.
pub(super) const PROTOCOL_BYTES: usize = 268_435_455;

/// What the broker allows in this session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The largest packet it takes.
    pub(super) packet_bytes: Option<usize>,
    /// Unacknowledged messages at once.
    pub(super) window: usize,
    /// Keep-alive in seconds, if it wants another than ours.
    pub(super) keep_alive: Option<u16>,
}

/// What one turn of the event loop brought.
#[derive(Debug)]
pub(super) enum Turn {
    /// CONNACK: the session is up.
    Accepted(Limits),
    /// A message.
    Message(Inbound),
    /// Anything else; acknowledgements go to who waits for them.
    Other,
}

/// The event loop of a protocol version.
pub(super) trait Events: Send + 'static {
    /// Goes on until something happened. An error is the end.
    fn turn(&mut self) -> impl Future<Output = Result<Turn, Trouble>> + Send;
}

/// A topic to subscribe to. At QoS 0 always: mosquitto queues at most 1,000 QoS 1 messages for a client and drops the
/// rest of a big retained store without a word (measured with 2.0.11; at QoS 0 all 9,000 came).
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// The filter.
    pub(super) path: String,
    /// Do not send our own messages back (MQTT 5 only).
    pub(super) no_local: bool,
    /// Send what is retained there; MQTT 3.1.1 always does.
    pub(super) stored: bool,
}

/// Hands requests to the event loop of a protocol version; a cheap handle.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// MQTT 5.
    V5(v5::Client),
    /// MQTT 3.1.1.
    V311(v311::Client),
}

/// A publish whose acknowledgement is awaited.
#[derive(Debug)]
pub(super) enum Pending {
    /// MQTT 5.
    V5(rumqttc_v5::PublishNotice),
    /// MQTT 3.1.1.
    V311(rumqttc_v4::PublishNotice),
    /// Refused before it was sent.
    Settled(Outcome),
}

impl Client {
    /// The size of the packet a message makes.
    pub(super) fn packet_bytes(&self, message: &Message) -> usize {
        match self {
            Self::V5(client) => client.packet_bytes(message),
            Self::V311(_) => v311::packet_bytes(message),
        }
    }

    /// Queues a message; `None`: the link is gone.
    pub(super) async fn publish(&self, message: Message) -> Option<Pending> {
        match self {
            Self::V5(client) => client.publish(message).await,
            Self::V311(client) => client.publish(message).await,
        }
    }

    /// Subscribes; `Err` of each filter holds the broker's words. `None`: the link is gone.
    pub(super) async fn subscribe(&self, filters: &[Filter]) -> Option<Vec<Result<(), String>>> {
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

    /// Unsubscribes; what comes of it changes nothing.
    pub(super) async fn unsubscribe(&self, filter: &str) {
        match self {
            Self::V5(client) => client.unsubscribe(filter).await,
            Self::V311(client) => client.unsubscribe(filter).await,
        }
    }

    /// Says DISCONNECT, so that the will is not sent.
    pub(super) async fn disconnect(&self) {
        match self {
            Self::V5(client) => client.disconnect().await,
            Self::V311(client) => client.disconnect().await,
        }
    }
}

impl Pending {
    /// What became of it; `None`: the link broke before the broker said so.
    pub(super) async fn outcome(self) -> Option<Outcome> {
        match self {
            Self::V5(notice) => v5::outcome(notice.wait_async().await),
            Self::V311(notice) => v311::outcome(&notice.wait_async().await),
            Self::Settled(outcome) => Some(outcome),
        }
    }
}

/// The outcome of a message that can never be sent.
pub(super) fn refused(code: &'static str, reason: String) -> Outcome {
    Outcome::Refused(Refusal { code, reason })
}

/// What the event loop's task reports to.
#[derive(Debug)]
pub(super) struct Reports {
    /// Gets the limits when the broker accepted us.
    pub(super) accepted: Option<oneshot::Sender<Limits>>,
    /// Knows what messages mean.
    pub(super) watch: SharedWatch,
    /// Gets the notices and the end.
    pub(super) inbox: Inbox,
    /// Cancelled when the link is over; cancelling it ends the link.
    pub(super) ended: CancellationToken,
}

/// Starts the client over a finished stream, and the task that alone polls its event loop.
pub(super) fn start(settings: &MqttSettings, stream: Stream, reports: Reports) -> Result<Client, Trouble> {
    match settings.version {
        MqttVersion::V5 => {
            let (client, events) = v5::open(settings, stream)?;
            tokio::spawn(run(events, settings.clone(), reports));
            Ok(Client::V5(client))
        }
        MqttVersion::V311 => {
            let (client, events) = v311::open(settings, stream)?;
            tokio::spawn(run(events, settings.clone(), reports));
            Ok(Client::V311(client))
        }
    }
}

/// Polls until the first error, then drops the event loop with all it held: it must never connect again and send what
/// it held, since that counts as unsent.
async fn run<E: Events>(mut events: E, settings: MqttSettings, mut reports: Reports) {
    // Until the CONNACK it is who connects that loses patience.
    let mut patience = super::CONNECT * 2;
    let mut up = false;
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
                patience = patience_for(limits.keep_alive.unwrap_or(settings.keep_alive_seconds));
                if let Some(accepted) = reports.accepted.take() {
                    // Who asked may have given up; then `ended` is cancelled next.
                    accepted.send(limits).ok();
                }
            }
            Ok(Ok(Turn::Message(inbound))) => {
                let notice = super::lock(&reports.watch).hear(inbound);
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

/// How long the event loop may bring nothing. The client pings after one keep-alive and gives up after a second, but
/// not while a write hangs because the peer reads nothing; this bounds that too.
fn patience_for(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => Duration::from_secs(u64::from(u32::MAX)),
        seconds => Duration::from_secs(u64::from(seconds) * 2 + 1),
    }
}
