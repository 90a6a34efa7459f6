//! Interface for operators: the API under `/api/v1`, pictures, and the pages.
//!
//! Everything here reads from the outbox and the findings, or asks the running bridge through [`Bridge`], which the
//! composition root hands in. Who may ask is decided before a request gets here (see `access::Access`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub mod access;
pub mod api;
mod bridge;
mod chain;
mod extract;
#[expect(unreachable_pub, reason = "the macro of askama makes its methods public")]
mod filters;
mod health;
mod overall;
mod pages;
mod preferences;
mod secrets;
mod snapshot;
mod texts;
mod words;

#[cfg(test)]
mod tests;

pub use crate::http::Problem;
pub use bridge::{
    Arrived, Bridge, Delivery, DeliveryState, LOOPBACK, ListenerInfo, LogLine, NewWebhook, Reach, Setting,
    WebhookInfo, WebhookOrigin,
};
pub use chain::{CheckStep, Tick, TickState, chain};
pub use extract::{ApiQuery, JsonBody, LoggedIn, PageQuery};
pub use health::{Health, health_router, metrics_router};
pub use overall::{Overall, OverallState};
pub use secrets::SecretDisplay;

use crate::findings::Findings;
use crate::outbox::parking::ParkedEntry;
use crate::outbox::{Entry, Outbox, Reader};

/// Number of idle readers kept for later requests.
const MAX_IDLE_READERS: usize = 4;

/// State shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct Web {
    /// The outbox.
    pub outbox: Outbox,
    /// The findings.
    pub findings: Findings,
    /// The running bridge.
    pub bridge: Arc<dyn Bridge>,
    /// Ends event streams.
    pub stop: CancellationToken,
    readers: Arc<Mutex<Vec<Reader>>>,
    watchers: Arc<tokio::sync::Semaphore>,
    /// Number of marks set or lifted since the start, for the event stream.
    reviews: Arc<AtomicU64>,
}

impl Web {
    /// Creates the state.
    #[must_use]
    pub fn new(outbox: Outbox, findings: Findings, bridge: Arc<dyn Bridge>, stop: CancellationToken) -> Self {
        let watchers = Arc::new(tokio::sync::Semaphore::new(api::events::WATCHERS));
        let (readers, reviews) = (Arc::default(), Arc::default());
        Self { outbox, findings, bridge, stop, readers, watchers, reviews }
    }

    /// Delivery states of an entry on each sink, with its parked messages.
    fn deliveries(&self, entry: &Entry, parked: &[ParkedEntry]) -> Vec<Delivery> {
        self.bridge.deliveries(entry).into_iter().map(|delivery| delivery.parked(parked)).collect()
    }

    /// Marks the alarms of a report as reviewed, or lifts the mark. Returns `false` if the alarm is not known.
    async fn review(&self, id: uuid::Uuid, reviewed: bool) -> Result<bool, Problem> {
        let known = self.outbox.review(id, reviewed).await?;
        self.reviews.fetch_add(u64::from(known), Ordering::Relaxed);
        Ok(known)
    }

    /// Number of marks set or lifted since the start.
    fn reviews(&self) -> u64 {
        self.reviews.load(Ordering::Relaxed)
    }

    /// Reads from the outbox on a thread that may block.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.outbox.settled().await;
        let idle = self.readers.lock().pop();
        let mut reader = idle.unwrap_or_else(|| self.outbox.reader());
        let readers = Arc::clone(&self.readers);
        let preferences = preferences::Preferences::current();
        let work = move || {
            let found = preferences.scope(|| read(&mut reader));
            let mut readers = readers.lock();
            if readers.len() < MAX_IDLE_READERS {
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

/// Router of everything operators use. Its server decides about access, and whether secrets are shown (see
/// [`SecretDisplay`]).
pub fn router(web: &Web) -> Router {
    Router::new()
        .route("/snapshots/{name}", axum::routing::get(snapshot::picture))
        .merge(api::router())
        .merge(pages::router(web))
        .fallback(unknown)
        .with_state(web.clone())
}

/// Answers an unknown path: a problem document for programs, a page for people.
async fn unknown(
    State(web): State<Web>,
    logged_in: LoggedIn,
    headers: axum::http::HeaderMap,
    uri: axum::http::Uri,
) -> Response {
    let problem = Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this address",
        "use the tabs above; the API is described at /api/v1/openapi.json. Cameras push to another port: see Setup",
    );
    if uri.path().starts_with("/api") {
        return problem.into_response();
    }
    preferences::Preferences::of(&headers).during(pages::trouble(&web, logged_in, &problem)).await
}
