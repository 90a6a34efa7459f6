//! The MQTT sink: 5 by default, 3.1.1 by setting; TCP, TLS or WebSocket.
//!
//! What is promised: a receipt says `Delivered` only after the broker's PUBACK said so; a message whose PUBACK did not
//! come has a dropped receipt. Each session is a fresh client over a fresh stream with a clean start, and at the first
//! error all of it is thrown away, queued requests included: the outbox is the only truth, and nothing is sent twice
//! behind the relay's back.
//!
//! ```text
//!  Mqtt (Sink) ── session: Live ── link: Client ──────── v5 | v311 (rumqttc)
//!                      │ inbox ◄── watch ◄── link: run ── event loop ── dial: stream
//! ```

mod attendant;
mod audience;
mod dial;
mod inbox;
mod link;
mod receipt;
mod session;
mod settings;
mod tls;
mod trouble;
mod v311;
mod v5;
mod watch;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

pub use audience::Audience;
pub use settings::{MqttSettings, Server};
pub use tls::TlsSettings;

use self::session::Live;
use super::{Notice, Receipt, Session, Sink, SinkDown, Traits};
use crate::render::Message;

/// How long a connect may take, from the name look-up to the CONNACK.
const CONNECT: Duration = Duration::from_secs(10);

/// What inbound messages mean, shared by the event loop and who subscribes.
type SharedWatch = Arc<Mutex<watch::Watch>>;

/// The payload last acknowledged at the token's topic, and those sent since: a link may break before the acknowledgement
/// comes, and each of them shows that the broker has kept what was retained.
type LastToken = Arc<Mutex<Vec<String>>>;

/// So many tokens are remembered.
const TOKENS: usize = 8;

/// Takes the lock; what it guards is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes to an MQTT broker.
#[derive(Debug)]
pub struct Mqtt {
    settings: MqttSettings,
    audience: Option<Audience>,
    last_token: LastToken,
    session: Option<Live>,
    /// The warning about `insecure` was given.
    warned: bool,
}

impl Mqtt {
    /// A sink that is not connected yet.
    #[must_use]
    pub fn new(settings: MqttSettings) -> Self {
        let last_token = Arc::new(Mutex::new(settings.last_token.clone().into_iter().collect()));
        Self { settings, audience: None, last_token, session: None, warned: false }
    }

    /// Tells `heard` of each delivery from the embedded broker's own subscriptions, since that broker never answers
    /// "no matching subscribers".
    #[must_use]
    pub fn with_audience(mut self, audience: Audience) -> Self {
        self.audience = Some(audience);
        self
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &MqttSettings {
        &self.settings
    }

    /// Everything of a connect, unbounded.
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
        let stream = dial::dial(&self.settings).await?;
        let live = Live::open(&self.settings, stream, last_token, Arc::clone(&self.last_token)).await?;
        let session = live.describe(&self.settings);
        self.session = Some(live);
        Ok(session)
    }
}

/// The error of a call without a session.
fn no_session() -> SinkDown {
    SinkDown { code: "broker_unreachable", reason: "there is no connection to the broker".into() }
}

impl Sink for Mqtt {
    fn traits(&self) -> Traits {
        Traits { name: "mqtt", values: true, discovery: true, one_per_source: false, acknowledges: true }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        self.session = None;
        let server = self.settings.server.clone();
        timeout(CONNECT, self.open()).await.unwrap_or_else(|_| {
            let reason = format!(
                "{server} took the connection and did not answer within {} s: the broker hangs, \
                 this is no MQTT port, or it does not know the protocol of mqtt.version",
                CONNECT.as_secs()
            );
            Err(SinkDown { code: "broker_unreachable", reason })
        })
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        let live = self.session.as_ref().ok_or_else(no_session)?;
        let heard = self.audience.as_ref().map(|audience| audience.hears(&message.topic));
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

    async fn close(&mut self) {
        if let Some(live) = self.session.take() {
            live.close(self.settings.state_topic.as_deref()).await;
        }
    }
}
