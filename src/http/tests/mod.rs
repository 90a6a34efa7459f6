//! Real sockets against real listeners, on ports the system chooses.

mod alarms;
mod bodies;
mod caps;
mod fixed;
mod packed;
mod requests;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Connections, Ingest, IngestParts, IngestWebhook, Listener, Tls, Webhooks, ingest_router};
use crate::config::{self, Config, Limits, Secret};
use crate::findings::{FindingCode, Findings};
use crate::outbox::{self, Outbox};

/// Timeout longer than any correct behaviour takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running ingest listener with one webhook, `/alarm/s3cr3t`.
struct Bridge {
    at: SocketAddr,
    findings: Findings,
    limits: Arc<ArcSwap<Limits>>,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
    ingest: Ingest,
    outbox: Outbox,
    running: JoinHandle<()>,
    folder: tempfile::TempDir,
}

/// Setup of a bridge.
struct Setup {
    limits: Limits,
    webhook: config::Webhook,
    proxies: Vec<ipnet::IpNet>,
    bind: &'static str,
    tls: Option<Tls>,
}

impl Default for Setup {
    fn default() -> Self {
        let webhook = config::Webhook { path: Some(Secret::new("/alarm/s3cr3t")), ..Default::default() };
        let limits = Limits { strangers_per_second: 0, ..Limits::default() };
        Self { limits, webhook, proxies: Vec::new(), bind: "127.0.0.1:0", tls: None }
    }
}

impl Bridge {
    async fn new() -> Self {
        Self::start(Setup::default()).await
    }

    async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup.limits);
        Self::start(setup).await
    }

    async fn start(setup: Setup) -> Self {
        let limits = Arc::new(ArcSwap::from_pointee(setup.limits));
        let (findings, shutdown) = (Findings::default(), CancellationToken::new());
        let connections = Connections::new(Arc::clone(&limits));
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.path = folder.path().to_owned();
        let settings = Arc::new(outbox::WriterSettings::new(&config));
        let outbox = Outbox::open(settings, findings.clone(), &["nobody"]).unwrap();
        let ingest = Ingest::new(IngestParts {
            limits: Arc::clone(&limits),
            proxies: setup.proxies,
            webhooks: Webhooks::new(vec![IngestWebhook::from_config(&setup.webhook, 1).unwrap()]),
            outbox: outbox.clone(),
            findings: findings.clone(),
            shutdown: shutdown.clone(),
        });
        let listener = Listener {
            tls: setup.tls,
            router: ingest_router(&ingest),
            connections: Arc::clone(&connections),
            limits: Arc::clone(&limits),
            findings: Some(findings.clone()),
            shutdown: shutdown.clone(),
        };
        let tcp = TcpListener::bind(setup.bind).await.unwrap();
        let at = tcp.local_addr().unwrap();
        let running = tokio::spawn(listener.serve(tcp));
        Self { at, findings, limits, connections, shutdown, ingest, outbox, running, folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    /// Sends bytes on a new connection and reads until the bridge closes it.
    async fn talk(&self, request: impl AsRef<[u8]>) -> String {
        let mut peer = self.connect().await;
        peer.write_all(request.as_ref()).await.unwrap();
        rest(&mut peer).await
    }

    /// Posts a JSON body to a target.
    async fn post(&self, target: &str) -> String {
        self.talk(format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}")).await
    }

    /// Waits for a finding with this code and returns its detail.
    async fn finding(&self, code: FindingCode) -> String {
        let wait = async {
            loop {
                if let Some(finding) = self.findings.list().into_iter().find(|f| f.kind.code == code) {
                    return finding.detail;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("no {code}, only {:?}", self.findings.list()))
    }

    /// Waits until this number of connections is open.
    async fn open(&self, count: usize) {
        let wait = async {
            while self.connections.count() != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the number of connections");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.running.abort();
    }
}

/// Reads until the peer closes. After the first response the write side is shut.
pub(crate) async fn rest(peer: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = async {
        while 0 < peer.read_buf(&mut all).await? {
            let text = String::from_utf8_lossy(&all);
            if text.contains("\r\n\r\n") && !text.starts_with("HTTP/1.1 100") {
                // It may have closed already.
                let _closed = peer.shutdown().await;
            }
        }
        Ok::<(), std::io::Error>(())
    };
    let read = tokio::time::timeout(PATIENCE, read).await.expect("an end");
    read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&all)));
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads one response (with a Content-Length) and leaves the connection open.
async fn one_answer(peer: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let wait = async {
        loop {
            let text = String::from_utf8_lossy(&all).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() >= length.parse().unwrap() {
                    return text;
                }
            }
            let count = peer.read_buf(&mut all).await.unwrap();
            assert!(count > 0, "closed after {text:?}");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("an answer")
}

#[track_caller]
fn assert_ok(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}
