//! Sockets of all listeners. They are bound before anything else starts and served once everything is ready.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::{Ready, bind, reachable};
use crate::app::bridge_view::BoundListener;
use crate::config::{Config, Limits};
use crate::findings::Findings;
use crate::http::{Connections, Listener, Tls};

/// Bound socket and its protocol.
#[derive(Debug)]
struct Socket {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

/// Sockets of all listeners.
#[derive(Debug)]
pub(in crate::app) struct Sockets {
    http: Socket,
    https: Option<Socket>,
    admin: Socket,
}

/// State that listeners need besides sockets and routers.
#[derive(Debug)]
pub(in crate::app) struct Serving {
    /// Limits on connections and bodies.
    pub(in crate::app) limits: Arc<ArcSwap<Limits>>,
    /// Findings about unusual connections to the ingest listeners.
    pub(in crate::app) findings: Findings,
    /// Connections of cameras over plain HTTP and over TLS, under one limit.
    pub(in crate::app) cameras: [Arc<Connections>; 2],
    /// Connections of operators.
    pub(in crate::app) operators: Arc<Connections>,
    /// Token that stops the listeners.
    pub(in crate::app) stop: CancellationToken,
}

impl Serving {
    /// Creates it without connections.
    pub(in crate::app) fn new(
        limits: &Arc<ArcSwap<Limits>>,
        findings: &Findings,
        stop: &CancellationToken,
    ) -> Self {
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

    /// URL that works on this machine.
    fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.address))
    }
}

impl Sockets {
    /// Binds every socket.
    ///
    /// # Errors
    /// Fails when an address cannot be bound.
    pub(in crate::app) async fn bind(config: &Config, certificates: &Certificates) -> anyhow::Result<Self> {
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

    /// Address of the plain ingest listener.
    pub(in crate::app) fn http(&self) -> SocketAddr {
        self.http.address
    }

    /// Address of the TLS ingest listener.
    pub(in crate::app) fn https(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|socket| socket.address)
    }

    /// Address of the admin listener, and whether it uses TLS.
    pub(in crate::app) fn admin(&self) -> (SocketAddr, bool) {
        (self.admin.address, self.admin.tls.is_some())
    }

    /// Addresses of all listeners; the plain listener comes first.
    pub(in crate::app) fn ready(&self, paths: &[String], mqtt: Option<String>) -> Ready {
        let ingest: Vec<String> =
            [Some(&self.http), self.https.as_ref()].into_iter().flatten().map(Socket::url).collect();
        let webhooks = ingest.iter().flat_map(|url| paths.iter().map(move |path| format!("{url}{path}")));
        Ready { webhooks: webhooks.collect(), ingest, admin: self.admin.url(), mqtt }
    }

    /// Listeners for pages and API.
    pub(in crate::app) fn places(&self, serving: &Serving) -> Vec<BoundListener> {
        let [plain, secure] = &serving.cameras;
        let all = [
            (Some(&self.http), "http", plain),
            (self.https.as_ref(), "https", secure),
            (Some(&self.admin), "admin", &serving.operators),
        ];
        let place = |(socket, name, connections): (Option<&Socket>, &'static str, &Arc<Connections>)| {
            socket.map(|socket| BoundListener {
                name,
                address: socket.address,
                url: socket.url(),
                connections: Arc::clone(connections),
            })
        };
        all.into_iter().filter_map(place).collect()
    }

    /// Serves all sockets until the stop.
    pub(in crate::app) fn serve(
        self,
        tasks: &mut JoinSet<()>,
        ingest: &Router,
        admin: Router,
        serving: &Serving,
    ) {
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
