//! The accept loop of every listener: plain or TLS, for cameras or for the admin page.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::Connections;
use crate::config::Limits;
use crate::findings::{FindingCode, Findings};
use crate::http::connection;

/// First and longest pause after an accept error (EMFILE: no file descriptor is free).
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// TLS settings of a listener; a stored change applies from the next connection on.
pub type Tls = Arc<ArcSwap<rustls::ServerConfig>>;

/// State that a listener needs besides its socket.
#[derive(Debug, Clone)]
pub struct Listener {
    /// TLS settings; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Router that answers the requests.
    pub router: Router,
    /// Connections; listeners may share them.
    pub connections: Arc<Connections>,
    /// Limits, read again for each connection.
    pub limits: Arc<ArcSwap<Limits>>,
    /// Findings about unusual connections; `None` for the admin listener, where browsers leave many connections unused.
    pub findings: Option<Findings>,
    /// Stops the loop; connections then get a few seconds.
    pub shutdown: CancellationToken,
}

impl Listener {
    /// Accepts connections until the shutdown, then waits for open ones (at most 3 s).
    ///
    /// An accept error never ends the loop: it is logged, and accepting continues after a pause.
    pub async fn serve(self, tcp: TcpListener) {
        let listener = Arc::new(self);
        let open = TaskTracker::new();
        let mut pause = ACCEPT_PAUSE[0];
        loop {
            let accepted = tokio::select! {
                biased;
                () = listener.shutdown.cancelled() => break,
                accepted = tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    pause = ACCEPT_PAUSE[0];
                    let peer = from.ip().to_canonical();
                    if !listener.take(stream, peer, &open).await {
                        break;
                    }
                }
                Err(error) if passing(&error) => {}
                Err(error) => {
                    listener.cannot_accept(&error);
                    sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE[1]);
                }
            }
        }
        drop(tcp);
        open.close();
        open.wait().await;
    }

    /// Takes a slot for a connection and starts it; `false` if the bridge stopped meanwhile.
    async fn take(self: &Arc<Self>, stream: TcpStream, peer: IpAddr, open: &TaskTracker) -> bool {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %peer, "no delay could not be set: {error}");
        }
        let place = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return false,
            place = self.connections.admit(peer) => place,
        };
        open.spawn(connection::run(stream, place, peer, Arc::clone(self)));
        true
    }

    /// Reports an accept error; if no file descriptor is free, a connection without a request is closed.
    fn cannot_accept(&self, error: &io::Error) {
        let made = out_of_files(error) && self.connections.make_room();
        tracing::debug!(room_made = made, "accepting connections fails, trying again: {error}");
        if let Some(findings) = &self.findings {
            findings.raise(
                FindingCode::AcceptFailed,
                "listener",
                &format!("connections cannot be accepted: {error}"),
            );
        }
    }

    /// Reports an unusual connection of a peer.
    pub(in crate::http) fn raise(&self, code: FindingCode, peer: IpAddr, detail: &str) {
        tracing::debug!(peer = %peer, finding.code = code.as_str(), "{detail}");
        if let Some(findings) = &self.findings {
            findings.raise(code, &peer.to_string(), detail);
        }
    }
}

/// Returns whether an error concerns only the connection that was being accepted.
fn passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Returns whether no file descriptor is free; then a connection without a request is closed, as at any limit.
fn out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| errno.raw_os_error() == code)
    })
}
