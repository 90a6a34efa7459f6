//! NATS: JetStream by default, core NATS by setting (best effort).
//!
//! Topics become subjects with dots. The log lane is published to the stream `ALARMBUS` with a message id, the value
//! lane to `ALARMBUS_LAST` without; pictures over the server's `max_payload` are stored in the object store
//! `ALARMBUS_SNAPSHOTS`. The client's own reconnecting is never used: a broken connection ends the session, every
//! message in flight counts as unsent, and the relay connects again.
//!
//! **Presence.** The relay sends `online` (or `offline`) to the topic `<prefix>/<bridge>/state` as to any sink. This
//! sink converts it to JSON with a time, and publishes `online` again until `offline`, `close`, or the end of the
//! session.

mod denied;
mod dial;
mod failure;
mod fence;
mod link;
mod message;
mod pending;
mod presence;
mod publish;
mod request_subjects;
mod store;
mod streams;
mod subject;
mod tls;

pub(crate) use dial::{client, is_at_least};

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::failure::down;
use self::fence::Fence;
use self::link::NatsSession;
use self::link::ending::Ending;
use self::link::shared::SessionState;
use self::presence::Presence;
use self::request_subjects::RequestSubjects;
use self::store::JetStreamStore;
use super::request::RequestSender;
use super::{Notice, Receipt, RefusalCode, Retained, Session, Sink, SinkDown, Traits};
use crate::config;
use crate::findings::FindingCode;
use crate::render::Message;

/// Number of messages that may be unacknowledged.
const WINDOW: usize = 256;
/// Maximum duration of each step of closing a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The NATS sink.
pub struct NatsSink {
    config: config::Nats,
    /// Topic level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    bridge: String,
    /// Name of the connection in the server's lists.
    name: String,
    timing: Timing,
    link: Option<NatsSession>,
    /// Last known creation time of the value stream. A different time means that its values are lost.
    seen: Option<String>,
    /// Accepts requests of other clients.
    request_subjects: Option<RequestSubjects>,
    /// Partition of a cluster whose values are fenced.
    fence: Option<u64>,
    /// Set if values were lost in an earlier session and the relay was not notified yet.
    lost: bool,
}

/// Intervals that tests shorten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Interval between two publications of `bridge.state`.
    pub renew: Duration,
    /// Maximum time until an acknowledgement or a response of the JetStream API.
    pub acknowledge: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { renew: Duration::from_secs(30), acknowledge: Duration::from_secs(5) }
    }
}

impl NatsSink {
    /// Creates the sink; `instance` names this bridge where several share the servers.
    ///
    /// `last_token` is the last acknowledged token, `None` before the first session. For this sink it is the creation
    /// time of the value stream: if the stream has another one, the values are lost.
    #[must_use]
    pub fn new(config: config::Nats, instance: Option<&str>, last_token: Option<String>) -> Self {
        let with =
            |word: &str| instance.map_or_else(|| word.to_owned(), |instance| format!("{word}-{instance}"));
        Self {
            bridge: with("bridge"),
            name: with("alarmbus"),
            config,
            timing: Timing::default(),
            link: None,
            seen: last_token,
            request_subjects: None,
            fence: None,
            lost: false,
        }
    }

    /// Sets the receiver of requests of other clients.
    #[must_use]
    pub fn with_requests(mut self, requests: RequestSender) -> Self {
        self.request_subjects =
            Some(RequestSubjects::new(&self.config.subject_prefix, &self.bridge, requests));
        self
    }

    /// Fences the values of a partition of a cluster.
    #[must_use]
    pub fn with_fence(mut self, partition: Option<u64>) -> Self {
        self.fence = partition;
        self
    }

    /// Sets other intervals.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Opens a session; the caller bounds the time.
    async fn open(&mut self) -> Result<Session, SinkDown> {
        self.check_prefix()?;
        let (ending, notices) = Ending::new();
        let dialled = dial::dial(&self.config, &self.name, &ending).await?;
        let link = NatsSession {
            shared: Arc::new(SessionState {
                store: self.config.jetstream.then(|| self.store(&dialled.client)),
                client: dialled.client,
                window: Arc::new(Semaphore::new(WINDOW)),
                ending,
                fence: OnceLock::new(),
            }),
            notices,
            presence: None,
        };
        let ending = Arc::clone(&link.shared.ending);
        let retained = tokio::select! {
            biased;
            () = ending.gone.cancelled() => return Err(ending.reason()),
            retained = self.check_values(&link) => retained?,
        };
        self.raise_fence(&link).await?;
        if let Some(request_subjects) = &self.request_subjects {
            request_subjects.open(&link.shared).await?;
        }
        let session = self.describe(&link, &dialled.place, retained);
        self.lost = false;
        self.link = Some(link);
        Ok(session)
    }

    /// Checks the prefix: with an invalid one the server would refuse every message.
    fn check_prefix(&self) -> Result<(), SinkDown> {
        let prefix = &self.config.subject_prefix;
        match subject::subject(prefix, &format!("{prefix}/x")) {
            Ok(_) => Ok(()),
            Err(reason) => Err(down(
                FindingCode::BrokerRefused,
                format!(
                    "nats.subject_prefix {prefix:?} makes no subjects: {reason}; write tokens separated by dots"
                ),
            )),
        }
    }

    fn store(&self, client: &async_nats::Client) -> JetStreamStore {
        let wait = self.timing.acknowledge;
        JetStreamStore::new(client, &self.config.subject_prefix, &self.bridge, self.config.replicas, wait)
    }

    /// From here on the values of a displaced owner are refused.
    async fn raise_fence(&self, link: &NatsSession) -> Result<(), SinkDown> {
        let (Some(k), shared) = (self.fence, &link.shared) else { return Ok(()) };
        let (prefix, version) = (&self.config.subject_prefix, shared.client.server_info().version);
        let raised = tokio::select! {
            biased;
            () = shared.ending.gone.cancelled() => return Err(shared.ending.reason()),
            raised = Fence::raise(k, prefix, &version, shared.store.as_ref()) => raised?,
        };
        if let Some(fence) = raised {
            drop(shared.fence.set(fence));
        }
        Ok(())
    }

    /// State of the values since the last session.
    async fn check_values(&mut self, link: &NatsSession) -> Result<Retained, SinkDown> {
        let Some(store) = &link.shared.store else { return Ok(Retained::Kept) };
        let (made, retained) = store.open(&link.shared.ending, self.seen.as_deref()).await?;
        self.lost |= retained == Retained::Lost;
        self.seen = made.or_else(|| self.seen.take());
        Ok(if self.lost { Retained::Lost } else { retained })
    }

    fn describe(&self, link: &NatsSession, place: &str, retained: Retained) -> Session {
        let client = &link.shared.client;
        let max_payload = client.max_payload();
        let version = client.server_info().version;
        let mode = if self.config.jetstream { "JetStream" } else { "core (best effort, nothing is stored)" };
        Session {
            max_payload: Some(max_payload),
            window: WINDOW,
            retained,
            description: format!("NATS {version} at {place}, {mode}, messages up to {max_payload} bytes"),
            token: self.seen.clone(),
        }
    }

    /// Returns `online` or `offline` if this message is the bridge's state.
    fn state(&self, message: &Message) -> Option<&'static str> {
        let rest = message.topic.strip_prefix(&self.config.subject_prefix)?.strip_prefix('/')?;
        let level = rest.strip_suffix("/state")?;
        match &*message.payload {
            b"online" if level == self.bridge => Some("online"),
            b"offline" if level == self.bridge => Some("offline"),
            _ => None,
        }
    }

    /// Ends the session and stores what the next one must report.
    fn give_up(&mut self) {
        if let Some(link) = self.link.take()
            && let Some(store) = &link.shared.store
        {
            self.lost |= store.lost.load(Ordering::Relaxed);
        }
    }
}

impl Sink for NatsSink {
    fn traits(&self) -> Traits {
        Traits {
            name: "nats",
            values: true,
            discovery: false,
            one_per_source: true,
            acknowledges: self.config.jetstream,
        }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        self.give_up();
        match tokio::time::timeout(dial::CONNECT, self.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(down(
                FindingCode::BrokerUnreachable,
                format!(
                    "NATS does not answer within {} s; see the server's load and log",
                    dial::CONNECT.as_secs()
                ),
            )),
        }
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        let state = self.state(&message);
        let Some(link) = &mut self.link else {
            return Err(down(FindingCode::BrokerUnreachable, "there is no session with a NATS server"));
        };
        let prefix = &self.config.subject_prefix;
        let source = self.config.cloudevents.then(|| format!("{prefix}/{}", self.bridge));
        let outgoing = match message::outgoing(prefix, source.as_deref(), message) {
            Ok(outgoing) => outgoing,
            Err(reason) => return Ok(publish::settled(pending::refused(RefusalCode::TopicInvalid, reason))),
        };
        let Some(state) = state else { return publish::publish(&link.shared, outgoing).await };
        if let Some(presence) = link.presence.take() {
            presence.stop().await;
        }
        let subject = outgoing.subject;
        let receipt = publish::publish(&link.shared, presence::state(subject.clone(), state)).await?;
        if state == "online" {
            link.presence = Some(Presence::start(&link.shared, subject, self.timing.renew));
        }
        Ok(receipt)
    }

    async fn notice(&mut self) -> Notice {
        let Some(link) = &mut self.link else { return std::future::pending().await };
        let ending = Arc::clone(&link.shared.ending);
        let heard = tokio::select! {
            biased;
            Some(notice) = link.notices.recv() => Some(notice),
            () = ending.gone.cancelled() => None,
        };
        match heard {
            Some(notice) => notice,
            None => {
                self.give_up();
                Notice::Down(ending.reason())
            }
        }
    }

    async fn close(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        if let Some(presence) = link.presence.take() {
            let subject = presence.stop().await;
            if let Ok(receipt) = publish::publish(&link.shared, presence::state(subject, "offline")).await {
                tokio::time::timeout(CLOSE_TIMEOUT, receipt).await.ok();
            }
        }
        // Draining sends everything that was handed over; then the server closes the connection, which ends the
        // session.
        if link.shared.client.drain().await.is_ok() {
            tokio::time::timeout(CLOSE_TIMEOUT, link.shared.ending.gone.cancelled()).await.ok();
        }
    }
}
