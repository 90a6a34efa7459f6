//! Interface of the pages to the running bridge, besides outbox and findings.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::texts::key;
use crate::model::cluster::ClusterStatus;
use crate::model::status::{BridgeHealth, SinkStatus};
use crate::outbox::Entry;
use crate::outbox::device::Device;
use crate::outbox::parking::ParkedEntry;

/// Operations of the running bridge for pages and API.
pub trait Bridge: Send + Sync + 'static {
    /// Current health.
    fn health(&self) -> BridgeHealth;

    /// The cluster; none for an instance that is alone.
    fn cluster(&self) -> Option<ClusterStatus>;

    /// Status of each sink.
    fn sinks(&self) -> Vec<SinkStatus>;

    /// Listeners and their connections.
    fn listeners(&self) -> Vec<ListenerInfo>;

    /// The published form of a record, as the first sink gets it.
    fn published(&self, entry: &Entry) -> Value;

    /// Delivery state and topics of an entry on each sink, as far as known.
    fn deliveries(&self, entry: &Entry) -> Vec<Delivery>;

    /// Addresses for cameras and subscribers.
    fn reach(&self) -> Reach;

    /// Webhooks, secret paths included.
    fn webhooks(&self) -> Vec<WebhookInfo>;

    /// Adds a webhook with a new secret path, valid at once.
    ///
    /// # Errors
    /// With the reason, when there is one of this name, its mapping files have mistakes, or it cannot be stored.
    fn add_webhook(&self, new: &NewWebhook) -> Result<WebhookInfo, String>;

    /// Gives a webhook a new secret path; the old one stays valid for `overlap_seconds`.
    ///
    /// # Errors
    /// With the reason, when there is no such webhook, it is set in the configuration, or cannot be stored.
    fn rotate_webhook(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String>;

    /// The settings in force for a device, each with its origin.
    fn device_settings(&self, device: &Device) -> Vec<Setting>;

    /// All settings in force, secrets masked, and where each comes from.
    fn settings(&self) -> Vec<Setting>;

    /// The latest lines of the log of a level (`error` to `trace`) or a graver one that hold a text, newest first.
    fn log(&self, level: &str, text: &str, limit: usize) -> Vec<LogLine>;

    /// Number of lines of the log since the start, without those of the levels `debug` and `trace`.
    fn log_count(&self) -> u64;

    /// Sends an alarm through the listener for cameras, as a simulated camera does.
    fn send_test(&self) -> BoxFuture<'static, Result<(), String>>;

    /// Writes a mapping file to the storage folder; returns its path.
    ///
    /// # Errors
    /// With the reason, when another file has this name, or it cannot be written.
    fn save_mapping(&self, name: &str, text: &str) -> Result<String, String>;

    /// The JSON Schema of what is published, with its definitions under `$defs`.
    fn schema(&self) -> Value;

    /// The AsyncAPI document of everything that is published and subscribed to.
    fn asyncapi(&self) -> Value;

    /// Free bytes on the file system of the storage folder; `None` if unknown.
    fn disk_free(&self) -> Option<u64>;
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "setting")]
pub struct Setting {
    /// Its name: the whole path, or for a device that in its section.
    pub key: String,
    /// Value; empty if it is not set.
    pub value: String,
    /// Origin of the value: a line of the configuration file, a variable, a flag, the page, the device, or `default`.
    pub origin: String,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "log_line")]
pub struct LogLine {
    /// Its time.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The module it comes from.
    pub target: String,
    /// Message and fields.
    pub text: String,
}

/// A listener.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "listener")]
pub struct ListenerInfo {
    /// Name: `http`, `https`, `admin` or `broker`.
    pub name: String,
    /// Address as a URL of this host.
    pub address: String,
    /// Number of open connections.
    pub connections: u64,
    /// Connections since the start.
    pub arrivals: Arrived,
}

/// Connections to a listener since the start.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "arrivals")]
pub struct Arrived {
    /// Number of connections since the start.
    pub count: u64,
    /// Time of the latest connection.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub last: Option<Timestamp>,
    /// Address of the latest peer.
    pub peer: Option<String>,
}

/// Delivery state of a log entry on a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "delivery")]
pub struct Delivery {
    /// The sink.
    pub sink: String,
    /// Topics of the entry itself, that of the event first; `state` and `at` refer to these.
    pub topics: Vec<String>,
    /// Retained topics of the current values that contain the entry. Only their newest value is sent, so their
    /// acknowledgements are not stored.
    pub values: Vec<String>,
    /// Result.
    pub state: DeliveryState,
    /// Time at which it was acknowledged or parked, if still known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub at: Option<Timestamp>,
    /// True if there was a subscriber; null if the broker does not report it.
    pub heard: Option<bool>,
    /// Reason why it is parked.
    pub reason: Option<String>,
}

/// State of a log entry on a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "delivery_state")]
pub enum DeliveryState {
    /// The sink has acknowledged it.
    Acknowledged,
    /// The sink has not got it yet.
    Waiting,
    /// The sink will never take it, so it is set aside.
    Parked,
    /// The settings of the sink leave it out.
    LeftOut,
}

impl Delivery {
    /// Adds what is parked of the entry.
    pub(super) fn parked(self, parked: &[ParkedEntry]) -> Self {
        match parked.iter().find(|parked| parked.sink == self.sink) {
            None => self,
            Some(parked) => Self {
                state: DeliveryState::Parked,
                at: Some(parked.at),
                reason: Some(parked.reason.clone()),
                ..self
            },
        }
    }
}

/// Explanation for addresses that only this machine can reach.
pub const LOOPBACK: &str = key(
    "alarmbus listens on this machine only (a loopback address), so a camera cannot reach it. Set http.bind to 0.0.0.0:8089, or to an address of this machine",
);

/// Addresses for cameras and subscribers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "reach")]
pub struct Reach {
    /// Addresses of this host that a camera can reach, the most likely first.
    pub addresses: Vec<String>,
    /// True if only programs on this machine can reach these addresses, so no camera can.
    pub loopback: bool,
    /// Port for plain HTTP.
    pub http_port: u16,
    /// Port for HTTPS, if it is on.
    pub https_port: Option<u16>,
    /// URL of the MQTT broker to subscribe at, without secrets.
    pub mqtt: Option<String>,
    /// Topic filter of all events.
    pub events_topic: String,
    /// Command that simulates a camera and sends alarms to this bridge.
    pub simulate: String,
}

/// A webhook to add.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "webhook_add")]
pub struct NewWebhook {
    /// Identifier, `[a-z0-9_-]{1,64}`.
    #[schemars(required)]
    pub id: String,
    /// Maker of its devices; `auto` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Identifier of the device that all its reports belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Mapping files on the host of the bridge; relative paths start at the storage folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<String>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "webhook")]
pub struct WebhookInfo {
    /// Identifier.
    pub id: String,
    /// Path, secret part included.
    pub path: String,
    /// Origin of its path.
    pub origin: WebhookOrigin,
    /// The maker of its devices; `auto`: it is found out for each report.
    pub vendor: String,
    /// The device that everything at it belongs to.
    pub device: Option<String>,
    /// Its mapping files.
    pub mapping: Vec<String>,
    /// Time until which a retired path is valid.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
}

/// Origin of a webhook's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "webhook_origin")]
pub enum WebhookOrigin {
    /// The configuration.
    Configuration,
    /// Generated at the first start, since the configuration names no webhook.
    Generated,
    /// Added on the Setup page or over the API.
    Added,
    /// A path that was replaced, and is still valid for a while.
    Retired,
}
