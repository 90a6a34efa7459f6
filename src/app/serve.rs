//! Everything that answers and watches while the bridge runs.

use std::net::SocketAddr;
use std::sync::Arc;

use super::availability::Availability;
use super::gauges::Gauges;
use super::inside::{Inside, Place};
use super::lookout::Lookout;
use super::sockets::{Serving, Sockets};
use super::{Bridge, admin, listeners, pulse, systemd};
use crate::config::Config;
use crate::http::{Access, ingest_router};
use crate::metrics::Metrics;
use crate::web::Web;

impl Bridge {
    /// Answers requests, and watches over it all, until the stop.
    pub(super) fn serve(&mut self, sockets: Sockets, access: &Access, public_url: Option<String>) {
        let serving = Serving::new(&self.limits, &self.findings, &self.stop);
        let metrics =
            Metrics::new(&self.ingest.metrics(), &self.outbox.metrics(), Arc::new(self.gauges(&serving)));
        let inside = Arc::new(self.inside(sockets.places(&serving)));
        let web = Web::new(self.outbox.clone(), self.findings.clone(), inside, self.stop.clone());
        let page = admin::router(&web, &self.hooks, self.pulse.clone(), metrics, access);
        sockets.serve(&mut self.tasks, &ingest_router(&self.ingest), page, &serving);
        admin::control(&web, &self.config, &mut self.tasks);
        self.watch(public_url);
    }

    /// What looks after the bridge while nobody asks.
    fn watch(&mut self, public_url: Option<String>) {
        let stop = || self.stop.clone();
        let info = pulse::info(&self.identity.instance, public_url, self.relays.targets.clone());
        let keep = Arc::clone(&self.identity).keep(self.outbox.clone(), self.findings.clone(), stop());
        let availability = Availability::new(self.outbox.clone(), Arc::clone(&self.watch_list));
        self.tasks.spawn(keep);
        self.tasks.spawn(availability.run(stop()));
        self.tasks.spawn(self.certificates.clone().watch(stop()));
        self.tasks.spawn(systemd::watchdog(self.pulse.clone(), stop()));
        self.tasks.spawn(self.pulse.clone().run(info, stop()));
        self.tasks.spawn(self.lookout().run(stop()));
    }

    /// What `/metrics` asks.
    fn gauges(&self, serving: &Serving) -> Gauges {
        Gauges {
            pulse: self.pulse.clone(),
            connections: [
                ("ingest", Arc::clone(&serving.cameras[0])),
                ("admin", Arc::clone(&serving.operators)),
            ],
            folder: self.config.storage.path.clone(),
            started: jiff::Timestamp::now(),
        }
    }

    /// The bridge as pages and API see it.
    fn inside(&self, listeners: Vec<Place>) -> Inside {
        let (statuses, renderers) = (self.relays.statuses.iter(), self.relays.renderers.iter());
        Inside {
            pulse: self.pulse.clone(),
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
}

/// How others reach the admin page, if they do.
pub(super) fn public_url(config: &Config, (admin, tls): (SocketAddr, bool)) -> Option<String> {
    let given = config.admin.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
    given.or_else(|| {
        let ip = if admin.ip().is_unspecified() { listeners::lan_address()? } else { admin.ip() };
        let scheme = if tls { "https" } else { "http" };
        (!ip.is_loopback()).then(|| format!("{scheme}://{}", SocketAddr::new(ip, admin.port())))
    })
}
