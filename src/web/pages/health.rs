//! The Health page: backlog, disk, sinks, listeners, what is parked, and every finding with its remedy.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::finding::FindingView;
use super::frame::{Chip, Frame, Tab};
use super::html;
use super::moment::Moment;
use crate::model::status::SinkStatus;
use crate::outbox::parking::ParkedEntry;
use crate::web::{Ask, Problem, Web};

/// Parked messages on the page.
const PARKED: usize = 100;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// What was just done.
    done: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "health.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    meters: Vec<Meter>,
    findings: Vec<FindingView>,
    sinks: Vec<SinkView>,
    parked: Vec<ParkedView>,
    more_parked: bool,
    listeners: Vec<ListenerView>,
}

/// A number that tells how the bridge is.
#[derive(Debug)]
struct Meter {
    name: &'static str,
    value: String,
    unit: &'static str,
}

/// A sink.
#[derive(Debug)]
struct SinkView {
    name: String,
    state: Chip,
    words: String,
    backlog: u64,
    delivered: u64,
    dropped: u64,
    last: Option<Moment>,
}

/// A message a sink will not have.
#[derive(Debug)]
struct ParkedView {
    no: i64,
    at: Moment,
    sink: String,
    topic: String,
    reason: String,
}

/// A listener.
#[derive(Debug)]
struct ListenerView {
    name: &'static str,
    address: String,
    connections: u64,
    arrived: u64,
    last: Option<Moment>,
}

/// Answers with the page.
pub(super) async fn page(State(web): State<Web>, Ask(asked): Ask<Asked>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let parked = web.read(|reader| reader.parked(None, PARKED)).await?;
    let page = Page {
        frame: Frame::new(Tab::Health, asked.done.as_deref(), &web.findings, now),
        meters: meters(&web),
        findings: web.findings.list().into_iter().map(|finding| FindingView::new(finding, now)).collect(),
        sinks: web.bridge.sinks().into_iter().map(|sink| SinkView::new(sink, now)).collect(),
        more_parked: parked.len() == PARKED,
        parked: parked.into_iter().map(|entry| ParkedView::new(entry, now)).collect(),
        listeners: listeners(&web, now),
    };
    html(&page)
}

fn meters(web: &Web) -> Vec<Meter> {
    let health = web.bridge.health();
    let meter = |name, value: String, unit| Meter { name, value, unit };
    let (disk, unit) = web.bridge.disk_free().map_or_else(|| ("unknown".into(), ""), bytes);
    let mut meters = vec![
        meter("Alarms since the start", health.alarms.to_string(), ""),
        meter("Devices", health.devices.to_string(), ""),
        meter("Waiting for a broker", health.backlog.to_string(), "messages"),
        meter("Parked", health.parked.to_string(), "messages"),
        meter("Dropped undelivered", health.dropped.to_string(), "messages"),
        meter("Free on the disk", disk, unit),
    ];
    if !web.outbox.durable() {
        meters.push(meter("Kept in", "memory only".into(), ""));
    }
    meters
}

/// A number of bytes as people say it.
fn bytes(count: u64) -> (String, &'static str) {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match count {
        0..MIB => ((count >> 10).to_string(), "KiB"),
        MIB..GIB => ((count / MIB).to_string(), "MiB"),
        _ => (format!("{}.{}", count / MIB / 1_024, count / MIB % 1_024 * 10 / 1_024), "GiB"),
    }
}

fn listeners(web: &Web, now: Timestamp) -> Vec<ListenerView> {
    let view = |listener: crate::web::ListenerInfo| ListenerView {
        name: match listener.name.as_str() {
            "http" => "Cameras, HTTP",
            "https" => "Cameras, HTTPS",
            "admin" => "These pages",
            "broker" => "Embedded MQTT broker",
            _ => "Other",
        },
        address: listener.address,
        connections: listener.connections,
        arrived: listener.arrivals.count,
        last: listener.arrivals.last.map(|last| Moment::new(last, now)),
    };
    web.bridge.listeners().into_iter().map(view).collect()
}

impl SinkView {
    fn new(sink: SinkStatus, now: Timestamp) -> Self {
        let state = match (sink.blocked, sink.connected) {
            (true, _) => Chip::new("bad", "Refuses everything"),
            (false, true) => Chip::new("ok", "Connected"),
            (false, false) => Chip::new("bad", "Not connected"),
        };
        Self {
            name: sink.name,
            state,
            words: sink.trouble.unwrap_or(sink.description),
            backlog: sink.backlog,
            delivered: sink.delivered,
            dropped: sink.dropped,
            last: sink.last_delivery.map(|last| Moment::new(last, now)),
        }
    }
}

impl ParkedView {
    fn new(entry: ParkedEntry, now: Timestamp) -> Self {
        Self {
            no: entry.no,
            at: Moment::new(entry.at, now),
            sink: entry.sink,
            topic: entry.topic,
            reason: entry.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        assert_eq!(super::bytes(64 << 10), ("64".into(), "KiB"));
        assert_eq!(super::bytes(300 << 20), ("300".into(), "MiB"));
        assert_eq!(super::bytes(5 << 29), ("2.5".into(), "GiB"));
    }
}
