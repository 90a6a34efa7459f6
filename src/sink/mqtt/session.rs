//! One session: from the CONNACK to the first error.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attendant::{Attendant, plain};
use super::dial::Stream;
use super::inbox::Inbox;
use super::link::{self, Client, Filter, Limits, PROTOCOL_BYTES, Reports, refused};
use super::receipt::{self, Unsettled};
use super::settings::MqttSettings;
use super::watch::Watch;
use super::{LastToken, SharedWatch, TOKENS, lock, no_session};
use crate::config::sinks::MqttVersion;
use crate::render::Message;
use crate::sink::{Notice, Outcome, Retained, Session, SinkDown};

/// Left of a packet for topic and properties when a payload's bound is told, and more than properties ever take; what
/// is sent is measured exactly where it might not fit.
const OVERHEAD: usize = 1024;
/// How long retained messages that were asked for may take until their filter is unsubscribed.
const READ_BACK: Duration = Duration::from_secs(10);
/// How long `offline` may wait for its acknowledgement.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the broker may take to close the stream after DISCONNECT.
const HANG_UP: Duration = Duration::from_millis(500);

/// KiB of payload that may be unacknowledged: a window full of pictures would take too much memory.
const ROOM: u32 = 1 << 10;

/// KiB of a message's payload; one larger than all the room goes alone.
fn kib(message: &Message) -> u32 {
    u32::try_from(message.payload.len() >> 10).map_or(ROOM, |kib| kib.clamp(1, ROOM))
}

/// A session; dropping it ends the link without a goodbye, so that the broker publishes the will.
#[derive(Debug)]
pub(super) struct Live {
    client: Client,
    limits: Limits,
    /// As many permits as messages may be unacknowledged.
    window: Arc<Semaphore>,
    /// As many permits as KiB of payload may be unacknowledged.
    room: Arc<Semaphore>,
    /// Where messages in flight are settled.
    in_flight: mpsc::Sender<Unsettled>,
    watch: SharedWatch,
    inbox: Inbox,
    ended: CancellationToken,
    /// The token of this session.
    token: String,
    retained: Retained,
    token_topic: String,
    last_token: LastToken,
    /// The broker said "no matching subscribers" once, so a plain success means that somebody listens.
    tells_silence: Arc<AtomicBool>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Live {
    /// Speaks MQTT over the stream until the CONNACK, then subscribes in the background.
    pub(super) async fn open(
        settings: &MqttSettings,
        stream: Stream,
        expected: Vec<String>,
        last_token: LastToken,
    ) -> Result<Self, SinkDown> {
        let retained = if expected.is_empty() { Retained::Lost } else { Retained::Unknown };
        let probe = format!("probe-{}", Uuid::now_v7().simple());
        let echoes = settings.version == MqttVersion::V311;
        let watch = Arc::new(Mutex::new(Watch::new(settings, expected, probe.clone(), echoes)));
        let (inbox, ended) = (Inbox::default(), CancellationToken::new());
        let (accepted, limits) = oneshot::channel();
        let reports = Reports {
            accepted: Some(accepted),
            watch: Arc::clone(&watch),
            inbox: inbox.clone(),
            ended: ended.clone(),
        };
        // A connect that is given up half-way must not leave the task behind.
        let guard = ended.clone().drop_guard();
        let client =
            link::start(settings, stream, reports).map_err(|trouble| trouble.explain(settings, false))?;
        let Ok(limits) = limits.await else { return Err(inbox.down().unwrap_or_else(no_session)) };
        // There is room for all that the window lets pass.
        let (in_flight, sent) = mpsc::channel(limits.window.max(1));
        tokio::spawn(receipt::settle(sent, ended.clone()));
        let live = Self {
            client,
            limits,
            window: Arc::new(Semaphore::new(limits.window)),
            room: Arc::new(Semaphore::new(ROOM as usize)),
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
        live.attend(settings, probe);
        Ok(live)
    }

    /// What the relay is told.
    pub(super) fn describe(&self, settings: &MqttSettings) -> Session {
        let version = match settings.version {
            MqttVersion::V5 => "5",
            MqttVersion::V311 => "3.1.1",
        };
        let limit = self
            .limits
            .packet_bytes
            .map_or("no size limit told".to_owned(), |bytes| format!("packets up to {bytes} bytes"));
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

    /// Hands a message over; its outcome goes to `tell`, which is dropped when the link breaks first.
    pub(super) async fn send(
        &self,
        message: Message,
        heard: Option<bool>,
        tell: oneshot::Sender<Outcome>,
    ) -> Result<(), SinkDown> {
        if let Some(outcome) = self.unsendable(&message) {
            // Who does not wait for the receipt does not want to know.
            tell.send(outcome).ok();
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
            let beyond = tokens.len().saturating_sub(TOKENS);
            tokens.drain(..beyond);
        }
        let pending = self.client.publish(message).await.ok_or_else(|| self.down())?;
        let unsettled = Unsettled {
            pending,
            tell,
            heard,
            token: token.map(|token| (token, Arc::clone(&self.last_token))),
            tells_silence: Arc::clone(&self.tells_silence),
            permits,
        };
        self.in_flight.send(unsettled).await.map_err(|_| self.down())
    }

    /// The next thing the broker says by itself, at last that the session is over. Cancel-safe.
    pub(super) async fn notice(&self) -> Notice {
        self.inbox.next().await
    }

    /// Subscribes to a filter until its retained messages had time to come.
    pub(super) async fn read_back(&self, filter: &str) -> Result<(), SinkDown> {
        lock(&self.watch).await_filter(filter);
        let wanted = [Filter { path: filter.to_owned(), no_local: true, stored: true }];
        let granted = tokio::select! {
            granted = self.client.subscribe(&wanted) => granted,
            () = self.ended.cancelled() => None,
        };
        if let Some(Err(words)) = granted.ok_or_else(|| self.down())?.into_iter().next() {
            let detail = format!("the broker refuses to let {filter} be read: {words}");
            self.inbox.push(Notice::Problem { code: "retained_unreadable", detail });
            return Ok(());
        }
        let (client, filter, ended) = (self.client.clone(), filter.to_owned(), self.ended.clone());
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            sleep(READ_BACK).await;
            client.unsubscribe(&filter).await;
        }));
        Ok(())
    }

    /// `offline` at the topic for it, its acknowledgement, DISCONNECT.
    pub(super) async fn close(self, state_topic: Option<&str>) {
        if self.ended.is_cancelled() {
            return;
        }
        if let Some(topic) = state_topic {
            self.say_offline(topic).await;
        }
        self.client.disconnect().await;
        // The broker closes the stream, or we do by dropping it.
        timeout(HANG_UP, self.ended.cancelled()).await.ok();
    }

    async fn say_offline(&self, state_topic: &str) {
        let goodbye = plain(state_topic, "offline", true);
        // Waits for no permit: the client holds it back itself while the broker's window is full.
        let said = timeout(GOODBYE, async { self.client.publish(goodbye).await?.outcome().await }).await;
        if !matches!(said, Ok(Some(Outcome::Delivered { .. }))) {
            tracing::warn!(
                sink.name = "mqtt",
                "the broker did not acknowledge `offline` before the disconnect"
            );
        }
    }

    /// The outcome of a message that this broker can never take.
    fn unsendable(&self, message: &Message) -> Option<Outcome> {
        if message.topic.len() > usize::from(u16::MAX) {
            return Some(refused(
                "topic_invalid",
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
            refused("too_large", reason)
        })
    }

    /// A place in the window, or room for a payload.
    async fn permit(&self, of: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, SinkDown> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(self.down()),
            permit = Arc::clone(of).acquire_many_owned(count) => permit.map_err(|_| self.down()),
        }
    }

    /// Why the session is over.
    fn down(&self) -> SinkDown {
        self.inbox.down().unwrap_or_else(no_session)
    }

    /// Subscribes, and finds the verdict on the retained store, in the background.
    fn attend(&self, settings: &MqttSettings, probe: String) {
        let attendant = Attendant {
            client: self.client.clone(),
            window: Arc::clone(&self.window),
            watch: Arc::clone(&self.watch),
            inbox: self.inbox.clone(),
            token_topic: settings.token_topic.clone(),
            probe,
        };
        let others: Vec<Filter> = [
            settings.birth_topic.clone(),
            settings.discovery_topic.as_ref().map(|prefix| format!("{prefix}/device/+/config")),
        ]
        .into_iter()
        .flatten()
        .map(|path| Filter { path, no_local: true, stored: false })
        .collect();
        tokio::spawn(self.ended.clone().run_until_cancelled_owned(attendant.run(others)));
    }
}
