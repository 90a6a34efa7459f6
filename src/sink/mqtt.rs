//! The MQTT sink: 5 by default, 3.1.1 by setting; TCP, TLS or WebSocket.
//!
//! A receipt says `Delivered` only after the broker's PUBACK; without a PUBACK the receipt is dropped. Each session is
//! a new client on a new stream with a clean start. The first error discards all of it, including queued requests, so
//! that only the outbox decides what is sent again.
//!
//! ```text
//!  Mqtt (Sink) ── session: Live ── link: Client ──────── v5 | v311 (rumqttc)
//!                      │ inbox ◄── watch ◄── link: run ── event loop ── dial: stream
//! ```

mod attendant;
mod audience;
mod inbox;
mod link;
mod packet;
mod receipt;
mod request_topics;
mod session;
mod settings;
mod tls;
mod trouble;
mod watch;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use audience::Audience;
pub use request_topics::RequestTopics;
pub use settings::{MqttSettings, Server};
pub use tls::TlsSettings;

use self::session::Live;
use super::{Notice, Receipt, Session, Sink, SinkDown, Traits};
use crate::config::sinks::MqttVersion;
use crate::findings::FindingCode;
use crate::render::Message;

/// Maximum duration of a connect, from the name look-up to the CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum duration of taking over a session.
const TAKE_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Interpretation of inbound messages, shared by the event loop and the subscribing task.
type SharedWatch = Arc<Mutex<watch::InboundWatch>>;

/// Payloads at the token topic: the last acknowledged one, and those sent since. The connection may break before an
/// acknowledgement arrives; any of them shows that the broker still has the retained messages.
type LastToken = Arc<Mutex<Vec<String>>>;

/// Maximum number of remembered tokens.
const MAX_TOKENS: usize = 8;

/// Locks a mutex. A poisoned one is used as well: its content is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Sink for an MQTT broker.
#[derive(Debug)]
pub struct MqttSink {
    settings: MqttSettings,
    audience: Option<Audience>,
    last_token: LastToken,
    /// Set if an earlier session's probe message at the token topic was not accepted.
    probe_refused: Arc<AtomicBool>,
    session: Option<Live>,
    /// Set if the warning about `insecure` was logged.
    warned: bool,
}

impl MqttSink {
    /// Creates a sink that is not connected.
    #[must_use]
    pub fn new(settings: MqttSettings) -> Self {
        let last_token = Arc::new(Mutex::new(settings.last_token.clone().into_iter().collect()));
        Self {
            settings,
            audience: None,
            last_token,
            probe_refused: Arc::default(),
            session: None,
            warned: false,
        }
    }

    /// Sets `heard` of each delivery from the embedded broker's subscriptions, since that broker never answers "no
    /// matching subscribers".
    #[must_use]
    pub fn with_audience(mut self, audience: Audience) -> Self {
        self.audience = Some(audience);
        self
    }

    /// Settings of this sink.
    #[must_use]
    pub fn settings(&self) -> &MqttSettings {
        &self.settings
    }

    /// In a cluster: takes the session of the former owner over. What fails here fails again at once, with its reason.
    async fn take_over(&self) {
        let settings = &self.settings;
        if settings.will_delay_seconds.is_none() || settings.version != MqttVersion::V5 {
            return;
        }
        let taken = timeout(TAKE_OVER_TIMEOUT, async {
            let stream = link::dial::dial(settings).await.ok()?;
            link::v5::take_over(settings, stream).await.ok()
        });
        if !matches!(taken.await, Ok(Some(()))) {
            tracing::debug!("the session of the former owner was not taken over");
        }
    }

    /// Connects without a time limit.
    async fn open(&mut self) -> Result<Session, SinkDown> {
        if self.settings.server.tls
            && self.settings.tls.insecure
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(
                sink.name = "mqtt",
                "mqtt.insecure is set: the broker's certificate is not checked, anybody in between can read the password"
            );
        }
        let last_token = lock(&self.last_token).clone();
        self.take_over().await;
        let stream = link::dial::dial(&self.settings).await?;
        let live = Live::open(
            &self.settings,
            stream,
            last_token,
            Arc::clone(&self.last_token),
            Arc::clone(&self.probe_refused),
        )
        .await?;
        let session = live.describe(&self.settings);
        self.session = Some(live);
        Ok(session)
    }
}

/// Error of a call without a session.
fn no_session() -> SinkDown {
    SinkDown { code: FindingCode::BrokerUnreachable, reason: "there is no connection to the broker".into() }
}

impl Sink for MqttSink {
    fn traits(&self) -> Traits {
        Traits { name: "mqtt", values: true, discovery: true, one_per_source: false, acknowledges: true }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        self.session = None;
        let server = self.settings.server.clone();
        timeout(CONNECT_TIMEOUT, self.open()).await.unwrap_or_else(|_| {
            let reason = format!(
                "{server} took the connection and did not answer within {} s: the broker hangs, \
                 this is not an MQTT port, or it does not know the protocol of mqtt.version",
                CONNECT_TIMEOUT.as_secs()
            );
            Err(SinkDown { code: FindingCode::BrokerUnreachable, reason })
        })
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        let live = self.session.as_ref().ok_or_else(no_session)?;
        let heard = self.audience.as_ref().map(|audience| audience.has_subscriber(&message.topic));
        let (tell, receipt) = oneshot::channel();
        live.send(message, heard, tell).await?;
        Ok(receipt)
    }

    async fn notice(&mut self) -> Notice {
        let Some(live) = &self.session else { return pending().await };
        let notice = live.notice().await;
        if matches!(notice, Notice::Down(_)) {
            self.session = None;
        }
        notice
    }

    async fn read_back(&mut self, filter: &str) -> Result<(), SinkDown> {
        self.session.as_ref().ok_or_else(no_session)?.read_back(filter).await
    }

    fn marked(&self, token: &str, mark: &str) -> String {
        format!("{token}.{}.{mark}", self.settings.instance_id)
    }

    async fn close(&mut self) {
        if let Some(live) = self.session.take() {
            live.close(self.settings.state_topic.as_deref()).await;
        }
    }
}
