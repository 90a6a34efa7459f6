//! The composition root: opens the outbox, starts listeners and relays, supervises, drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod banner;
mod bridge_view;
mod files;
mod health;
pub mod identity;
mod in_force;
pub mod listeners;
mod reload;
mod secrets;
mod serve;
mod signals;
pub mod sinks;
mod test_alarm;
pub(crate) mod webhooks;

use crate::cluster::{Common, Member, RunningMember};
use crate::config::{Config, Loaded, Running, Sources};
use crate::findings::Findings;
use crate::http::{Ingest, IngestParts, Webhooks};
use crate::log::LogHandle;
use crate::outbox::{OpenError, Outbox, WriterSettings};
use crate::terminal::{Code, Failure};
use health::availability::{WatchList, watched};
use health::publisher::HealthPublisher;
use identity::InstanceIdentity;
use in_force::InForce;
use listeners::certificates::Certificates;
use listeners::sockets::Sockets;
use signals::{Action, Signals};
use sinks::Relays;
use sinks::broker::OptionalBroker;
use webhooks::registry::WebhookRegistry;

/// Longest wait for the cluster at the first start in it.
const FIRST_START: Duration = Duration::from_secs(8);

/// Options of one `serve` run.
#[derive(Debug)]
pub struct ServeOptions {
    /// File that receives the addresses once every listener is bound.
    pub ready_file: Option<PathBuf>,
    /// Sources of the configuration; SIGHUP reads them again.
    pub sources: Sources,
    /// Changes the level of the log.
    pub log: LogHandle,
}

/// Everything that runs, and the state needed to reload or stop it.
struct Bridge {
    config: Config,
    /// The configuration with the origin of each value, for pages.
    in_force: InForce,
    /// Settings that the running process cannot change, for comparison on a reload.
    running: Running,
    /// The command that sends alarms to this bridge.
    simulate: String,
    /// Latest lines of the log, for pages.
    log: crate::log::Ring,
    identity: Arc<InstanceIdentity>,
    findings: Findings,
    outbox: Outbox,
    webhook_registry: Arc<WebhookRegistry>,
    certificates: Certificates,
    health_publisher: HealthPublisher,
    devices: Arc<ArcSwap<crate::config::Devices>>,
    limits: Arc<ArcSwap<crate::config::Limits>>,
    watch_list: WatchList,
    ingest: Ingest,
    relays: Relays,
    cluster: Option<RunningMember>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    broker: OptionalBroker,
}

/// Runs the bridge until a signal.
///
/// # Errors
/// Fails when the bridge cannot start; a [`Failure`] in the error carries the exit code.
pub async fn run(loaded: Loaded, options: ServeOptions) -> anyhow::Result<()> {
    // Files created from here on, SQLite's journal files included, are readable by the owner only.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let mut signals = Signals::listen()?;
    let mut bridge = start(loaded, &options).await?;
    let outbox = bridge.outbox.clone();
    while next(&mut signals, &outbox).await? == Action::Reload {
        bridge.reload(&options).await;
    }
    health::systemd::stopping();
    let seconds = bridge.config.shutdown.seconds;
    tracing::info!("stopping, within {seconds} s; a second signal stops at once");
    let at_once = CancellationToken::new();
    tokio::spawn(signals.second(at_once.clone()));
    tokio::select! {
        () = bridge.stop() => tracing::info!("stopped"),
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {
            tracing::warn!("the shutdown time is over; undelivered messages stay for the next start");
        }
        () = at_once.cancelled() => tracing::warn!("stopped at once; undelivered messages stay for the next start"),
    }
    Ok(())
}

/// Waits for the next signal. Fails when the outbox writer has ended, since no alarm can be committed without it; the
/// service manager then restarts the bridge.
async fn next(signals: &mut Signals, outbox: &Outbox) -> anyhow::Result<Action> {
    tokio::select! {
        action = signals.next() => Ok(action),
        () = outbox.closed() => anyhow::bail!("the outbox writer ended because of an internal error: see the log"),
    }
}

/// Starts everything.
async fn start(loaded: Loaded, options: &ServeOptions) -> anyhow::Result<Bridge> {
    let (running, in_force) = (Running::from(&loaded), InForce::new(&loaded));
    let simulate = loaded.command("simulate", &options.sources);
    let mut config = loaded.config;
    files::raise_limit(config.limits.connections);
    let findings = Findings::default();
    let wants_broker = sinks::wants_embedded(&config);
    let names = sinks::names(&config, wants_broker);
    let settings = Arc::new(WriterSettings::new(&config));
    let outbox = open_outbox(&config, wants_broker, &settings, &findings)?;
    let (identity, cluster) = Box::pin(join(&mut config, settings, &outbox, &findings, &names)).await;
    let webhooks = webhooks::configured(&config, &identity, &findings)?;
    let certificates = Certificates::open(&config, &findings)?;
    let sockets = Sockets::bind(&config, &certificates).await?;
    let access = listeners::access::access(&config, &identity, sockets.admin().0.ip(), &findings)?;
    let broker = OptionalBroker::start(&mut config, wants_broker).await?;
    let public_url = serve::public_url(&config, sockets.admin());
    let (requests, asked) = tokio::sync::mpsc::channel(crate::sink::request::MAX_WAITING);
    let parts = sinks::SinkParts {
        config: &config,
        identity: &identity,
        outbox: &outbox,
        findings: &findings,
        public_url: public_url.clone(),
        requests,
        cluster: cluster.as_ref(),
    };
    let relays = Relays::start(&parts, broker.audience().as_ref())?;
    let stop = CancellationToken::new();
    let limits = Arc::new(ArcSwap::from_pointee(config.limits.clone()));
    let ready = sockets.ready(&webhooks.paths, broker.url());
    let where_to = (sockets.http(), sockets.https());
    let registry = WebhookRegistry::new(&config, &identity, &findings, webhooks.table.clone());
    let mut bridge = Bridge {
        webhook_registry: Arc::new(registry),
        health_publisher: HealthPublisher::new(outbox.clone(), findings.clone(), relays.statuses.clone()),
        devices: Arc::new(ArcSwap::from_pointee(config.devices.clone())),
        watch_list: Arc::new(ArcSwap::from_pointee(watched(&config.devices))),
        ingest: Ingest::new(ingest_parts(&config, &limits, &webhooks.table, &outbox, &findings, &stop)),
        tasks: JoinSet::new(),
        certificates,
        config,
        in_force,
        running,
        simulate,
        log: options.log.ring(),
        identity,
        findings,
        outbox,
        limits,
        relays,
        cluster,
        stop,
        broker,
    };
    bridge.serve(sockets, &access, public_url, asked);
    announce(&bridge, ready, &webhooks, where_to, options)?;
    Ok(bridge)
}

/// Opens the outbox for the enabled sinks, each partition of a cluster with its own.
fn open_outbox(
    config: &Config,
    wants_broker: bool,
    settings: &Arc<WriterSettings>,
    findings: &Findings,
) -> anyhow::Result<Outbox> {
    let keys = sinks::keys(config, wants_broker);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    Outbox::open(Arc::clone(settings), findings.clone(), &keys).map_err(|error| not_opened(&error))
}

/// Reports that everything listens: in the log, in the ready file, to systemd and on the terminal.
fn announce(
    bridge: &Bridge,
    ready: listeners::Ready,
    webhooks: &webhooks::Configured,
    where_to: (SocketAddr, Option<SocketAddr>),
    options: &ServeOptions,
) -> anyhow::Result<()> {
    ready.log();
    ready.announce(options.ready_file.as_deref(), &bridge.config.storage.path)?;
    health::systemd::ready(&ready.admin);
    let fingerprint = bridge.certificates.fingerprint();
    webhooks.print(&ready, where_to, fingerprint.as_deref(), &bridge.simulate, &bridge.config)?;
    bridge.webhook_registry.announced(ready);
    Ok(())
}

/// Opens this instance's identity and joins the cluster, if one is configured; else decides what a cluster left here. All members of a cluster publish under
/// the identity of its first one.
async fn join(
    config: &mut Config,
    settings: Arc<WriterSettings>,
    outbox: &Outbox,
    findings: &Findings,
    sinks: &[&str],
) -> (Arc<InstanceIdentity>, Option<RunningMember>) {
    let mut identity = InstanceIdentity::open(&config.storage.path, findings);
    if !config.cluster.is_on() {
        crate::cluster::take_up(outbox, findings).await;
        return (Arc::new(identity), None);
    }
    let name = config.instance.take().unwrap_or_default();
    let own = Common::of(&config.cluster, &identity.instance, &identity.snapshot_key);
    let mut common = Common::kept(&config.storage.path);
    if common.is_none() {
        // At the first start only: the cluster may have an identity.
        let asked = own.clone().ask_until(&config.cluster, &name);
        common = tokio::time::timeout(FIRST_START, Box::pin(asked)).await.ok();
    }
    let common = common.unwrap_or(own);
    identity.instance.clone_from(&common.cluster_id);
    identity.snapshot_key = common.key();
    let member = Member {
        name,
        config: config.cluster.clone(),
        settings: Arc::new(ArcSwap::new(settings)),
        common,
        folder: config.storage.path.clone(),
        outbox: outbox.clone(),
        findings: findings.clone(),
        sinks: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        counts: crate::metrics::ClusterMetrics::default(),
    };
    (Arc::new(identity), Some(member.join()))
}

/// State shared by all ingest listeners.
fn ingest_parts(
    config: &Config,
    limits: &Arc<ArcSwap<crate::config::Limits>>,
    webhooks: &Webhooks,
    outbox: &Outbox,
    findings: &Findings,
    stop: &CancellationToken,
) -> IngestParts {
    IngestParts {
        limits: Arc::clone(limits),
        proxies: config.http.proxies.clone(),
        webhooks: webhooks.clone(),
        outbox: outbox.clone(),
        findings: findings.clone(),
        shutdown: stop.clone(),
    }
}

impl Bridge {
    /// Stops in order: closes the listeners, finishes bodies in progress, publishes what is committed while
    /// acknowledgements arrive, publishes `offline`, disconnects.
    async fn stop(mut self) {
        self.stop.cancel();
        self.ingest.drain().await;
        if self.outbox.flush().await.is_err() {
            tracing::error!("the outbox ended before the bridge did");
        }
        self.relays.stop().await;
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
        self.outbox.stop().await;
        while self.tasks.join_next().await.is_some() {}
        self.broker.stop().await;
        drop(std::fs::remove_file(self.config.storage.path.join(crate::simulate::target::RUNNING)));
    }
}

/// Error of an outbox that could not be opened, with the exit code.
fn not_opened(error: &OpenError) -> anyhow::Error {
    let code = match error {
        OpenError::Newer(_) | OpenError::InUse(_) => Code::Config,
        OpenError::Thread(_) => Code::Internal,
    };
    Failure::new(code, error.to_string()).into()
}
