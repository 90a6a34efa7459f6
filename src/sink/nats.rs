//! NATS: JetStream by default, core NATS by setting (best effort).
//!
//! Topics become subjects with dots. The log lane goes to the stream `ALARMBUS` with a message id, the value lane to
//! `ALARMBUS_LAST` without; pictures over the server's `max_payload` go to the object store `ALARMBUS_SNAPSHOTS`.
//! The sink never uses the client's own reconnecting: a broken link ends the session, whatever is in flight counts as
//! unsent, and the relay connects again.
//!
//! **Presence.** The relay sends `online` (or `offline`) to the topic `<prefix>/<bridge>/state` as to any sink. Here it
//! becomes JSON with a time, and `online` is renewed until `offline`, `close`, or the end of the session.

mod denied;
mod dial;
mod failure;
mod link;
mod message;
mod pending;
mod presence;
mod publish;
mod store;
mod streams;
mod subject;
mod tls;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::failure::down;
use self::link::{Ending, Link, Shared};
use self::presence::Presence;
use self::store::Store;
use super::{Notice, Receipt, Retained, Session, Sink, SinkDown, Traits};
use crate::config;
use crate::render::Message;

/// How many messages may be unacknowledged.
const WINDOW: usize = 256;
/// How long each step of a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The NATS sink.
pub struct Nats {
    config: config::Nats,
    /// The level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    bridge: String,
    /// The name of our connection in the server's lists.
    name: String,
    timing: Timing,
    link: Option<Link>,
    /// When the value stream was made, as last known: another time means that its values are gone.
    seen: Option<String>,
    /// The values were lost in a session before and the relay does not know yet.
    lost: bool,
}

/// The times that a test wants shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often `bridge.state` is renewed.
    pub renew: Duration,
    /// How long an acknowledgement, and an answer of the JetStream API, may take.
    pub acknowledge: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { renew: Duration::from_secs(30), acknowledge: Duration::from_secs(5) }
    }
}

impl Nats {
    /// The sink of a configuration; `instance` names this bridge where several share the servers.
    ///
    /// `last_token` is the token last acknowledged, `None` before the first session ever. Here it is the time at
    /// which the value stream was made: with another, the values are gone.
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
            lost: false,
        }
    }

    /// The same with other times.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// A new session, in the time that the caller gives.
    async fn open(&mut self) -> Result<Session, SinkDown> {
        self.check_prefix()?;
        let (ending, notices) = Ending::new();
        let dialled = dial::dial(&self.config, &self.name, &ending).await?;
        let link = Link {
            shared: Arc::new(Shared {
                store: self.config.jetstream.then(|| self.store(&dialled.client)),
                client: dialled.client,
                window: Arc::new(Semaphore::new(WINDOW)),
                ending,
            }),
            notices,
            presence: None,
        };
        let ending = Arc::clone(&link.shared.ending);
        let retained = tokio::select! {
            biased;
            () = ending.gone.cancelled() => return Err(ending.reason()),
            retained = self.look(&link) => retained?,
        };
        let session = self.describe(&link, &dialled.place, retained);
        self.lost = false;
        self.link = Some(link);
        Ok(session)
    }

    /// A bad prefix would make every message a refused one.
    fn check_prefix(&self) -> Result<(), SinkDown> {
        let prefix = &self.config.subject_prefix;
        match subject::subject(prefix, &format!("{prefix}/x")) {
            Ok(_) => Ok(()),
            Err(reason) => Err(down(
                "broker_refused",
                format!(
                    "nats.subject_prefix {prefix:?} makes no subjects: {reason}; write tokens parted by dots"
                ),
            )),
        }
    }

    fn store(&self, client: &async_nats::Client) -> Store {
        let wait = self.timing.acknowledge;
        Store::new(client, &self.config.subject_prefix, &self.bridge, self.config.replicas, wait)
    }

    /// What became of the values since the last session.
    async fn look(&mut self, link: &Link) -> Result<Retained, SinkDown> {
        let Some(store) = &link.shared.store else { return Ok(Retained::Kept) };
        let (made, retained) = store.open(&link.shared.ending, self.seen.as_deref()).await?;
        self.lost |= retained == Retained::Lost;
        self.seen = made.or_else(|| self.seen.take());
        Ok(if self.lost { Retained::Lost } else { retained })
    }

    fn describe(&self, link: &Link, place: &str, retained: Retained) -> Session {
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

    /// `online` or `offline`, if this message is the bridge's state.
    fn state(&self, message: &Message) -> Option<&'static str> {
        let rest = message.topic.strip_prefix(&self.config.subject_prefix)?.strip_prefix('/')?;
        let level = rest.strip_suffix("/state")?;
        match &*message.payload {
            b"online" if level == self.bridge => Some("online"),
            b"offline" if level == self.bridge => Some("offline"),
            _ => None,
        }
    }

    /// Ends the session here, and keeps in mind what the next one has to tell.
    fn give_up(&mut self) {
        if let Some(link) = self.link.take()
            && let Some(store) = &link.shared.store
        {
            self.lost |= store.lost.load(Ordering::Relaxed);
        }
    }
}

impl Sink for Nats {
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
                "broker_unreachable",
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
            return Err(down("broker_unreachable", "there is no session with a NATS server"));
        };
        let outgoing = match message::outgoing(&self.config.subject_prefix, message) {
            Ok(outgoing) => outgoing,
            Err(reason) => return Ok(publish::settled(pending::refused("topic_invalid", reason))),
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
                tokio::time::timeout(GOODBYE, receipt).await.ok();
            }
        }
        // Draining writes out what was handed over; the server hangs up, which ends the session here too.
        if link.shared.client.drain().await.is_ok() {
            tokio::time::timeout(GOODBYE, link.shared.ending.gone.cancelled()).await.ok();
        }
    }
}
