//! The HTTP side: listeners, connections, webhooks, and the way of a report into the outbox (DESIGN 3).
//!
//! [`Listener`] accepts and counts connections and tells TLS from plain HTTP; the routers below answer requests.
//! Everything a peer can send ends in an answer, a finding, or both.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::metrics::{self, Metrics};

mod answer;
mod auth;
mod body;
mod capture;
mod connection;
mod connections;
mod handshake;
mod health;
mod ingest;
mod journal;
mod kept;
mod listener;
mod local;
mod login;
mod memory;
mod page;
mod password;
mod peer;
mod random;
mod rate;
mod report;
mod secret;
mod sessions;
mod target;
mod throttle;
pub mod tls;
mod visit;
mod webhook;
mod wire;

#[cfg(test)]
mod tests;

pub use auth::{Access, HasKey, Stranger, Who};
pub use connection::Arrival;
pub use connections::{Arrivals, Connections};
pub use health::Health;
pub use ingest::{Ingest, Parts};
pub use listener::{Listener, Tls};
pub use local::Denied;
pub use secret::SecretPath;
pub use webhook::{Webhook, WebhookError, Webhooks};

/// What cameras reach: every path is a webhook or the one 404. Real paths come in odd spellings, so they are looked
/// up by our own normal form and not by the router.
pub fn ingest_router(ingest: &Ingest) -> Router {
    Router::new().fallback(visit::receive).with_state(Arc::clone(&ingest.shared))
}

/// `/metrics`, for Prometheus.
pub fn metrics_router(metrics: Metrics) -> Router {
    let text = || async move { ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()) };
    Router::new().route("/metrics", get(text).fallback(|| async { answer::only_get() }))
}

/// What operators reach. The pages are merged into this by the composition root.
pub fn admin_router(health: Arc<dyn Health>) -> Router {
    let only_get = || async { answer::only_get() };
    Router::new()
        .route("/health/live", get(health::live).fallback(only_get))
        .route("/health/ready", get(health::ready).fallback(only_get))
        .with_state(health)
}
