//! The composition root: opens the outbox, starts listeners and relays, supervises, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod access;
mod banner;
mod broker;
mod certificates;
mod gauges;
pub mod identity;
pub mod listeners;
mod progress;
mod pulse;
mod reload;
mod signals;
pub mod sinks;
mod sockets;
mod systemd;
pub mod trial;
mod webhooks;

use crate::cli::{Code, Failure};
use crate::config::{Config, Loaded, Sources};
use crate::findings::Findings;
use crate::http::{Access, Ingest, Parts, Webhooks, admin_router, ingest_router, metrics_router};
use crate::log::LogHandle;
use crate::metrics::Metrics;
use crate::outbox::{OpenError, Outbox, Settings};
use broker::Broker;
use certificates::Certificates;
use gauges::Gauges;
use identity::Identity;
use pulse::Pulse;
use signals::{Signals, Told};
use sinks::Relays;
use sockets::{Serving, Sockets};

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
    identity: Identity,
    findings: Findings,
    outbox: Outbox,
    webhooks: Webhooks,
    certificates: Certificates,
    pulse: Pulse,
    limits: Arc<ArcSwap<crate::config::Limits>>,
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
    loop {
        match signals.next().await {
            Told::Stop => break,
            Told::Reload => bridge.reload(&options).await,
        }
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

/// Starts everything.
async fn start(mut config: Config, ready_file: Option<&std::path::Path>) -> anyhow::Result<Bridge> {
    let findings = Findings::default();
    let wants_broker = sinks::wants_embedded(&config);
    let names = sinks::names(&config, wants_broker);
    let outbox = Outbox::open(Arc::new(Settings::new(&config)), findings.clone(), &names)
        .map_err(|error| not_opened(&error))?;
    let identity = Identity::open(&config.storage.path, &findings);
    let webhooks = webhooks::configured(&config, &identity, &findings)?;
    let certificates = Certificates::open(&config, &findings)?;
    let sockets = Sockets::bind(&config, &certificates).await?;
    let access = access::access(&config, sockets.admin().0.ip(), &findings)?;
    let broker = Broker::start(&mut config, wants_broker).await?;
    let public_url = public_url(&config, sockets.admin());
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
    let ingest = Ingest::new(ingest_parts(&config, &limits, &webhooks.table, &outbox, &findings, &stop));
    let ready = sockets.ready(&webhooks.paths, broker.url());
    let where_to = (sockets.http(), sockets.https());
    let mut bridge = Bridge {
        webhooks: webhooks.table.clone(),
        certificates,
        pulse: Pulse::new(outbox.clone(), findings.clone(), relays.statuses.clone()),
        config,
        identity,
        findings,
        outbox,
        limits,
        ingest,
        relays,
        tasks: JoinSet::new(),
        stop,
        broker,
    };
    bridge.serve(sockets, &access, public_url);
    ready.log();
    ready.announce(ready_file, &bridge.config.storage.path)?;
    systemd::ready(&ready.admin);
    webhooks.print(&ready, where_to, bridge.certificates.fingerprint().as_deref(), &bridge.config)?;
    Ok(bridge)
}

impl Bridge {
    /// Answers requests, and watches over it all, until the stop.
    fn serve(&mut self, sockets: Sockets, access: &Access, public_url: Option<String>) {
        let serving = Serving::new(&self.limits, &self.findings, &self.stop);
        let gauges = Gauges {
            pulse: self.pulse.clone(),
            connections: [
                ("ingest", Arc::clone(&serving.cameras)),
                ("admin", Arc::clone(&serving.operators)),
            ],
            folder: self.config.storage.path.clone(),
            started: jiff::Timestamp::now(),
        };
        let metrics = Metrics::new(&self.ingest.metrics(), &self.outbox.metrics(), Arc::new(gauges));
        let admin = admin_router(Arc::new(self.pulse.clone())).merge(metrics_router(metrics));
        sockets.serve(&mut self.tasks, &ingest_router(&self.ingest), access.protect(admin), &serving);
        self.tasks.spawn(self.certificates.clone().watch(self.stop.clone()));
        self.tasks.spawn(systemd::watchdog(self.pulse.clone(), self.stop.clone()));
        let info = pulse::info(&self.identity.instance, public_url, self.relays.targets.clone());
        self.tasks.spawn(self.pulse.clone().run(info, self.stop.clone()));
    }

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

/// How others reach the admin page, if they do.
fn public_url(config: &Config, (admin, tls): (std::net::SocketAddr, bool)) -> Option<String> {
    let given = config.admin.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    given.or_else(|| {
        let ip = if admin.ip().is_unspecified() { listeners::lan_address()? } else { admin.ip() };
        let scheme = if tls { "https" } else { "http" };
        (!ip.is_loopback()).then(|| format!("{scheme}://{}", std::net::SocketAddr::new(ip, admin.port())))
    })
}

/// Why the outbox could not be opened, with the exit code.
fn not_opened(error: &OpenError) -> anyhow::Error {
    let code = match error {
        OpenError::Newer(_) | OpenError::InUse(_) => Code::Config,
        OpenError::Thread(_) => Code::Internal,
    };
    Failure::new(code, error.to_string()).into()
}
