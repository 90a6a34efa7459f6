//! Values that are read at each scrape: sinks, findings, connections, the disk.

use crate::findings::FindingCode;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{ObservedCluster, SinkMetrics};

/// Provides the state of the bridge at a scrape.
pub trait Observe: fmt::Debug + Send + Sync + 'static {
    /// Reads all values.
    fn observe(&self) -> Observed;
}

/// State of the bridge.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// State of each sink.
    pub sinks: Vec<ObservedSink>,
    /// Active findings by code.
    pub findings: Vec<FindingCount>,
    /// Number of open connections by kind of listener.
    pub connections: Vec<(&'static str, u64)>,
    /// Number of known sources.
    pub devices: u64,
    /// `true` while commits reach the disk.
    pub durable: bool,
    /// `true` while alarms are accepted and delivered, as in `/health/ready`.
    pub ready: bool,
    /// Free bytes on the file system of the storage folder.
    pub free_bytes: Option<u64>,
    /// Start time of the process in seconds since 1970.
    pub started: f64,
    /// State in the cluster, if there is one.
    pub cluster: Option<ObservedCluster>,
}

/// State of a sink.
#[derive(Debug, Clone, Default)]
pub struct ObservedSink {
    /// Name: `mqtt`, `nats`, `notify` or `stdout`.
    pub name: String,
    /// `true` while it has a session.
    pub connected: bool,
    /// `true` while it refuses every message.
    pub blocked: bool,
    /// Number of undelivered log messages.
    pub backlog: u64,
    /// Age of the oldest of them in seconds.
    pub oldest_seconds: f64,
    /// Total number of acknowledged messages.
    pub delivered: u64,
    /// Number of acknowledged messages without a subscriber, since the start.
    pub unheard: u64,
    /// Number of messages parked now.
    pub parked_now: u64,
    /// Number of messages parked since the start.
    pub parked: u64,
    /// Total number of dropped log entries.
    pub dropped: u64,
    /// Number of sessions since the start.
    pub sessions: u64,
    /// Counters of its relay.
    pub metrics: SinkMetrics,
}

/// Findings of one code.
#[derive(Debug, Clone)]
pub struct FindingCount {
    /// The code.
    pub code: FindingCode,
    /// `info`, `warning` or `error`.
    pub severity: &'static str,
    /// Number of active findings.
    pub count: u64,
}

/// Collector that converts the state to metrics.
#[derive(Debug)]
pub(super) struct Scrape(pub(super) Arc<dyn Observe>);

/// Name, help text and value of a metric per sink.
type OfSink<T> = (&'static str, &'static str, fn(&ObservedSink) -> T);

const SINK_GAUGES: [OfSink<f64>; 5] = [
    ("sink_connected", "1 while the sink has a session", |sink| flag(sink.connected)),
    ("sink_blocked", "1 while the sink refuses every message", |sink| flag(sink.blocked)),
    ("sink_backlog_messages", "Undelivered log messages of the sink", |sink| whole(sink.backlog)),
    ("sink_parked_messages", "Messages parked now", |sink| whole(sink.parked_now)),
    ("sink_oldest_seconds", "Age of the oldest undelivered alarm, in seconds", |sink| sink.oldest_seconds),
];

const SINK_COUNTERS: [OfSink<u64>; 6] = [
    ("sink_delivered", "Log messages acknowledged over all time", |sink| sink.delivered),
    ("sink_unheard", "Events without a subscriber", |sink| sink.unheard),
    ("sink_parked", "Messages parked because the broker refuses them for good", |sink| sink.parked),
    ("sink_dropped", "Undelivered alarms dropped by the bounds of the backlog, over all time", |sink| {
        sink.dropped
    }),
    ("sink_sessions", "Sessions started; each but the first is a reconnect", |sink| sink.sessions),
    ("sink_bytes", "Bytes of payload sent", |sink| sink.metrics.bytes.get()),
];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.observe();
        let mut gauge =
            |name: &str, help: &str, value: f64| one(&mut encoder, name, help, &ConstGauge::new(value));
        gauge("devices", "Known sources", whole(seen.devices))?;
        gauge(
            "durable",
            "1 while commits reach the disk; 0 while alarms are held in memory",
            flag(seen.durable),
        )?;
        gauge("ready", "1 while alarms are accepted and delivered, as in /health/ready", flag(seen.ready))?;
        gauge("start_time_seconds", "Start time of the process, in seconds since 1970", seen.started)?;
        if let Some(free) = seen.free_bytes {
            gauge("storage_free_bytes", "Free bytes on the file system of the storage folder", whole(free))?;
        }
        if let Some(cluster) = &seen.cluster {
            cluster.encode(&mut encoder)?;
        }
        connections(&mut encoder, &seen)?;
        findings(&mut encoder, &seen)?;
        sinks(&mut encoder, &seen)
    }
}

fn one(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn connections(encoder: &mut DescriptorEncoder<'_>, seen: &Observed) -> fmt::Result {
    let first = ConstGauge::new(0.0);
    let mut all = encoder.encode_descriptor(
        "connections",
        "Open connections, by kind of listener",
        None,
        first.metric_type(),
    )?;
    for (listener, count) in &seen.connections {
        ConstGauge::new(whole(*count)).encode(all.encode_family(&[("listener", *listener)])?)?;
    }
    Ok(())
}

fn findings(encoder: &mut DescriptorEncoder<'_>, seen: &Observed) -> fmt::Result {
    let first = ConstGauge::new(0.0);
    let mut all =
        encoder.encode_descriptor("findings", "Active findings, by code", None, first.metric_type())?;
    for found in &seen.findings {
        let labels = [("code", found.code.as_str()), ("severity", found.severity)];
        ConstGauge::new(whole(found.count)).encode(all.encode_family(&labels)?)?;
    }
    Ok(())
}

fn sinks(encoder: &mut DescriptorEncoder<'_>, seen: &Observed) -> fmt::Result {
    for (name, help, value) in SINK_GAUGES {
        let kind = ConstGauge::new(0.0).metric_type();
        let mut all = encoder.encode_descriptor(name, help, None, kind)?;
        for sink in &seen.sinks {
            ConstGauge::new(value(sink)).encode(all.encode_family(&[("sink", sink.name.as_str())])?)?;
        }
    }
    for (name, help, value) in SINK_COUNTERS {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut all = encoder.encode_descriptor(name, help, None, kind)?;
        for sink in &seen.sinks {
            ConstCounter::new(value(sink)).encode(all.encode_family(&[("sink", sink.name.as_str())])?)?;
        }
    }
    let kind = SinkMetrics::default().publish_seconds.metric_type();
    let help = "Time from sending a log message to its acknowledgement, in seconds";
    let mut all = encoder.encode_descriptor("sink_publish_seconds", help, None, kind)?;
    for sink in &seen.sinks {
        sink.metrics.publish_seconds.encode(all.encode_family(&[("sink", sink.name.as_str())])?)?;
    }
    Ok(())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Converts a whole number to a metric value.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a metric is a float; 2^53 is enough")]
pub(super) fn whole(number: u64) -> f64 {
    number as f64
}
