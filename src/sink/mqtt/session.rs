//! One session, from the CONNACK to the first error.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attendant::{Attendant, plain};
use super::inbox::Inbox;
use super::link::client::Client;
use super::link::dial::Stream;
use super::link::events::{PROTOCOL_BYTES, refused};
use super::link::{self, LinkReports};
use super::packet::{BrokerLimits, Subscription};
use super::receipt::{self, Unsettled};
use super::request_topics::RequestTopics;
use super::settings::MqttSettings;
use super::watch::InboundWatch;
use super::{LastToken, MAX_TOKENS, SharedWatch, lock, no_session};
use crate::config::sinks::MqttVersion;
use crate::findings::FindingCode;
use crate::render::Message;
use crate::sink::{Notice, Outcome, RefusalCode, Retained, Session, SinkDown};

/// Bytes of a packet reserved for topic and properties when the maximum payload is computed; more than the properties
/// ever need. A message near the limit is measured exactly.
const OVERHEAD: usize = 1024;
/// Time after which a read-back filter is unsubscribed.
const READ_BACK_TIME: Duration = Duration::from_secs(10);
/// Maximum time until `offline` is acknowledged.
const OFFLINE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time until the broker closes the stream after DISCONNECT.
const HANG_UP_TIMEOUT: Duration = Duration::from_millis(500);

/// KiB of payload that may be unacknowledged: a window full of pictures would need too much memory.
const WINDOW_KIB: u32 = 1 << 10;

/// KiB of a message's payload, at most the whole room; a larger message is sent alone.
fn kib(message: &Message) -> u32 {
    u32::try_from(message.payload.len() >> 10).map_or(WINDOW_KIB, |kib| kib.clamp(1, WINDOW_KIB))
}

/// Session; dropping it ends the connection without DISCONNECT, so that the broker publishes the will.
#[derive(Debug)]
pub(super) struct Live {
    client: Client,
    limits: BrokerLimits,
    /// One permit per message that may be unacknowledged.
    window: Arc<Semaphore>,
    /// One permit per KiB of payload that may be unacknowledged.
    room: Arc<Semaphore>,
    /// Channel to the task that settles messages in flight.
    in_flight: mpsc::Sender<Unsettled>,
    watch: SharedWatch,
    inbox: Inbox,
    ended: CancellationToken,
    /// Token of this session.
    token: String,
    retained: Retained,
    token_topic: String,
    last_token: LastToken,
    /// Set if the broker answered "no matching subscribers" in this session, so that a plain success means a
    /// subscriber exists.
    tells_silence: Arc<AtomicBool>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Live {
    /// Connects over the stream until the CONNACK, then subscribes in the background.
    pub(super) async fn open(
        settings: &MqttSettings,
        stream: Stream,
        expected: Vec<String>,
        last_token: LastToken,
        probe_refused: Arc<AtomicBool>,
    ) -> Result<Self, SinkDown> {
        let retained = if expected.is_empty() { Retained::Lost } else { Retained::Unknown };
        let probe = format!("probe-{}", Uuid::now_v7().simple());
        let echoes = settings.version == MqttVersion::V311;
        let watch = Arc::new(Mutex::new(InboundWatch::new(settings, expected, probe.clone(), echoes)));
        let (inbox, ended) = (Inbox::default(), CancellationToken::new());
        let (accepted, limits) = oneshot::channel();
        let reports = LinkReports {
            accepted: Some(accepted),
            watch: Arc::clone(&watch),
            inbox: inbox.clone(),
            ended: ended.clone(),
        };
        // Ends the task if the connect is cancelled.
        let guard = ended.clone().drop_guard();
        let client =
            link::start(settings, stream, reports).map_err(|trouble| trouble.explain(settings, false))?;
        let Ok(limits) = limits.await else { return Err(inbox.down().unwrap_or_else(no_session)) };
        // Capacity for every message that the window permits.
        let (in_flight, sent) = mpsc::channel(limits.window.max(1));
        tokio::spawn(receipt::settle(sent, ended.clone()));
        let live = Self {
            client,
            limits,
            window: Arc::new(Semaphore::new(limits.window)),
            room: Arc::new(Semaphore::new(WINDOW_KIB as usize)),
            in_flight,
            watch,
            inbox,
            ended: guard.disarm(),
            token: Uuid::now_v7().simple().to_string(),
            retained,
            token_topic: settings.token_topic.clone(),
            last_token,
            tells_silence: Arc::new(AtomicBool::new(false)),
        };
        live.attend(settings, probe, probe_refused);
        Ok(live)
    }

    /// Session data for the relay.
    pub(super) fn describe(&self, settings: &MqttSettings) -> Session {
        let version = match settings.version {
            MqttVersion::V5 => "5",
            MqttVersion::V311 => "3.1.1",
        };
        let limit = self
            .limits
            .packet_bytes
            .map_or("no size limit".to_owned(), |bytes| format!("packets up to {bytes} bytes"));
        let window = self.limits.window;
        Session {
            max_payload: Some(match self.limits.packet_bytes {
                Some(bytes) => bytes.saturating_sub(OVERHEAD).max(bytes / 2),
                None => PROTOCOL_BYTES - OVERHEAD,
            }),
            window,
            retained: self.retained,
            token: Some(self.token.clone()),
            description: format!(
                "MQTT {version} to {} as {}, {window} in flight, {limit}",
                settings.server, settings.client_id
            ),
        }
    }

    /// Sends a message. Its outcome goes to `sender`, which is dropped if the connection breaks first.
    pub(super) async fn send(
        &self,
        message: Message,
        heard: Option<bool>,
        sender: oneshot::Sender<Outcome>,
    ) -> Result<(), SinkDown> {
        if let Some(outcome) = self.unsendable(&message) {
            // The receiver may have been dropped.
            sender.send(outcome).ok();
            return Ok(());
        }
        let permits = [self.permit(&self.window, 1).await?, self.permit(&self.room, kib(&message)).await?];
        if message.retain && message.payload.is_empty() {
            lock(&self.watch).emptying(&message.topic);
        }
        let token = (message.topic == self.token_topic)
            .then(|| String::from_utf8_lossy(&message.payload).into_owned());
        if let Some(token) = &token {
            let mut tokens = lock(&self.last_token);
            tokens.push(token.clone());
            let beyond = tokens.len().saturating_sub(MAX_TOKENS);
            tokens.drain(..beyond);
        }
        let pending = self.client.publish(message).await.ok_or_else(|| self.down())?;
        let unsettled = Unsettled {
            pending,
            sender,
            heard,
            token: token.map(|token| (token, Arc::clone(&self.last_token))),
            tells_silence: Arc::clone(&self.tells_silence),
            permits,
        };
        receipt::hand_over(&self.in_flight, unsettled).await;
        Ok(())
    }

    /// Waits for the next notice; the last one is the end of the session. Cancel-safe.
    pub(super) async fn notice(&self) -> Notice {
        self.inbox.next().await
    }

    /// Subscribes to a filter for as long as its retained messages may take to arrive.
    pub(super) async fn read_back(&self, filter: &str) -> Result<(), SinkDown> {
        lock(&self.watch).await_filter(filter);
        let wanted = [Subscription { path: filter.to_owned(), no_local: true, stored: true }];
        let granted = tokio::select! {
            granted = self.client.subscribe(&wanted) => granted,
            () = self.ended.cancelled() => None,
        };
        if let Some(Err(words)) = granted.ok_or_else(|| self.down())?.into_iter().next() {
            let detail = format!("the broker refuses to let {filter} be read: {words}");
            self.inbox.push(Notice::Problem { code: FindingCode::RetainedUnreadable, detail });
            return Ok(());
        }
        let (client, filter, ended) = (self.client.clone(), filter.to_owned(), self.ended.clone());
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            sleep(READ_BACK_TIME).await;
            client.unsubscribe(&filter).await;
        }));
        Ok(())
    }

    /// Publishes `offline`, waits for its acknowledgement, sends DISCONNECT.
    pub(super) async fn close(self, state_topic: Option<&str>) {
        if self.ended.is_cancelled() {
            return;
        }
        if let Some(topic) = state_topic {
            self.say_offline(topic).await;
        }
        self.client.disconnect().await;
        // The broker closes the stream, or dropping it does.
        timeout(HANG_UP_TIMEOUT, self.ended.cancelled()).await.ok();
    }

    async fn say_offline(&self, state_topic: &str) {
        let goodbye = plain(state_topic, "offline", true);
        // No permit is needed: the client itself waits while the broker's window is full.
        let said =
            timeout(OFFLINE_TIMEOUT, async { self.client.publish(goodbye).await?.outcome().await }).await;
        if !matches!(said, Ok(Some(Outcome::Delivered { .. }))) {
            tracing::warn!(
                sink.name = "mqtt",
                "the broker did not acknowledge `offline` before the disconnect"
            );
        }
    }

    /// Outcome of a message that this broker can never accept.
    fn unsendable(&self, message: &Message) -> Option<Outcome> {
        if message.topic.len() > usize::from(u16::MAX) {
            return Some(refused(
                RefusalCode::TopicInvalid,
                "the topic is longer than MQTT allows (65,535 bytes)".into(),
            ));
        }
        let limit = self.limits.packet_bytes.unwrap_or(PROTOCOL_BYTES);
        if message.topic.len() + message.payload.len() + OVERHEAD <= limit {
            return None;
        }
        let bytes = self.client.packet_bytes(message);
        (limit < bytes).then(|| {
            let reason = format!(
                "the packet has {bytes} bytes, the broker takes {limit}: raise its limit (mosquitto: max_packet_size)"
            );
            refused(RefusalCode::TooLarge, reason)
        })
    }

    /// Acquires permits of the window or of the payload room.
    async fn permit(&self, of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, SinkDown> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(self.down()),
            permit = Arc::clone(of).acquire_many_owned(count) => permit.map_err(|_| self.down()),
        }
    }

    /// Reason for the end of the session.
    fn down(&self) -> SinkDown {
        self.inbox.down().unwrap_or_else(no_session)
    }

    /// Starts the background task that subscribes and checks the retained messages.
    fn attend(&self, settings: &MqttSettings, probe: String, probe_refused: Arc<AtomicBool>) {
        let attendant = Attendant {
            client: self.client.clone(),
            window: Arc::clone(&self.window),
            watch: Arc::clone(&self.watch),
            inbox: self.inbox.clone(),
            token_topic: settings.token_topic.clone(),
            probe,
            probe_refused,
        };
        let others: Vec<Subscription> = [
            settings.birth_topic.clone(),
            settings.discovery_topic.as_ref().map(|prefix| format!("{prefix}/device/+/config")),
        ]
        .into_iter()
        .flatten()
        .map(|path| Subscription { path, no_local: true, stored: false })
        .chain(settings.request_topics.iter().flat_map(RequestTopics::filters))
        .collect();
        tokio::spawn(self.ended.clone().run_until_cancelled_owned(attendant.run(others)));
    }
}
