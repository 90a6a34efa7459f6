//! The composition root: opens the outbox, starts listeners and relays, supervises, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod admin;
mod availability;
mod banner;
mod broker;
pub mod control;
mod files;
pub(crate) mod hooks;
pub mod identity;
mod inside;
pub mod kept;
pub mod listeners;
mod lookout;
mod pulse;
mod reload;
mod signals;
pub mod sinks;
pub mod trial;
mod webhooks;

use crate::cli::{Code, Failure};
use crate::config::{Config, Loaded, Sources};
use crate::findings::Findings;
use crate::http::{Connections, Ingest, Listener, Parts, admin_router, ingest_router};
use crate::log::LogHandle;
use crate::outbox::{OpenError, Outbox, Settings};
use crate::web::Web;
use availability::{Availability, WatchList, watched};
use broker::Broker;
use hooks::Hooks;
use identity::Identity;
use inside::{Inside, Place};
use listeners::{Ready, bind};
use lookout::Lookout;
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
    hooks: Arc<Hooks>,
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
    let mut signals = Signals::listen()?;
    let mut bridge = start(loaded.config, options.ready_file.as_deref()).await?;
    let outbox = bridge.outbox.clone();
    while next(&mut signals, &outbox).await? == Told::Reload {
        bridge.reload(&options).await;
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
    let http = bind("http.bind", config.http.bind).await?;
    let admin = bind("admin.bind", config.admin.bind).await?;
    let broker = Broker::start(&mut config, wants_broker).await?;
    let (http_address, admin_address) = (http.local_addr()?, admin.local_addr()?);
    let public_url = public_url(&config, admin_address);
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
    let ingest = Ingest::new(Parts {
        limits: Arc::clone(&limits),
        proxies: config.http.proxies.clone(),
        webhooks: webhooks.table.clone(),
        outbox: outbox.clone(),
        findings: findings.clone(),
        shutdown: stop.clone(),
    });
    let ready = Ready::new(http_address, admin_address, &webhooks.paths, broker.url());
    let bridge = Bridge {
        hooks: Arc::new(Hooks::new(&config, &identity, &findings, webhooks.table.clone())),
        devices: Arc::new(ArcSwap::from_pointee(config.devices.clone())),
        tasks: JoinSet::new(),
        watch_list: Arc::new(ArcSwap::from_pointee(watched(&config.devices))),
        config,
        identity,
        findings,
        outbox,
        limits,
        ingest,
        relays,
        stop,
        broker,
    };
    let bridge = bridge.listen(http, admin, public_url)?;
    ready.log();
    ready.announce(ready_file, &bridge.config.storage.path)?;
    webhooks.print(&ready, http_address, &bridge.config)?;
    bridge.hooks.announced(ready);
    Ok(bridge)
}

impl Bridge {
    /// Takes connections from now on, and tells how it is doing.
    fn listen(
        mut self,
        http: TcpListener,
        admin: TcpListener,
        public_url: Option<String>,
    ) -> anyhow::Result<Self> {
        let listener = |router, findings| Listener {
            tls: None,
            router,
            connections: Connections::new(Arc::clone(&self.limits)),
            limits: Arc::clone(&self.limits),
            findings,
            shutdown: self.stop.clone(),
        };
        let pulse = Pulse {
            outbox: self.outbox.clone(),
            findings: self.findings.clone(),
            statuses: self.relays.statuses.clone(),
        };
        let ingest = listener(ingest_router(&self.ingest), Some(self.findings.clone()));
        let mut page = listener(admin_router(Arc::new(pulse.clone())), None);
        let listeners = vec![
            Place {
                name: "http",
                address: http.local_addr()?,
                connections: Some(Arc::clone(&ingest.connections)),
            },
            Place {
                name: "admin",
                address: admin.local_addr()?,
                connections: Some(Arc::clone(&page.connections)),
            },
        ];
        let inside = self.inside(pulse.clone(), listeners);
        let web = Web::new(self.outbox.clone(), self.findings.clone(), Arc::new(inside), self.stop.clone());
        page.router = page.router.merge(admin::guarded(&web, &self.config, &self.identity));
        admin::control(&web, &self.config, &mut self.tasks);
        let info = pulse::info(&self.identity.instance, public_url, self.relays.targets.clone());
        let keep =
            Arc::clone(&self.identity).keep(self.outbox.clone(), self.findings.clone(), self.stop.clone());
        self.tasks.spawn(keep);
        self.tasks.spawn(ingest.serve(http));
        self.tasks.spawn(page.serve(admin));
        let availability = Availability::new(self.outbox.clone(), Arc::clone(&self.watch_list));
        self.tasks.spawn(availability.run(self.stop.clone()));
        self.tasks.spawn(pulse.run(info, self.stop.clone()));
        self.tasks.spawn(self.lookout().run(self.stop.clone()));
        Ok(self)
    }

    /// The bridge as pages and API see it.
    fn inside(&self, pulse: Pulse, listeners: Vec<Place>) -> Inside {
        let (statuses, renderers) = (self.relays.statuses.iter(), self.relays.renderers.iter());
        Inside {
            pulse,
            sinks: statuses.cloned().zip(renderers.cloned()).collect(),
            listeners,
            hooks: Arc::clone(&self.hooks),
            mqtt: self.config.mqtt.server.clone(),
            events_topic: format!("{}/+/event/+", self.config.mqtt.base_topic),
            storage: self.config.storage.path.clone(),
        }
    }

    /// What looks at the passing of time.
    fn lookout(&self) -> Lookout {
        Lookout {
            hooks: Arc::clone(&self.hooks),
            findings: self.findings.clone(),
            outbox: self.outbox.clone(),
            devices: Arc::clone(&self.devices),
            statuses: self.relays.statuses.clone(),
            storage: (self.config.storage.path.clone(), self.config.storage.min_free_bytes.0),
        }
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

/// How others reach the admin page, if they do.
fn public_url(config: &Config, admin: std::net::SocketAddr) -> Option<String> {
    let given = config.admin.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    given.or_else(|| {
        let ip = if admin.ip().is_unspecified() { listeners::lan_address()? } else { admin.ip() };
        (!ip.is_loopback()).then(|| format!("http://{}", std::net::SocketAddr::new(ip, admin.port())))
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
