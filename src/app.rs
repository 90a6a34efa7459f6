//! The composition root: opens the outbox, starts listeners and relays, supervises, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod access;
mod admin;
mod availability;
mod banner;
mod broker;
mod certificates;
pub mod control;
mod files;
mod gauges;
pub(crate) mod hooks;
pub mod identity;
mod inside;
pub mod kept;
pub mod listeners;
mod lookout;
mod misdirected;
mod progress;
mod pulse;
mod reload;
mod serve;
mod signals;
pub mod sinks;
mod sockets;
mod systemd;
pub mod trial;
mod webhooks;

use crate::cli::{Code, Failure};
use crate::config::{Config, Loaded, Sources};
use crate::findings::Findings;
use crate::http::{Ingest, Parts, Webhooks};
use crate::log::LogHandle;
use crate::outbox::{OpenError, Outbox, Settings};
use availability::{WatchList, watched};
use broker::Broker;
use certificates::Certificates;
use hooks::Hooks;
use identity::Identity;
use pulse::Pulse;
use signals::{Signals, Told};
use sinks::Relays;
use sockets::Sockets;

/// How `serve` was started.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to write the addresses once everything listens.
    pub ready_file: Option<PathBuf>,
    /// What the configuration was loaded from: SIGHUP loads it again.
    pub sources: Sources,
    /// Changes the level of the log.
    pub log: LogHandle,
}

/// What runs, and what it takes to change or stop it.
struct Bridge {
    config: Config,
    identity: Arc<Identity>,
    findings: Findings,
    outbox: Outbox,
    hooks: Arc<Hooks>,
    certificates: Certificates,
    pulse: Pulse,
    devices: Arc<ArcSwap<crate::config::Devices>>,
    limits: Arc<ArcSwap<crate::config::Limits>>,
    watch_list: WatchList,
    ingest: Ingest,
    relays: Relays,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    broker: Broker,
}

/// Runs the bridge until a signal.
///
/// # Errors
/// When it cannot start; a [`Failure`] inside says with which exit code.
pub async fn run(loaded: Loaded, options: ServeOptions) -> anyhow::Result<()> {
    // Whatever is written from here on, SQLite's companions included, is for the owner alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let mut signals = Signals::listen()?;
    let mut bridge = start(loaded.config, options.ready_file.as_deref()).await?;
    let outbox = bridge.outbox.clone();
    while next(&mut signals, &outbox).await? == Told::Reload {
        bridge.reload(&options).await;
    }
    systemd::stopping();
    let seconds = bridge.config.shutdown.seconds;
    tracing::info!("stopping, within {seconds} s; a second signal stops at once");
    let at_once = CancellationToken::new();
    tokio::spawn(signals.second(at_once.clone()));
    tokio::select! {
        () = bridge.stop() => tracing::info!("stopped"),
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {
            tracing::warn!("the time to stop is over; what is not delivered stays for the next start");
        }
        () = at_once.cancelled() => tracing::warn!("stopped at once; what is not delivered stays for the next start"),
    }
    Ok(())
}

/// The next signal. Without the writer no alarm can be taken in: then somebody has to start the bridge again.
async fn next(signals: &mut Signals, outbox: &Outbox) -> anyhow::Result<Told> {
    tokio::select! {
        told = signals.next() => Ok(told),
        () = outbox.closed() => anyhow::bail!("the outbox ended by a mistake of its own: see the log"),
    }
}

/// Starts everything.
async fn start(mut config: Config, ready_file: Option<&std::path::Path>) -> anyhow::Result<Bridge> {
    files::raise_limit(config.limits.connections);
    let findings = Findings::default();
    let wants_broker = sinks::wants_embedded(&config);
    let names = sinks::names(&config, wants_broker);
    let outbox = Outbox::open(Arc::new(Settings::new(&config)), findings.clone(), &names)
        .map_err(|error| not_opened(&error))?;
    let identity = Arc::new(Identity::open(&config.storage.path, &findings));
    let webhooks = webhooks::configured(&config, &identity, &findings)?;
    let certificates = Certificates::open(&config, &findings)?;
    let sockets = Sockets::bind(&config, &certificates).await?;
    let access = access::access(&config, &identity, sockets.admin().0.ip(), &findings)?;
    let broker = Broker::start(&mut config, wants_broker).await?;
    let public_url = serve::public_url(&config, sockets.admin());
    let parts = sinks::Parts {
        config: &config,
        identity: &identity,
        outbox: &outbox,
        findings: &findings,
        public_url: public_url.clone(),
    };
    let relays = Relays::start(&parts, broker.audience())?;
    let stop = CancellationToken::new();
    let limits = Arc::new(ArcSwap::from_pointee(config.limits.clone()));
    let ready = sockets.ready(&webhooks.paths, broker.url());
    let where_to = (sockets.http(), sockets.https());
    let mut bridge = Bridge {
        hooks: Arc::new(Hooks::new(&config, &identity, &findings, webhooks.table.clone())),
        pulse: Pulse::new(outbox.clone(), findings.clone(), relays.statuses.clone()),
        devices: Arc::new(ArcSwap::from_pointee(config.devices.clone())),
        watch_list: Arc::new(ArcSwap::from_pointee(watched(&config.devices))),
        ingest: Ingest::new(ingest_parts(&config, &limits, &webhooks.table, &outbox, &findings, &stop)),
        tasks: JoinSet::new(),
        certificates,
        config,
        identity,
        findings,
        outbox,
        limits,
        relays,
        stop,
        broker,
    };
    bridge.serve(sockets, &access, public_url);
    ready.log();
    ready.announce(ready_file, &bridge.config.storage.path)?;
    systemd::ready(&ready.admin);
    webhooks.print(&ready, where_to, bridge.certificates.fingerprint().as_deref(), &bridge.config)?;
    bridge.hooks.announced(ready);
    Ok(bridge)
}

/// What the ingest listeners work with.
fn ingest_parts(
    config: &Config,
    limits: &Arc<ArcSwap<crate::config::Limits>>,
    webhooks: &Webhooks,
    outbox: &Outbox,
    findings: &Findings,
    stop: &CancellationToken,
) -> Parts {
    Parts {
        limits: Arc::clone(limits),
        proxies: config.http.proxies.clone(),
        webhooks: webhooks.clone(),
        outbox: outbox.clone(),
        findings: findings.clone(),
        shutdown: stop.clone(),
    }
}

impl Bridge {
    /// Stops in good order: no new connections, bodies in progress end, what is committed goes out while
    /// acknowledgements come, `offline`, disconnect.
    async fn stop(mut self) {
        self.stop.cancel();
        self.ingest.drain().await;
        if self.outbox.flush().await.is_err() {
            tracing::error!("the outbox ended before the bridge did");
        }
        self.relays.stop().await;
        self.outbox.stop().await;
        while self.tasks.join_next().await.is_some() {}
        self.broker.stop().await;
        drop(std::fs::remove_file(self.config.storage.path.join(crate::simulate::target::RUNNING)));
    }
}

/// Why the outbox could not be opened, with the exit code.
fn not_opened(error: &OpenError) -> anyhow::Error {
    let code = match error {
        OpenError::Newer(_) | OpenError::InUse(_) => Code::Config,
        OpenError::Thread(_) => Code::Internal,
    };
    Failure::new(code, error.to_string()).into()
}
