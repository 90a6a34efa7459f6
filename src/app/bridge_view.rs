//! View of the running bridge for pages and API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::health::publisher::HealthPublisher;
use super::in_force::InForce;
use super::listeners::addresses;
use super::test_alarm;
use super::webhooks::registry::WebhookRegistry;
use crate::cluster::View;
use crate::http::Connections;
use crate::log::{Line, Ring};
use crate::model::cluster::ClusterStatus;
use crate::model::status::{BridgeHealth, SinkStatus};
use crate::model::value::{LogEntry, What};
use crate::model::{AlarmRecord, Record};
use crate::outbox::Entry;
use crate::outbox::device::Device;
use crate::relay::StatusHandle;
use crate::render::{self, PictureFate, RenderKey, Renderer, Sending};
use crate::web::{
    self, Arrived, Delivery, DeliveryState, ListenerInfo, LogLine, NewWebhook, Reach, Setting, WebhookInfo,
};

/// Current values that an alarm can change, in the order of publication.
const VALUES: [What; 5] = [What::SnapshotInfo, What::Snapshot, What::Last, What::State, What::Count];

/// View of the running bridge for pages and API.
#[derive(Debug)]
pub(super) struct BridgeView {
    /// Source of the health.
    pub(super) health_publisher: HealthPublisher,
    /// Status and renderer of each sink.
    pub(super) sinks: Vec<(StatusHandle, Arc<Renderer>)>,
    /// The cluster, if there is one.
    pub(super) cluster: Option<View>,
    /// Listeners.
    pub(super) listeners: Vec<BoundListener>,
    /// Webhooks.
    pub(super) webhook_registry: Arc<WebhookRegistry>,
    /// Configuration in force.
    pub(super) in_force: InForce,
    /// URL of the MQTT broker, if there is one.
    pub(super) mqtt: Option<String>,
    /// Topic filter that matches all events.
    pub(super) events_topic: String,
    /// AsyncAPI document.
    pub(super) asyncapi: Value,
    /// Storage folder.
    pub(super) storage: PathBuf,
    /// Latest lines of the log.
    pub(super) log: Ring,
    /// Command that sends a test alarm to this bridge.
    pub(super) simulate: String,
}

/// Listener as pages show it.
#[derive(Debug)]
pub(super) struct BoundListener {
    /// Name: `http`, `https` or `admin`.
    pub(super) name: &'static str,
    /// Bound address.
    pub(super) address: SocketAddr,
    /// URL that works on this machine.
    pub(super) url: String,
    /// Connections of this listener.
    pub(super) connections: Arc<Connections>,
}

impl BoundListener {
    fn info(&self) -> ListenerInfo {
        let arrivals = self.connections.arrivals();
        ListenerInfo {
            name: self.name.into(),
            address: self.url.clone(),
            connections: self.connections.own() as u64,
            arrivals: Arrived {
                count: arrivals.count,
                last: arrivals.last.map(|(at, _)| at),
                peer: arrivals.last.map(|(_, peer)| peer.to_string()),
            },
        }
    }
}

impl BridgeView {
    fn port(&self, name: &str) -> Option<u16> {
        self.listeners.iter().find(|place| place.name == name).map(|place| place.address.port())
    }
}

impl web::Bridge for BridgeView {
    fn health(&self) -> BridgeHealth {
        self.health_publisher.health()
    }

    fn cluster(&self) -> Option<ClusterStatus> {
        self.cluster.as_ref().map(View::status)
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(|(status, _)| status.get()).collect()
    }

    fn listeners(&self) -> Vec<ListenerInfo> {
        self.listeners.iter().map(BoundListener::info).collect()
    }

    fn published(&self, entry: &Entry) -> Value {
        let message = self.sinks.first().and_then(|(_, renderer)| {
            renderer
                .log(&LogEntry { no: entry.no, record: entry.record.clone(), picture: None }, &sending(entry))
                .pop()
        });
        message.and_then(|message| serde_json::from_slice(&message.payload).ok()).unwrap_or_default()
    }

    fn deliveries(&self, entry: &Entry) -> Vec<Delivery> {
        let delivery = |(status, renderer): &(StatusHandle, Arc<Renderer>)| {
            let sink = status.get().name;
            let ack = status.ack(entry.no);
            let position = self.health_publisher.outbox.position(&sink);
            let has = ack.is_some() || entry.no <= position.of(entry.source_no);
            let retains = !matches!(sink.as_str(), "notify" | "stdout");
            Delivery {
                topics: topics(renderer, entry),
                values: if retains { values(renderer, entry) } else { Vec::new() },
                state: match ack {
                    Some(ack) if ack.left_out => DeliveryState::LeftOut,
                    _ if has => DeliveryState::Acknowledged,
                    _ => DeliveryState::Waiting,
                },
                at: ack.map(|ack| ack.at),
                heard: ack.and_then(|ack| ack.heard),
                reason: status.get().trouble.filter(|_| !has),
                sink,
            }
        };
        self.sinks.iter().map(delivery).collect()
    }

    fn reach(&self) -> Reach {
        let of =
            |name| self.listeners.iter().find(|place| place.name == name).map(|place| place.address.ip());
        let http = of("http");
        let bound = http.filter(|ip| !ip.is_unspecified()).map(|ip| vec![ip.to_string()]);
        Reach {
            addresses: bound.unwrap_or_else(|| addresses().iter().map(ToString::to_string).collect()),
            loopback: [http, of("https")].into_iter().flatten().all(|ip| ip.is_loopback()),
            http_port: self.port("http").unwrap_or_default(),
            https_port: self.port("https"),
            mqtt: self.mqtt.clone(),
            events_topic: self.events_topic.clone(),
            simulate: self.simulate.clone(),
        }
    }

    fn webhooks(&self) -> Vec<WebhookInfo> {
        self.webhook_registry.list()
    }

    fn add_webhook(&self, new: &NewWebhook) -> Result<WebhookInfo, String> {
        self.webhook_registry.add(new)
    }

    fn rotate_webhook(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String> {
        self.webhook_registry.rotate(id, overlap_seconds)
    }

    fn device_settings(&self, device: &Device) -> Vec<Setting> {
        self.in_force.of(device)
    }

    fn settings(&self) -> Vec<Setting> {
        self.in_force.all()
    }

    fn log(&self, level: &str, text: &str, limit: usize) -> Vec<LogLine> {
        let level = level.parse().unwrap_or(tracing::Level::INFO);
        let line = |line: Line| LogLine {
            at: line.at,
            level: line.level.as_str().to_lowercase(),
            target: line.target.to_owned(),
            text: line.text,
        };
        self.log.latest(level, &text.to_lowercase(), limit).into_iter().map(line).collect()
    }

    fn log_count(&self) -> u64 {
        self.log.notable()
    }

    fn send_test(&self) -> BoxFuture<'static, Result<(), String>> {
        let place = self.listeners.iter().find(|place| place.name == "http");
        let place = place.or_else(|| self.listeners.iter().find(|place| place.name == "https"));
        let webhooks = self.webhook_registry.list();
        let hook = webhooks.iter().find(|hook| hook.until.is_none());
        let url =
            place.zip(hook).map(|(place, hook)| format!("{}{}", place.url.trim_end_matches('/'), hook.path));
        // Boxed because the future is large.
        Box::pin(test_alarm::send(url.unwrap_or_default()))
    }

    fn save_mapping(&self, name: &str, text: &str) -> Result<String, String> {
        super::webhooks::stored::save_mapping(&self.storage, name, text)
    }

    fn schema(&self) -> Value {
        render::schema()
    }

    fn asyncapi(&self) -> Value {
        self.asyncapi.clone()
    }

    fn disk_free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.storage).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Options for rendering an entry that is shown and not sent.
fn sending(entry: &Entry) -> Sending {
    Sending { replayed: entry.is_replay(), picture: PictureFate::Sent }
}

/// Topics of an entry's own messages, the event first.
fn topics(renderer: &Renderer, entry: &Entry) -> Vec<String> {
    let log = LogEntry { no: entry.no, record: entry.record.clone(), picture: None };
    renderer.log(&log, &sending(entry)).into_iter().map(|message| message.topic).collect()
}

/// Topics of the current values that an entry changes.
fn values(renderer: &Renderer, entry: &Entry) -> Vec<String> {
    let Record::Alarm(alarm) = &entry.record else { return Vec::new() };
    let of_it = VALUES.into_iter().filter(|what| !entry.is_replay() && stands_in(alarm, *what));
    let topic = |what| {
        let event = Some(&alarm.event).filter(|_| what != What::Last);
        let (source, device) = (Some(&alarm.source), Some(&alarm.device));
        renderer.topic(&RenderKey { source, what, event, device })
    };
    of_it.filter_map(topic).collect()
}

/// Returns whether an alarm is the content of a current value.
fn stands_in(alarm: &AlarmRecord, what: What) -> bool {
    let activity = alarm.activity_id.is_some();
    match what {
        What::SnapshotInfo | What::Snapshot => {
            alarm.snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some())
        }
        What::State => activity,
        What::Count => activity && alarm.count.is_some(),
        _ => true,
    }
}
