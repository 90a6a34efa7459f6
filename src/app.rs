//! The composition root: opens the outbox, starts listeners and relays, supervises, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod banner;
mod files;
pub mod identity;
pub mod listeners;
mod pulse;
mod reload;
mod signals;
pub mod sinks;
mod webhooks;

use crate::cli::{Code, Failure};
use crate::config::{Config, Loaded, Sources};
use crate::findings::Findings;
use crate::http::{Connections, Ingest, Listener, Parts, Webhooks, admin_router, ingest_router};
use crate::log::LogHandle;
use crate::outbox::{OpenError, Outbox, Settings};
use identity::Identity;
use listeners::{Ready, bind, reachable};
use pulse::Pulse;
use signals::{Signals, Told};
use sinks::Relays;

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
    webhooks: Webhooks,
    limits: Arc<ArcSwap<crate::config::Limits>>,
    ingest: Ingest,
    relays: Relays,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    #[cfg(feature = "embedded-broker")]
    embedded: Option<crate::sink::embedded::Embedded>,
}

/// Runs the bridge until a signal.
///
/// # Errors
/// When it cannot start; a [`Failure`] inside says with which exit code.
pub async fn run(loaded: Loaded, options: ServeOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut bridge = start(loaded.config, options.ready_file.as_deref()).await?;
    let outbox = bridge.outbox.clone();
    loop {
        let told = tokio::select! {
            told = signals.next() => told,
            () = outbox.closed() => anyhow::bail!("the outbox ended by a mistake of its own: see the log"),
        };
        match told {
            Told::Stop => break,
            Told::Reload => bridge.reload(&options).await,
        }
    }
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
    files::raise_limit(config.limits.connections);
    let findings = Findings::default();
    let wants_broker = sinks::wants_embedded(&config);
    let names = sinks::names(&config, wants_broker);
    let outbox =
        Outbox::open(Arc::new(Settings::new(&config)), findings.clone(), &names).map_err(not_opened)?;
    let identity = Arc::new(Identity::open(&config.storage.path, &findings));
    let webhooks = webhooks::configured(&config, &identity, &findings)?;
    let http = bind("http.bind", config.http.bind).await?;
    let admin = bind("admin.bind", config.admin.bind).await?;
    #[cfg(feature = "embedded-broker")]
    let embedded = start_broker(&mut config, wants_broker).await?;
    #[cfg(not(feature = "embedded-broker"))]
    no_broker(&mut config, wants_broker)?;
    let (http_address, admin_address) = (http.local_addr()?, admin.local_addr()?);
    let public_url = public_url(&config, admin_address);
    let parts = sinks::Parts {
        config: &config,
        identity: &identity,
        outbox: &outbox,
        findings: &findings,
        public_url: public_url.clone(),
    };
    #[cfg(feature = "embedded-broker")]
    let audience = embedded.as_ref().map(|embedded| embedded.audience.clone());
    #[cfg(not(feature = "embedded-broker"))]
    let audience = None;
    let relays = Relays::start(&parts, audience)?;
    let stop = CancellationToken::new();
    let limits = Arc::new(ArcSwap::from_pointee(config.limits.clone()));
    let ingest = Ingest::new(Parts {
        limits: Arc::clone(&limits),
        proxies: config.http.proxies.clone(),
        webhooks: webhooks.table.clone(),
        outbox: outbox.clone(),
        findings: findings.clone(),
        shutdown: stop.clone(),
    });
    let pulse =
        Pulse { outbox: outbox.clone(), findings: findings.clone(), statuses: relays.statuses.clone() };
    let mut tasks = JoinSet::new();
    let listener = |router, findings| Listener {
        tls: None,
        router,
        connections: Connections::new(Arc::clone(&limits)),
        limits: Arc::clone(&limits),
        findings,
        shutdown: stop.clone(),
    };
    tasks.spawn(listener(ingest_router(&ingest), Some(findings.clone())).serve(http));
    tasks.spawn(listener(admin_router(Arc::new(pulse.clone())), None).serve(admin));
    tasks.spawn(Arc::clone(&identity).keep(outbox.clone(), findings.clone(), stop.clone()));
    tasks.spawn(pulse.run(pulse::info(&identity.instance, public_url, relays.targets.clone()), stop.clone()));
    let ready = Ready {
        ingest: vec![format!("http://{}", reachable(http_address))],
        webhooks: webhooks
            .paths
            .iter()
            .map(|path| format!("http://{}{path}", reachable(http_address)))
            .collect(),
        admin: format!("http://{}", reachable(admin_address)),
        #[cfg(feature = "embedded-broker")]
        mqtt: embedded.as_ref().map(|embedded| format!("mqtt://{}", embedded.addr)),
        #[cfg(not(feature = "embedded-broker"))]
        mqtt: None,
    };
    ready.log();
    ready.announce(ready_file, &config.storage.path)?;
    webhooks.print(&ready, http_address, &config)?;
    Ok(Bridge {
        webhooks: webhooks.table,
        config,
        identity,
        findings,
        outbox,
        limits,
        ingest,
        relays,
        tasks,
        stop,
        #[cfg(feature = "embedded-broker")]
        embedded,
    })
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
        #[cfg(feature = "embedded-broker")]
        if let Some(embedded) = self.embedded.take() {
            embedded.stop().await;
        }
        drop(std::fs::remove_file(self.config.storage.path.join(crate::simulate::target::RUNNING)));
    }
}

/// Starts the embedded broker, and points the MQTT sink to it.
#[cfg(feature = "embedded-broker")]
async fn start_broker(
    config: &mut Config,
    wanted: bool,
) -> anyhow::Result<Option<crate::sink::embedded::Embedded>> {
    if !wanted {
        return Ok(None);
    }
    let embedded =
        crate::sink::embedded::Embedded::start(&config.broker).await.map_err(anyhow::Error::msg)?;
    config.mqtt.server = Some(format!("mqtt://{}", reachable(embedded.addr)));
    config.mqtt.user.clone_from(&config.broker.user);
    config.mqtt.password.clone_from(&config.broker.password);
    Ok(Some(embedded))
}

/// Without a sink there would be nowhere to publish to.
#[cfg(not(feature = "embedded-broker"))]
fn no_broker(_: &mut Config, wanted: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        !wanted,
        "no sink is configured and this build has no embedded broker: set mqtt.server, nats.servers or stdout.enabled"
    );
    Ok(())
}

/// How others reach the admin page, if they do.
fn public_url(config: &Config, admin: std::net::SocketAddr) -> Option<String> {
    let given = config.admin.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    given.or_else(|| {
        let ip = if admin.ip().is_unspecified() { listeners::lan_address()? } else { admin.ip() };
        (!ip.is_loopback()).then(|| format!("http://{}", std::net::SocketAddr::new(ip, admin.port())))
    })
}

/// Why the outbox could not be opened, with the exit code.
fn not_opened(error: OpenError) -> anyhow::Error {
    let code = match &error {
        OpenError::Newer(_) | OpenError::InUse(_) => Code::Config,
        OpenError::Thread(_) => Code::Internal,
    };
    Failure::new(code, error.to_string()).into()
}
