//! Control socket: the API of the admin listener on a Unix socket in the storage folder. Only the bridge's user can
//! open it. Commands reach a running bridge through it.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Name of the socket in the storage folder.
pub const SOCKET: &str = "control.sock";
/// Longest socket path in bytes, below the system's limit of 108.
const MAX_PATH_BYTES: usize = 100;
/// Maximum number of concurrent connections.
const MAX_CONNECTIONS: usize = 32;

/// Control socket of a running bridge; dropping it removes the file.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket. A file left by a killed bridge is replaced: the lock on the folder proves that no other bridge
    /// runs.
    ///
    /// # Errors
    /// Fails when the folder cannot be written.
    pub(in crate::app) fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(folder, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Serves connections until the stop.
    pub(in crate::app) async fn serve(self, router: Router, stop: CancellationToken) {
        let open = TaskTracker::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    open.spawn(async move {
                        answer(stream, router, stop).await;
                        drop(place);
                    });
                }
                (Ok(_), Err(_)) => {
                    tracing::warn!("{MAX_CONNECTIONS} commands are being answered: one was refused")
                }
                (Err(error), _) => {
                    tracing::debug!("the control socket cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        drop(fs::remove_file(&self.path));
        open.close();
        open.wait().await;
    }
}

/// Serves HTTP on one connection.
async fn answer(stream: UnixStream, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(std::time::Duration::from_secs(1), connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a command's connection broke: {error}");
    }
}

/// Calls `act` with the socket's path. A path that is too long for a socket address is replaced by one through the open
/// folder's descriptor.
///
/// # Errors
/// Returns the errors of opening the folder and of `act`.
pub fn with_short_path<T>(folder: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() < MAX_PATH_BYTES {
        return act(&path);
    }
    let open = fs::File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd())))
}
