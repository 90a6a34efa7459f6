//! Starts a relay for each enabled sink.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::identity::InstanceIdentity;
use crate::cluster::{self, RunningMember};
use crate::config::{self, Config, NotifyPicture};
use crate::findings::{FindingCode, Findings};
use crate::model::picture::variant::PictureForm;
use crate::model::status::SinkInfo;
use crate::outbox::Outbox;
use crate::relay::{Relay, StatusHandle};
use crate::render::{Names, RenderSettings, Renderer};
use crate::sink::Sink;
use crate::sink::mqtt::Audience;
use crate::sink::partition::Partition;
use crate::sink::request::RequestSender;

mod kinds;
mod part;
mod reach;

pub(in crate::app) use kinds::KINDS;
use kinds::SinkKind;
use part::{Part, partitions};
pub(in crate::app) use reach::SinkBrokers;

pub(super) mod broker;
pub(super) mod requests;
pub mod sink_test;

/// Keys of the enabled sinks in the outbox: one for each partition.
#[must_use]
pub fn keys(config: &Config, embedded: bool) -> Vec<String> {
    let names = names(config, embedded);
    let of_partition = |k| names.iter().map(move |name| cluster::of_partition(name, k));
    (0..partitions(config)).flat_map(of_partition).collect()
}

/// Names of the enabled sinks. The embedded broker's is `mqtt` too.
#[must_use]
pub fn names(config: &Config, embedded: bool) -> Vec<&'static str> {
    let is_on = |kind: &&SinkKind| (kind.is_on)(config) || (embedded && kind.name == "mqtt");
    KINDS.iter().filter(is_on).map(|kind| kind.name).collect()
}

/// Returns whether the embedded broker is to run: only while no sink is on.
#[must_use]
pub fn wants_embedded(config: &Config) -> bool {
    names(config, false).is_empty() && !config.cluster.is_on()
}

/// Relays of a running bridge.
#[derive(Debug)]
pub struct Relays {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    /// Aborts relays that still run when the bridge is dropped.
    end: DropGuard,
    /// Status of each sink.
    pub statuses: Vec<StatusHandle>,
    /// Renderer of each sink, in the same order.
    pub renderers: Vec<Arc<Renderer>>,
    /// Target of each sink, without secrets.
    pub targets: Vec<SinkInfo>,
}

/// Dependencies of the relays.
pub struct SinkParts<'a> {
    /// Configuration.
    pub config: &'a Config,
    /// Identity of this instance.
    pub identity: &'a InstanceIdentity,
    /// Outbox that alarms are read from.
    pub outbox: &'a Outbox,
    /// Findings.
    pub findings: &'a Findings,
    /// URL of the admin page for other machines.
    pub public_url: Option<String>,
    /// Channel for requests from clients of a broker.
    pub requests: RequestSender,
    /// The cluster, if there is one.
    pub cluster: Option<&'a RunningMember>,
}

impl Relays {
    /// Starts the relays of the enabled sinks.
    ///
    /// # Errors
    /// Fails when the settings of a sink cannot be used.
    pub fn start(parts: &SinkParts<'_>, audience: Option<&Audience>) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut this = Self {
            tasks: JoinSet::new(),
            stop,
            end: CancellationToken::new().drop_guard(),
            statuses: Vec::new(),
            renderers: Vec::new(),
            targets: Vec::new(),
        };
        for k in 0..partitions(parts.config) {
            let part = Part::new(parts, k);
            for kind in KINDS.iter().filter(|kind| (kind.is_on)(parts.config)) {
                (kind.start)(&mut this, &part, audience)?;
            }
        }
        Ok(this)
    }

    fn run<S: Sink>(
        &mut self,
        part: &Part<'_>,
        make: impl Fn() -> S + Send + 'static,
        target: String,
        settings: RenderSettings,
    ) -> anyhow::Result<()> {
        let parts = part.parts;
        let kind = make().traits().name;
        let name = part.key(kind);
        let status = StatusHandle::new(name);
        let standby = parts.cluster.is_some();
        status.update(|status| status.standby = standby);
        self.statuses.push(status.clone());
        self.targets.push(SinkInfo { name: name.into(), target });
        let seconds = i64::try_from(parts.config.time.replay_after_seconds).unwrap_or(i64::MAX);
        let pictures = match kind {
            "mqtt" => parts.config.mqtt.pictures.clone(),
            "nats" => parts.config.nats.pictures.clone(),
            "notify" => picture_form(&parts.config.notify).into_iter().collect(),
            _ => Vec::new(),
        };
        let each_picture = settings.snapshots.enabled && settings.snapshots.each;
        let renderer =
            Arc::new(Renderer::new(settings).with_context(|| format!("the sink {name} cannot be set up"))?);
        self.renderers.push(Arc::clone(&renderer));
        let outbox = parts.outbox.clone().scoped(part.scope());
        let (findings, stop) = (parts.findings.clone(), self.stop.clone());
        let drain = Duration::from_secs(parts.config.shutdown.seconds).mul_f64(0.4);
        let gate = parts.cluster.map(|cluster| cluster.gate(part.k));
        let relay = move || Relay {
            sink: Partition { sink: make(), name, gate: gate.clone() },
            renderer: Arc::clone(&renderer),
            outbox: outbox.clone(),
            findings: findings.clone(),
            status: status.clone(),
            replay_after: SignedDuration::from_secs(seconds),
            each_picture,
            pictures: pictures.clone(),
            stop: stop.clone(),
            drain,
        };
        let (owner, stop) = (parts.cluster.and_then(|cluster| cluster.owner(part.k)), self.stop.clone());
        // A thread of its own, so that waiting for the disk does not delay the tasks of other sinks.
        let (runtime, end) = (tokio::runtime::Handle::current(), self.end.token().clone());
        let work = async move {
            let Some(owner) = owner else {
                return end.run_until_cancelled(relay().run()).await.unwrap_or_default();
            };
            end.run_until_cancelled(while_owner(owner, stop, relay)).await.unwrap_or_default();
        };
        self.tasks.spawn_blocking(move || runtime.block_on(work));
        Ok(())
    }

    /// Delivers what can be delivered, then closes every sink.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a relay ended with an error: {error}");
            }
        }
    }
}

/// Runs a relay while this instance owns the cluster's publishing. An instance that loses it drops its connection
/// without `offline`.
async fn while_owner<S: Sink>(
    mut owner: watch::Receiver<bool>,
    stop: CancellationToken,
    relay: impl Fn() -> Relay<S>,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            owns = owner.wait_for(|owns| *owns) => if owns.is_err() { return },
        }
        let relay = relay();
        relay.status.update(|status| status.standby = false);
        let (status, findings, name) =
            (relay.status.clone(), relay.findings.clone(), relay.sink.traits().name);
        tokio::select! {
            () = relay.run() => return,
            _ = owner.wait_for(|owns| !*owns) => {
                status.update(|status| (status.connected, status.standby) = (false, true));
                // Its link was cut for the new owner: that is no trouble.
                for code in [FindingCode::BrokerTakenOver, FindingCode::BrokerUnreachable] {
                    findings.settle(code, name);
                }
            }
        }
    }
}

/// Render settings of MQTT sinks.
fn mqtt_settings(part: &Part<'_>) -> RenderSettings {
    let parts = part.parts;
    let settings = RenderSettings {
        public_url: parts.public_url.clone(),
        snapshot_key: Some(parts.identity.snapshot_key),
        ..render_settings(parts.config, &part.instance)
    };
    if part.k == 0 {
        return settings;
    }
    RenderSettings { bridge: format!("bridge-p{}", part.k), instance: part.instance.clone(), ..settings }
}

/// Render settings that follow from the configuration alone: without picture URLs.
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
        mute_topic: config.requests.mute_topic,
        instance: config.instance.clone().unwrap_or_else(|| instance.to_owned()),
        version: env!("CARGO_PKG_VERSION").into(),
        support_url: None,
    }
}

/// Variant of pictures that goes along with notifications.
fn picture_form(notify: &config::Notify) -> Option<PictureForm> {
    notify.picture_form.filter(|_| notify.picture != NotifyPicture::None)
}

/// Render settings of notifications: every picture is sent, or its variant, since each goes along with its alarm.
fn notify_settings(part: &Part<'_>) -> RenderSettings {
    let parts = part.parts;
    let snapshots = &parts.config.snapshots;
    let notify = &parts.config.notify;
    let each = notify.picture != NotifyPicture::None && notify.picture_form.is_none();
    RenderSettings {
        snapshots: config::Snapshots { each, latest: false, ..snapshots.clone() },
        homeassistant: None,
        ..mqtt_settings(part)
    }
}

/// Render settings of NATS, which has fixed subjects and no discovery.
fn nats_settings(part: &Part<'_>) -> RenderSettings {
    RenderSettings {
        base: part.parts.config.nats.subject_prefix.clone(),
        names: Names::Subjects,
        topics: config::Topics::default(),
        homeassistant: None,
        ..mqtt_settings(part)
    }
}
