//! What the pages need of the running bridge besides outbox and findings.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::model::status::{BridgeHealth, SinkStatus};
use crate::outbox::Entry;
use crate::outbox::parking::ParkedEntry;

/// The running bridge, as pages and API see it.
pub trait Bridge: Send + Sync + 'static {
    /// Health as it is now.
    fn health(&self) -> BridgeHealth;

    /// How each sink is doing.
    fn sinks(&self) -> Vec<SinkStatus>;

    /// The listeners and what came to them.
    fn listeners(&self) -> Vec<ListenerInfo>;

    /// The published form of a record, as the first sink gets it.
    fn published(&self, entry: &Entry) -> Value;

    /// Where an entry goes on each sink, and what became of it as far as that is known.
    fn deliveries(&self, entry: &Entry) -> Vec<Delivery>;

    /// How cameras and subscribers reach this host.
    fn reach(&self) -> Reach;

    /// The webhooks, secret paths included.
    fn webhooks(&self) -> Vec<WebhookInfo>;

    /// Adds a webhook with a new secret path and takes it up at once.
    ///
    /// # Errors
    /// With the reason, when there is one of this name or it cannot be kept.
    fn add_webhook(&self, id: &str) -> Result<WebhookInfo, String>;

    /// Gives a webhook a new secret path; the old one stays valid for so many seconds.
    ///
    /// # Errors
    /// With the reason, when there is no such webhook, it is set in the configuration, or cannot be kept.
    fn rotate_webhook(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String>;

    /// The JSON Schema of what is published, with its definitions under `$defs`.
    fn schema(&self) -> Value;

    /// Bytes free in the storage folder's file system; none where that cannot be told.
    fn disk_free(&self) -> Option<u64>;
}

/// One listener.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "listener")]
pub struct ListenerInfo {
    /// `http`, `https`, `admin`.
    pub name: String,
    /// Where it listens, as a URL of this host.
    pub address: String,
    /// Connections open now.
    pub connections: u64,
    /// What came since the start.
    pub arrivals: Arrived,
}

/// The connections that came to a listener.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "arrivals")]
pub struct Arrived {
    /// How many since the start.
    pub count: u64,
    /// When the latest one came.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last: Option<Timestamp>,
    /// And from where.
    pub peer: Option<String>,
}

/// What became of a log entry on a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "delivery")]
pub struct Delivery {
    /// The sink.
    pub sink: String,
    /// The topics of the entry itself, the event's first: what `state` and `at` are about.
    pub topics: Vec<String>,
    /// The retained topics of the current values it stands in. Only their newest value is sent, so nothing is kept of each acknowledgement.
    pub values: Vec<String>,
    /// `acknowledged`, `waiting` or `parked`.
    pub state: String,
    /// When it was acknowledged or parked, where that is still known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
    /// Whether somebody had subscribed; null where the far side does not say.
    pub heard: Option<bool>,
    /// Why it is parked.
    pub reason: Option<String>,
}

impl Delivery {
    /// Takes in what is parked of the entry.
    pub(super) fn parked(self, parked: &[ParkedEntry]) -> Self {
        match parked.iter().find(|parked| parked.sink == self.sink) {
            None => self,
            Some(parked) => Self {
                state: "parked".into(),
                at: Some(parked.at),
                reason: Some(parked.reason.clone()),
                ..self
            },
        }
    }
}

/// How cameras and subscribers reach this host.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "reach")]
pub struct Reach {
    /// Addresses of this host that a camera can reach, the likeliest first.
    pub addresses: Vec<String>,
    /// The port for plain HTTP.
    pub http_port: u16,
    /// The port for HTTPS, if it is on.
    pub https_port: Option<u16>,
    /// The MQTT broker to subscribe at, without secrets.
    pub mqtt: Option<String>,
    /// The topic filter of all events.
    pub events_topic: String,
}

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "webhook")]
pub struct WebhookInfo {
    /// Its name.
    pub id: String,
    /// Its path, secret part included.
    pub path: String,
    /// `configuration`, `generated`, `added`, or `retired` (an old path that is still valid).
    pub origin: String,
    /// Until when a retired path is valid.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
}
