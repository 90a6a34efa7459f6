//! What operators see: the API under `/api/v1`, pictures, and the pages.
//!
//! Everything here reads from the outbox and the findings, or asks the running bridge through [`Bridge`], which the
//! composition root hands in. Who may ask is decided before a request gets here (see `http::Access`).

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;

pub mod api;
mod bridge;
mod chain;
mod extract;
mod pages;
mod problem;
mod secrets;
mod snapshot;

pub use bridge::{Arrived, Bridge, Delivery, ListenerInfo, Reach, WebhookInfo};
pub use chain::{Step, Tick, TickState, chain};
pub use extract::{Ask, Told};
pub use problem::Problem;
pub use secrets::Secrets;

use crate::findings::Findings;
use crate::outbox::parking::ParkedEntry;
use crate::outbox::{Entry, Outbox, Reader};

/// Idle readers kept for the next request.
const READERS: usize = 4;

/// What every handler gets at; a cheap handle.
#[derive(Clone)]
pub struct Web {
    /// What came, and what became of it.
    pub outbox: Outbox,
    /// What was seen.
    pub findings: Findings,
    /// The running bridge.
    pub bridge: Arc<dyn Bridge>,
    /// Ends event streams.
    pub stop: CancellationToken,
    readers: Arc<Mutex<Vec<Reader>>>,
    watchers: Arc<tokio::sync::Semaphore>,
}

impl Web {
    /// Puts it together.
    #[must_use]
    pub fn new(outbox: Outbox, findings: Findings, bridge: Arc<dyn Bridge>, stop: CancellationToken) -> Self {
        let watchers = Arc::new(tokio::sync::Semaphore::new(api::events::WATCHERS));
        Self { outbox, findings, bridge, stop, readers: Arc::default(), watchers }
    }

    /// What became of an entry on each sink, with what is parked of it.
    fn deliveries(&self, entry: &Entry, parked: &[ParkedEntry]) -> Vec<Delivery> {
        self.bridge.deliveries(entry).into_iter().map(|delivery| delivery.parked(parked)).collect()
    }

    /// Reads from the outbox on a thread where that may take its time.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.outbox.settled().await;
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = idle.unwrap_or_else(|| self.outbox.reader());
        let readers = Arc::clone(&self.readers);
        let work = move || {
            let found = read(&mut reader);
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < READERS {
                readers.push(reader);
            }
            found
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(found) => found.map_err(|error| Problem::disk(&error)),
            Err(error) => Err(Problem::internal(&error.to_string())),
        }
    }
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

/// Everything operators reach here. Who serves it says who may use it, and who may see secrets (see [`Secrets`]).
pub fn router(web: &Web) -> Router {
    Router::new()
        .route("/snapshots/{name}", axum::routing::get(snapshot::picture))
        .merge(api::router())
        .merge(pages::router())
        .fallback(unknown)
        .with_state(web.clone())
}

/// Any other address: a problem document for programs, a page for people.
async fn unknown(uri: axum::http::Uri) -> Response {
    let problem = Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this address",
        "use the tabs above; the API is described at /api/v1/openapi.json. Cameras push to another port: see Setup",
    );
    if uri.path().starts_with("/api") { problem.into_response() } else { pages::trouble(&problem) }
}
