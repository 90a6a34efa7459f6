//! The running bridge as pages and API see it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::hooks::Hooks;
use super::listeners::addresses;
use super::pulse::Pulse;
use crate::http::Connections;
use crate::model::status::{BridgeHealth, SinkStatus};
use crate::model::value::{LogEntry, What};
use crate::model::{AlarmRecord, Record};
use crate::outbox::Entry;
use crate::relay::Status;
use crate::render::{self, PictureFate, Renderer, Sending, ValueKey};
use crate::web::{self, Arrived, Delivery, ListenerInfo, Reach, WebhookInfo};

/// What changes with an alarm, in the order subscribers see it.
const VALUES: [What; 5] = [What::SnapshotInfo, What::Snapshot, What::Last, What::State, What::Count];

/// The running bridge.
#[derive(Debug)]
pub(super) struct Inside {
    /// Its health.
    pub(super) pulse: Pulse,
    /// Its sinks: how each is doing, and what it publishes.
    pub(super) sinks: Vec<(Status, Arc<Renderer>)>,
    /// Its listeners.
    pub(super) listeners: Vec<Place>,
    /// Its webhooks.
    pub(super) hooks: Arc<Hooks>,
    /// The broker to subscribe at.
    pub(super) mqtt: Option<String>,
    /// The topic filter of all events.
    pub(super) events_topic: String,
    /// The storage folder.
    pub(super) storage: PathBuf,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Place {
    /// `http`, `https`, `admin`.
    pub(super) name: &'static str,
    /// Where it is bound.
    pub(super) address: SocketAddr,
    /// How this machine itself reaches it.
    pub(super) url: String,
    /// What comes to it.
    pub(super) connections: Arc<Connections>,
}

impl Place {
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

impl Inside {
    fn port(&self, name: &str) -> Option<u16> {
        self.listeners.iter().find(|place| place.name == name).map(|place| place.address.port())
    }
}

impl web::Bridge for Inside {
    fn health(&self) -> BridgeHealth {
        self.pulse.health()
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.iter().map(|(status, _)| status.get()).collect()
    }

    fn listeners(&self) -> Vec<ListenerInfo> {
        self.listeners.iter().map(Place::info).collect()
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
        let delivery = |(status, renderer): &(Status, Arc<Renderer>)| {
            let sink = status.get().name;
            let ack = status.ack(entry.no);
            let position = self.pulse.outbox.position(&sink);
            let has = ack.is_some() || entry.no <= position.of(entry.source_no);
            Delivery {
                topics: topics(renderer, entry),
                values: values(renderer, entry),
                state: if has { "acknowledged" } else { "waiting" }.into(),
                at: ack.map(|ack| ack.at),
                heard: ack.and_then(|ack| ack.heard),
                reason: status.get().trouble.filter(|_| !has),
                sink,
            }
        };
        self.sinks.iter().map(delivery).collect()
    }

    fn reach(&self) -> Reach {
        let http = self.listeners.iter().find(|place| place.name == "http").map(|place| place.address.ip());
        let bound = http.filter(|ip| !ip.is_unspecified()).map(|ip| vec![ip.to_string()]);
        Reach {
            addresses: bound.unwrap_or_else(|| addresses().iter().map(ToString::to_string).collect()),
            http_port: self.port("http").unwrap_or_default(),
            https_port: self.port("https"),
            mqtt: self.mqtt.clone(),
            events_topic: self.events_topic.clone(),
        }
    }

    fn webhooks(&self) -> Vec<WebhookInfo> {
        self.hooks.list()
    }

    fn add_webhook(&self, id: &str) -> Result<WebhookInfo, String> {
        self.hooks.add(id)
    }

    fn rotate_webhook(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String> {
        self.hooks.rotate(id, overlap_seconds)
    }

    fn schema(&self) -> Value {
        render::schema()
    }

    fn disk_free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.storage).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// How an entry is rendered for looking at it.
fn sending(entry: &Entry) -> Sending {
    Sending { replayed: entry.is_again(), picture: PictureFate::Sent }
}

/// Where the entry itself goes, the event first.
fn topics(renderer: &Renderer, entry: &Entry) -> Vec<String> {
    let log = LogEntry { no: entry.no, record: entry.record.clone(), picture: None };
    renderer.log(&log, &sending(entry)).into_iter().map(|message| message.topic).collect()
}

/// The topics of the current values it stands in.
fn values(renderer: &Renderer, entry: &Entry) -> Vec<String> {
    let Record::Alarm(alarm) = &entry.record else { return Vec::new() };
    let of_it = VALUES.into_iter().filter(|what| !entry.is_again() && stands_in(alarm, *what));
    let topic = |what| {
        let event = Some(&alarm.event).filter(|_| what != What::Last);
        let (source, device) = (Some(&alarm.source), Some(&alarm.device));
        renderer.topic(&ValueKey { source, what, event, device })
    };
    of_it.filter_map(topic).collect()
}

/// Whether an alarm says something of a current value.
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
