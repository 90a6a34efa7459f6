//! The control socket: the same API as the admin listener's, on a Unix socket in the storage folder that only the
//! user of the bridge can open. Commands reach a running bridge through it.

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

/// Its name in the storage folder.
pub const SOCKET: &str = "control.sock";
/// The longest path a socket's address holds, with some to spare.
const LONGEST: usize = 100;
/// Connections at once.
const CONNECTIONS: usize = 32;

/// The control socket of a running bridge; removed when it is dropped.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Binds it. One left by a bridge that was killed is replaced: the lock on the folder says that it is dead.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = with_short_path(folder, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers until the stop.
    pub(super) async fn serve(self, router: Router, stop: CancellationToken) {
        let open = TaskTracker::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
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
                    tracing::warn!("{CONNECTIONS} commands are being answered: one was turned away")
                }
                (Err(error), _) => {
                    tracing::debug!("the control socket takes no connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        drop(fs::remove_file(&self.path));
        open.close();
        open.wait().await;
    }
}

/// Speaks HTTP on one connection.
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

/// Does something with the socket's path, by way of the open folder where the path is too long for an address.
///
/// # Errors
/// Those of opening the folder, and of what is done.
pub fn with_short_path<T>(folder: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() < LONGEST {
        return act(&path);
    }
    let open = fs::File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd())))
}
