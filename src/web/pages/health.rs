//! The Health page: backlog, disk, sinks, listeners, rejected messages, and all findings with their remedies.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;

use super::finding::{FindingView, GroupView, grouped};
use super::frame::moment::Moment;
use super::frame::{Chip, Frame, Tab};
use super::html;
use crate::model::cluster::ClusterStatus;
use crate::model::status::SinkStatus;
use crate::outbox::parking::ParkedEntry;
use crate::web::filters;
use crate::web::texts::{number, tr};
use crate::web::{Problem, Web};

/// Number of parked messages on the page.
const MAX_PARKED: usize = 100;

/// The page.
#[derive(Debug, Template)]
#[template(path = "health.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    meters: Vec<Meter>,
    findings: Vec<GroupView>,
    dismissed: Vec<GroupView>,
    sinks: Vec<SinkView>,
    parked: Vec<ParkedView>,
    more_parked: bool,
    listeners: Vec<ListenerView>,
    cluster: Option<ClusterStatus>,
}

/// A number with its name and unit.
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

/// A parked message.
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
pub(super) async fn page(State(web): State<Web>, frame: Frame) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let parked = web.read(|reader| reader.parked(None, MAX_PARKED)).await?;
    let findings = web.findings.list().into_iter().map(|finding| FindingView::new(finding, now));
    let (dismissed, open): (Vec<_>, Vec<_>) = findings.partition(|finding| finding.dismissed);
    let page = Page {
        frame: frame.of(Tab::Health),
        meters: meters(&web),
        findings: grouped(open),
        dismissed: grouped(dismissed),
        sinks: web.bridge.sinks().into_iter().map(|sink| SinkView::new(sink, now)).collect(),
        more_parked: parked.len() == MAX_PARKED,
        parked: parked.into_iter().map(|entry| ParkedView::new(entry, now)).collect(),
        listeners: listeners(&web, now),
        cluster: web.bridge.cluster(),
    };
    html(&page)
}

fn meters(web: &Web) -> Vec<Meter> {
    let health = web.bridge.health();
    let meter = |name, value: String, unit| Meter { name, value, unit };
    let messages = |name, count: u64| {
        meter(name, number(count), if count == 1 { tr("message") } else { tr("messages") })
    };
    let (disk, unit) = web.bridge.disk_free().map_or_else(|| (tr("unknown").into(), ""), bytes);
    let mut meters = vec![
        meter(tr("Alarms since the start"), number(health.alarms), ""),
        meter(tr("Devices"), number(health.devices), ""),
        messages(tr("Waiting for a broker"), health.backlog),
        messages(tr("Parked"), health.parked),
        messages(tr("Dropped undelivered"), health.dropped),
        meter(tr("Free on the disk"), disk, unit),
    ];
    if !web.outbox.durable() {
        meters.push(meter(tr("Kept in"), tr("memory only").into(), ""));
    }
    meters
}

/// A number of bytes with a suitable unit.
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
            "http" => tr("Cameras, HTTP"),
            "https" => tr("Cameras, HTTPS"),
            "admin" => tr("These pages"),
            "broker" => tr("Embedded MQTT broker"),
            _ => tr("Other"),
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
            (true, _) => Chip::new("bad", tr("Refuses everything")),
            (false, true) => Chip::new("ok", tr("Connected")),
            (false, false) if sink.standby => Chip::new("ok", tr("Standby")),
            (false, false) => Chip::new("bad", tr("Not connected")),
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
