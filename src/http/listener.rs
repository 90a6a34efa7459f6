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

use super::connection;
use super::connections::Connections;
use crate::config::Limits;
use crate::findings::Findings;

/// The first and the longest pause after an accept error (EMFILE: no file descriptor left).
const PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// The TLS side of a listener; a stored certificate counts from the next connection on.
pub type Tls = Arc<ArcSwap<rustls::ServerConfig>>;

/// Everything a listener needs besides its socket.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Speaks TLS with this; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Answers the requests.
    pub router: Router,
    /// Counts the connections; listeners may share one.
    pub connections: Arc<Connections>,
    /// Bounds, read anew for each connection.
    pub limits: Arc<ArcSwap<Limits>>,
    /// Where odd connections are reported; `None` for the admin listener, where browsers leave many unused.
    pub findings: Option<Findings>,
    /// Stops the loop; connections get a few seconds then.
    pub shutdown: CancellationToken,
}

impl Listener {
    /// Accepts connections until the shutdown, then waits for those still open (at most 3 s).
    ///
    /// An accept error never ends the loop: it is logged and tried again after a pause.
    pub async fn serve(self, tcp: TcpListener) {
        let listener = Arc::new(self);
        let open = TaskTracker::new();
        let mut pause = PAUSE[0];
        loop {
            let accepted = tokio::select! {
                biased;
                () = listener.shutdown.cancelled() => break,
                accepted = tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    pause = PAUSE[0];
                    let peer = from.ip().to_canonical();
                    if !listener.take(stream, peer, &open).await {
                        break;
                    }
                }
                Err(error) if passing(&error) => {}
                Err(error) => {
                    listener.cannot_accept(&error);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE[1]);
                }
            }
        }
        drop(tcp);
        open.close();
        open.wait().await;
    }

    /// Finds a place for a connection and starts it; `false` when the bridge stopped meanwhile.
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

    /// Reports an accept error; where no file descriptor is left, a connection without a request makes room.
    fn cannot_accept(&self, error: &io::Error) {
        let made = out_of_files(error) && self.connections.make_room();
        tracing::debug!(room_made = made, "accepting connections fails, trying again: {error}");
        if let Some(findings) = &self.findings {
            findings.raise("accept_failed", "listener", &format!("connections cannot be accepted: {error}"));
        }
    }

    /// Reports something odd about a peer's connection.
    pub(super) fn raise(&self, code: &'static str, peer: IpAddr, detail: &str) {
        tracing::debug!(peer = %peer, finding.code = code, "{detail}");
        if let Some(findings) = &self.findings {
            findings.raise(code, &peer.to_string(), detail);
        }
    }
}

/// Errors of the one connection that was to be accepted, gone with it.
fn passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// No file descriptor is left: a cap like the others, so a connection without a request makes room.
fn out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| errno.raw_os_error() == code)
    })
}
