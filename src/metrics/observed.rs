//! What is known anyway and asked for at each scrape: sinks, findings, connections, the disk.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::SinkMetrics;

/// Says how the bridge is at the moment of a scrape.
pub trait Observe: fmt::Debug + Send + Sync + 'static {
    /// Everything at once.
    fn observe(&self) -> Observed;
}

/// How the bridge is.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Each sink.
    pub sinks: Vec<ObservedSink>,
    /// Findings that stand, by code.
    pub findings: Vec<Found>,
    /// Open connections, by kind of listener.
    pub connections: Vec<(&'static str, u64)>,
    /// Sources known.
    pub devices: u64,
    /// Commits reach the disk.
    pub durable: bool,
    /// Alarms are taken in and go out: what `/health/ready` says.
    pub ready: bool,
    /// Free bytes where the storage folder is.
    pub free_bytes: Option<u64>,
    /// When the process started, in seconds since 1970.
    pub started: f64,
}

/// A sink.
#[derive(Debug, Clone, Default)]
pub struct ObservedSink {
    /// `mqtt`, `nats`, `stdout`.
    pub name: String,
    /// It has a session.
    pub connected: bool,
    /// It refuses everything.
    pub blocked: bool,
    /// Log messages that wait.
    pub backlog: u64,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_seconds: f64,
    /// Messages acknowledged over all time.
    pub delivered: u64,
    /// Of those: how many nobody subscribed to, since the start.
    pub unheard: u64,
    /// Messages that are parked now.
    pub parked_now: u64,
    /// Messages parked since the start.
    pub parked: u64,
    /// Log entries dropped over all time.
    pub dropped: u64,
    /// Sessions begun since the start.
    pub sessions: u64,
    /// What its relay counts.
    pub metrics: SinkMetrics,
}

/// Findings of one code.
#[derive(Debug, Clone)]
pub struct Found {
    /// The code.
    pub code: &'static str,
    /// `info`, `warning` or `error`.
    pub severity: &'static str,
    /// How many stand.
    pub count: u64,
}

/// Turns what is observed into metrics.
#[derive(Debug)]
pub(super) struct Scrape(pub(super) Arc<dyn Observe>);

/// A value of a sink, with the name and help of its metric.
type OfSink<T> = (&'static str, &'static str, fn(&ObservedSink) -> T);

const SINK_GAUGES: [OfSink<f64>; 5] = [
    ("sink_connected", "Whether the sink has a session", |sink| flag(sink.connected)),
    ("sink_blocked", "Whether the sink refuses every message", |sink| flag(sink.blocked)),
    ("sink_backlog_messages", "Log messages that wait for the sink", |sink| whole(sink.backlog)),
    ("sink_parked_messages", "Messages that are parked now", |sink| whole(sink.parked_now)),
    ("sink_oldest_seconds", "How long the oldest undelivered alarm has waited, in seconds", |sink| {
        sink.oldest_seconds
    }),
];

const SINK_COUNTERS: [OfSink<u64>; 6] = [
    ("sink_delivered", "Log messages acknowledged, over all time", |sink| sink.delivered),
    ("sink_unheard", "Events that nobody subscribed to", |sink| sink.unheard),
    ("sink_parked", "Messages set aside because the sink can never accept them", |sink| sink.parked),
    ("sink_dropped", "Alarms dropped undelivered by the bounds of the backlog, over all time", |sink| {
        sink.dropped
    }),
    ("sink_sessions", "Sessions begun: each but the first is a reconnect", |sink| sink.sessions),
    ("sink_bytes", "Bytes of payload sent", |sink| sink.metrics.bytes.get()),
];

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.observe();
        let mut gauge =
            |name: &str, help: &str, value: f64| one(&mut encoder, name, help, &ConstGauge::new(value));
        gauge("devices", "Sources known", whole(seen.devices))?;
        gauge("durable", "Whether commits reach the disk; 0: alarms are held in memory", flag(seen.durable))?;
        gauge("ready", "Whether alarms are taken in and go out, as /health/ready says", flag(seen.ready))?;
        gauge("start_time_seconds", "When the process started, in seconds since 1970", seen.started)?;
        if let Some(free) = seen.free_bytes {
            gauge("storage_free_bytes", "Free bytes where the storage folder is", whole(free))?;
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
        encoder.encode_descriptor("findings", "Findings that stand, by code", None, first.metric_type())?;
    for found in &seen.findings {
        let labels = [("code", found.code), ("severity", found.severity)];
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
    let help = "From sending a log message to its acknowledgement, in seconds";
    let mut all = encoder.encode_descriptor("sink_publish_seconds", help, None, kind)?;
    for sink in &seen.sinks {
        sink.metrics.publish_seconds.encode(all.encode_family(&[("sink", sink.name.as_str())])?)?;
    }
    Ok(())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Whole numbers as Prometheus has them.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a metric is a float; 2^53 is enough")]
fn whole(number: u64) -> f64 {
    number as f64
}
