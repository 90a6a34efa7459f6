//! The kinds of sink: a row for each.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::part::Part;
use super::{Relays, mqtt_settings, nats_settings, notify_settings};
use crate::app::identity::InstanceIdentity;
use crate::config::Config;
use crate::sink::Sink;
use crate::sink::mqtt::{Audience, MqttSettings, MqttSink};
use crate::sink::nats::NatsSink;
use crate::sink::notify::Notify;
use crate::sink::stdout::StdoutSink;

/// A kind of sink.
pub(in crate::app) struct SinkKind {
    /// Its section of the configuration, and its key in the outbox.
    pub(in crate::app) name: &'static str,
    /// It publishes to a broker, which an instance of a cluster may not reach while another one does.
    pub(super) has_broker: bool,
    /// Returns whether the configuration wants it.
    pub(in crate::app) is_on: fn(&Config) -> bool,
    /// Starts its relay.
    pub(super) start: fn(&mut Relays, &Part<'_>, Option<&Audience>) -> anyhow::Result<()>,
    /// Connects to it as the bridge would. Returns protocol, address and limits, or cause and remedy.
    pub(in crate::app) test: fn(&Config) -> BoxFuture<'_, Result<String, String>>,
}

/// Every kind of sink, in the order of pages and messages.
pub(in crate::app) static KINDS: &[SinkKind] = &[
    SinkKind {
        name: "mqtt",
        has_broker: true,
        is_on: |config| config.mqtt.server.is_some(),
        start: start_mqtt,
        test: |config| test_mqtt(config).boxed(),
    },
    SinkKind {
        name: "nats",
        has_broker: true,
        is_on: |config| !config.nats.servers.is_empty(),
        start: start_nats,
        test: |config| {
            let mut sink = NatsSink::new(config.nats.clone(), config.instance.as_deref(), None);
            async move { connect(&mut sink).await }.boxed()
        },
    },
    SinkKind {
        name: "notify",
        has_broker: false,
        is_on: |config| config.notify.url.is_some(),
        start: start_notify,
        test: |config| async move { connect(&mut Notify::new(&config.notify)?).await }.boxed(),
    },
    SinkKind {
        name: "stdout",
        has_broker: false,
        is_on: |config| config.stdout.enabled,
        start: |relays, part, _| {
            relays.run(part, StdoutSink::default, "standard output".into(), mqtt_settings(part))
        },
        test: |_| async { Ok("JSON lines on standard output".to_owned()) }.boxed(),
    },
];

fn start_mqtt(relays: &mut Relays, part: &Part<'_>, audience: Option<&Audience>) -> anyhow::Result<()> {
    let (settings, audience) = (part.mqtt()?, audience.cloned());
    let make = move || {
        let sink = MqttSink::new(settings.clone());
        match audience.clone() {
            Some(audience) => sink.with_audience(audience),
            None => sink,
        }
    };
    let target = part.parts.config.mqtt.server.clone().unwrap_or_default();
    relays.run(part, make, target, mqtt_settings(part))
}

fn start_nats(relays: &mut Relays, part: &Part<'_>, _: Option<&Audience>) -> anyhow::Result<()> {
    let config = part.parts.config;
    let (of_nats, name, token) = (config.nats.clone(), part.name.clone(), part.token("nats"));
    let requests = (config.requests.enabled && part.takes_requests()).then(|| part.parts.requests.clone());
    let fence = part.parts.cluster.is_some().then_some(part.k);
    let make = move || {
        let sink = NatsSink::new(of_nats.clone(), name.as_deref(), token.clone()).with_fence(fence);
        match requests.clone() {
            Some(requests) => sink.with_requests(requests),
            None => sink,
        }
    };
    relays.run(part, make, config.nats.servers.join(", "), nats_settings(part))
}

fn start_notify(relays: &mut Relays, part: &Part<'_>, _: Option<&Audience>) -> anyhow::Result<()> {
    let sink = Notify::new(&part.parts.config.notify).map_err(anyhow::Error::msg)?;
    let target = sink.target();
    relays.run(part, move || sink.clone(), target, notify_settings(part))
}

async fn test_mqtt(config: &Config) -> Result<String, String> {
    let instance =
        InstanceIdentity::peek(&config.storage.path).unwrap_or_else(|| std::process::id().to_string());
    let (mqtt, homeassistant) = (&config.mqtt, &config.homeassistant);
    let settings = MqttSettings::new(mqtt, homeassistant, &instance, config.instance.as_deref(), None)?;
    connect(&mut MqttSink::new(settings.for_check())).await
}

async fn connect(sink: &mut impl Sink) -> Result<String, String> {
    let session = sink.connect().await.map_err(|down| down.reason)?;
    sink.close().await;
    Ok(session.description)
}
