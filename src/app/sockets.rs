//! The sockets of all listeners: bound before anything else starts, served once everything is there.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::inside::Place;
use super::listeners::{Ready, bind, reachable};
use crate::config::{Config, Limits};
use crate::findings::Findings;
use crate::http::{Connections, Listener, Tls};

/// A bound socket and what it speaks.
#[derive(Debug)]
struct Socket {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

/// The sockets of all listeners.
#[derive(Debug)]
pub(super) struct Sockets {
    http: Socket,
    https: Option<Socket>,
    admin: Socket,
}

/// What listeners need besides sockets and routers.
#[derive(Debug)]
pub(super) struct Serving {
    /// Bounds.
    pub(super) limits: Arc<ArcSwap<Limits>>,
    /// Where odd connections of the ingest listeners are told.
    pub(super) findings: Findings,
    /// The connections of cameras over plain HTTP, and over TLS under the same cap.
    pub(super) cameras: [Arc<Connections>; 2],
    /// Those of operators.
    pub(super) operators: Arc<Connections>,
    /// Stops them.
    pub(super) stop: CancellationToken,
}

impl Serving {
    /// Nothing is connected yet.
    pub(super) fn new(limits: &Arc<ArcSwap<Limits>>, findings: &Findings, stop: &CancellationToken) -> Self {
        let plain = Connections::new(Arc::clone(limits));
        Self {
            limits: Arc::clone(limits),
            findings: findings.clone(),
            cameras: [Arc::clone(&plain), plain.beside()],
            operators: Connections::new(Arc::clone(limits)),
            stop: stop.clone(),
        }
    }
}

impl Socket {
    async fn bind(key: &str, address: SocketAddr, tls: Option<Tls>) -> anyhow::Result<Self> {
        let tcp = bind(key, address).await?;
        Ok(Self { address: tcp.local_addr()?, tcp, tls })
    }

    /// How this machine itself reaches it.
    fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.address))
    }
}

impl Sockets {
    /// Binds them all.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub(super) async fn bind(config: &Config, certificates: &Certificates) -> anyhow::Result<Self> {
        let https = match &config.https {
            Some(https) => Some(Socket::bind("https.bind", https.bind, certificates.https()).await?),
            None => None,
        };
        Ok(Self {
            http: Socket::bind("http.bind", config.http.bind, None).await?,
            https,
            admin: Socket::bind("admin.bind", config.admin.bind, certificates.admin()).await?,
        })
    }

    /// The plain ingest address.
    pub(super) fn http(&self) -> SocketAddr {
        self.http.address
    }

    /// The ingest address over TLS.
    pub(super) fn https(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|socket| socket.address)
    }

    /// The admin address, and whether it speaks TLS.
    pub(super) fn admin(&self) -> (SocketAddr, bool) {
        (self.admin.address, self.admin.tls.is_some())
    }

    /// Where everything listens; the plain listener comes first.
    pub(super) fn ready(&self, paths: &[String], mqtt: Option<String>) -> Ready {
        let ingest: Vec<String> =
            [Some(&self.http), self.https.as_ref()].into_iter().flatten().map(Socket::url).collect();
        let webhooks = ingest.iter().flat_map(|url| paths.iter().map(move |path| format!("{url}{path}")));
        Ready { webhooks: webhooks.collect(), ingest, admin: self.admin.url(), mqtt }
    }

    /// The listeners as pages and API show them.
    pub(super) fn places(&self, serving: &Serving) -> Vec<Place> {
        let [plain, secure] = &serving.cameras;
        let all = [
            (Some(&self.http), "http", plain),
            (self.https.as_ref(), "https", secure),
            (Some(&self.admin), "admin", &serving.operators),
        ];
        let place = |(socket, name, connections): (Option<&Socket>, &'static str, &Arc<Connections>)| {
            socket.map(|socket| Place {
                name,
                address: socket.address,
                url: socket.url(),
                connections: Arc::clone(connections),
            })
        };
        all.into_iter().filter_map(place).collect()
    }

    /// Serves them until the stop.
    pub(super) fn serve(self, tasks: &mut JoinSet<()>, ingest: &Router, admin: Router, serving: &Serving) {
        let listener = |tls, router, connections: &Arc<Connections>, findings| Listener {
            tls,
            router,
            connections: Arc::clone(connections),
            limits: Arc::clone(&serving.limits),
            findings,
            shutdown: serving.stop.clone(),
        };
        for (socket, connections) in [Some(self.http), self.https].into_iter().zip(&serving.cameras) {
            let Some(Socket { tcp, tls, .. }) = socket else { continue };
            let findings = Some(serving.findings.clone());
            tasks.spawn(listener(tls, ingest.clone(), connections, findings).serve(tcp));
        }
        let Socket { tcp, tls, .. } = self.admin;
        tasks.spawn(listener(tls, admin, &serving.operators, None).serve(tcp));
    }
}
