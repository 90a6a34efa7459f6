//! Tasks that serve requests and monitor the bridge while it runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::bridge_view::{BoundListener, BridgeView};
use super::health::availability::AvailabilityMonitor;
use super::health::gauges::Gauges;
use super::health::monitor::Monitor;
use super::health::{publisher, systemd};
use super::listeners::admin;
use super::listeners::sockets::{Serving, Sockets};
use super::sinks::SinkBrokers;
use super::{Bridge, listeners};
use crate::cluster::RunningMember;
use crate::config::Config;
use crate::http::ingest_router;
use crate::metrics::Metrics;
use crate::sink::request::Request;
use crate::web::Web;
use crate::web::access::Access;

impl Bridge {
    /// Starts listeners and background tasks, which run until the stop.
    pub(super) fn serve(
        &mut self,
        sockets: Sockets,
        access: &Access,
        public_url: Option<String>,
        asked: mpsc::Receiver<Request>,
    ) {
        let serving = Serving::new(&self.limits, &self.findings, &self.stop);
        let metrics =
            Metrics::new(&self.ingest.metrics(), &self.outbox.metrics(), Arc::new(self.gauges(&serving)));
        if let Some(cluster) = &self.cluster {
            let (address, tls) = sockets.admin();
            let own = || format!("{}://{address}", if tls { "https" } else { "http" });
            cluster.view().announce(public_url.clone().unwrap_or_else(own));
            let registry = Arc::clone(&self.webhook_registry);
            let (config, statuses) = (self.config.clone(), self.relays.statuses.clone());
            cluster.view().watch(Arc::new(SinkBrokers { config, statuses, registry }));
        }
        let bridge_view = Arc::new(self.bridge_view(sockets.places(&serving)));
        let web = Web::new(self.outbox.clone(), self.findings.clone(), bridge_view, self.stop.clone());
        let page =
            admin::router(&web, &self.webhook_registry, self.health_publisher.clone(), metrics, access);
        sockets.serve(&mut self.tasks, &ingest_router(&self.ingest), page, &serving);
        admin::control(&web, &self.config, &mut self.tasks);
        self.tasks.spawn(super::sinks::requests::answer(web, asked));
        self.watch(public_url);
    }

    /// Starts the background tasks.
    fn watch(&mut self, public_url: Option<String>) {
        let stop = || self.stop.clone();
        let info = publisher::info(&self.identity.instance, public_url, self.relays.targets.clone());
        let keep =
            Arc::clone(&self.identity).store_missing(self.outbox.clone(), self.findings.clone(), stop());
        let availability = AvailabilityMonitor::new(self.outbox.clone(), Arc::clone(&self.watch_list));
        self.tasks.spawn(keep);
        super::health::dismissals::restore(&self.outbox, &self.findings);
        self.tasks.spawn(super::health::dismissals::store_changes(
            self.outbox.clone(),
            self.findings.clone(),
            stop(),
        ));
        self.tasks.spawn(availability.run(stop()));
        self.tasks.spawn(self.certificates.clone().watch(stop()));
        self.tasks.spawn(systemd::watchdog(self.health_publisher.clone(), stop()));
        self.tasks.spawn(self.health_publisher.clone().run(info, stop()));
        self.tasks.spawn(self.monitor().run(stop()));
    }

    /// Sources of `/metrics`.
    fn gauges(&self, serving: &Serving) -> Gauges {
        Gauges {
            health_publisher: self.health_publisher.clone(),
            connections: [
                ("ingest", Arc::clone(&serving.cameras[0])),
                ("admin", Arc::clone(&serving.operators)),
            ],
            folder: self.config.storage.path.clone(),
            started: jiff::Timestamp::now(),
            cluster: self.cluster.as_ref().map(RunningMember::view),
        }
    }

    /// View of the bridge for pages and API.
    fn bridge_view(&self, listeners: Vec<BoundListener>) -> BridgeView {
        let (statuses, renderers) = (self.relays.statuses.iter(), self.relays.renderers.iter());
        BridgeView {
            health_publisher: self.health_publisher.clone(),
            sinks: statuses.cloned().zip(renderers.cloned()).collect(),
            cluster: self.cluster.as_ref().map(RunningMember::view),
            listeners,
            webhook_registry: Arc::clone(&self.webhook_registry),
            in_force: self.in_force.clone(),
            mqtt: self.config.mqtt.server.clone(),
            events_topic: format!("{}/+/event/+", self.config.mqtt.base_topic),
            asyncapi: crate::render::asyncapi(&self.config),
            storage: self.config.storage.path.clone(),
            log: self.log.clone(),
            simulate: self.simulate.clone(),
        }
    }

    /// Monitor for conditions that depend on time.
    fn monitor(&self) -> Monitor {
        Monitor {
            webhook_registry: Arc::clone(&self.webhook_registry),
            findings: self.findings.clone(),
            outbox: self.outbox.clone(),
            devices: Arc::clone(&self.devices),
            statuses: self.relays.statuses.clone(),
            storage: (self.config.storage.path.clone(), self.config.storage.min_free_bytes.0),
        }
    }
}

/// URL of the admin page for other machines, if they can reach it.
pub(super) fn public_url(config: &Config, (admin, tls): (SocketAddr, bool)) -> Option<String> {
    let given = config.admin.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    given.or_else(|| {
        let ip = if admin.ip().is_unspecified() { listeners::lan_address()? } else { admin.ip() };
        let scheme = if tls { "https" } else { "http" };
        (!ip.is_loopback()).then(|| format!("{scheme}://{}", SocketAddr::new(ip, admin.port())))
    })
}
