//! Starts a relay for each sink that is on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::identity::Identity;
use crate::config::{self, Config};
use crate::findings::Findings;
use crate::model::status::SinkInfo;
use crate::outbox::Outbox;
use crate::relay::{Relay, Status};
use crate::render::{Names, RenderSettings, Renderer};
use crate::sink::Sink;
use crate::sink::mqtt::{Mqtt, MqttSettings};
use crate::sink::nats::Nats;
use crate::sink::stdout::Stdout;

/// The names of the sinks that are on. The embedded broker's is `mqtt` too.
#[must_use]
pub fn names(config: &Config, embedded: bool) -> Vec<&'static str> {
    let mut names = Vec::new();
    if config.mqtt.server.is_some() || embedded {
        names.push("mqtt");
    }
    if !config.nats.servers.is_empty() {
        names.push("nats");
    }
    if config.stdout.enabled {
        names.push("stdout");
    }
    names
}

/// Whether the embedded broker is to run: only while no sink is on.
#[must_use]
pub fn wants_embedded(config: &Config) -> bool {
    names(config, false).is_empty()
}

/// All relays of a running bridge.
#[derive(Debug)]
pub struct Relays {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    /// Ends relays that are still at work when the bridge is gone.
    end: DropGuard,
    /// How each sink is doing.
    pub statuses: Vec<Status>,
    /// What each sink publishes, in the same order.
    pub renderers: Vec<Arc<Renderer>>,
    /// Where each sink goes, without secrets.
    pub targets: Vec<SinkInfo>,
}

/// What relays are made from.
pub struct Parts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// This instance.
    pub identity: &'a Identity,
    /// Where alarms come from.
    pub outbox: &'a Outbox,
    /// What is seen on the way.
    pub findings: &'a Findings,
    /// The admin page as others reach it.
    pub public_url: Option<String>,
}

impl Relays {
    /// Starts the relays of the sinks that are on.
    ///
    /// # Errors
    /// When settings of a sink cannot be used.
    pub fn start(parts: &Parts<'_>, audience: Option<crate::sink::mqtt::Audience>) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut this = Self {
            tasks: JoinSet::new(),
            stop,
            end: CancellationToken::new().drop_guard(),
            statuses: Vec::new(),
            renderers: Vec::new(),
            targets: Vec::new(),
        };
        let config = parts.config;
        if let Some(server) = &config.mqtt.server {
            let token = parts.outbox.position("mqtt").token;
            let (instance, name) = (&parts.identity.instance, config.instance.as_deref());
            let settings = MqttSettings::new(&config.mqtt, &config.homeassistant, instance, name, token);
            let mut sink = Mqtt::new(settings.map_err(anyhow::Error::msg)?);
            if let Some(audience) = audience {
                sink = sink.with_audience(audience);
            }
            this.run(parts, sink, server.clone(), mqtt_settings(parts))?;
        }
        if !config.nats.servers.is_empty() {
            let token = parts.outbox.position("nats").token;
            let sink = Nats::new(config.nats.clone(), config.instance.as_deref(), token);
            this.run(parts, sink, config.nats.servers.join(", "), nats_settings(parts))?;
        }
        if config.stdout.enabled {
            this.run(parts, Stdout::default(), "standard output".into(), mqtt_settings(parts))?;
        }
        Ok(this)
    }

    fn run<S: Sink>(
        &mut self,
        parts: &Parts<'_>,
        sink: S,
        target: String,
        settings: RenderSettings,
    ) -> anyhow::Result<()> {
        let name = sink.traits().name;
        let status = Status::new(name);
        self.statuses.push(status.clone());
        self.targets.push(SinkInfo { name: name.into(), target });
        let seconds = i64::try_from(parts.config.time.replay_after_seconds).unwrap_or(i64::MAX);
        let renderer =
            Arc::new(Renderer::new(settings).with_context(|| format!("the sink {name} cannot be set up"))?);
        self.renderers.push(Arc::clone(&renderer));
        let relay = Relay {
            sink,
            renderer,
            outbox: parts.outbox.clone(),
            findings: parts.findings.clone(),
            status,
            replay_after: SignedDuration::from_secs(seconds),
            each_picture: parts.config.snapshots.enabled && parts.config.snapshots.each,
            stop: self.stop.clone(),
            drain: Duration::from_secs(parts.config.shutdown.seconds).mul_f64(0.4),
        };
        // A thread of its own: it may wait for the disk without holding up the tasks of another one.
        let (runtime, end) = (tokio::runtime::Handle::current(), self.end.token().clone());
        let work = async move { end.run_until_cancelled(relay.run()).await.unwrap_or_default() };
        self.tasks.spawn_blocking(move || runtime.block_on(work));
        Ok(())
    }

    /// Drains what can be drained and says goodbye everywhere.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a relay ended badly: {error}");
            }
        }
    }
}

/// What all sinks share.
fn mqtt_settings(parts: &Parts<'_>) -> RenderSettings {
    RenderSettings {
        public_url: parts.public_url.clone(),
        snapshot_key: Some(parts.identity.snapshot_key),
        ..render_settings(parts.config, &parts.identity.instance)
    }
}

/// What messages depend on, as far as the configuration tells it: pictures have no address.
#[must_use]
pub fn render_settings(config: &Config, instance: &str) -> RenderSettings {
    RenderSettings {
        base: config.mqtt.base_topic.clone(),
        bridge: config
            .instance
            .as_ref()
            .map_or_else(|| "bridge".into(), |instance| format!("bridge-{instance}")),
        names: Names::Topics,
        topics: config.topics.clone(),
        public_url: None,
        snapshot_key: None,
        snapshots: config.snapshots.clone(),
        homeassistant: Some(config.homeassistant.clone()),
        instance: config.instance.clone().unwrap_or_else(|| instance.to_owned()),
        version: env!("CARGO_PKG_VERSION").into(),
        support_url: None,
    }
}

/// NATS has fixed subjects and no discovery.
fn nats_settings(parts: &Parts<'_>) -> RenderSettings {
    RenderSettings {
        base: parts.config.nats.subject_prefix.clone(),
        names: Names::Subjects,
        topics: config::Topics::default(),
        homeassistant: None,
        ..mqtt_settings(parts)
    }
}
