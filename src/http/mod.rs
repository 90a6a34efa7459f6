//! HTTP side: listeners, connections, webhooks, and the steps from a report to the outbox.
//!
//! [`Listener`] accepts and counts connections and distinguishes TLS from plain HTTP; the routers below answer
//! requests. Everything a peer sends ends in a response, a finding, or both.

use std::sync::Arc;

use axum::Router;

mod answer;
mod body;
mod connection;
mod ingest;
pub(crate) mod peer;
mod problem;
mod webhook;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use answer::json;
pub use connection::Arrival;
pub use connection::connections::{Arrivals, Connections};
pub use connection::listener::{Listener, Tls};
pub use ingest::{Ingest, IngestParts};
pub use problem::Problem;
pub use webhook::secret::SecretPath;
pub(crate) use webhook::secret::SecretText;
pub use webhook::{IngestWebhook, WebhookError, Webhooks};

/// Routes of the ingest listeners: every path is a webhook or a 404. Devices spell paths in many ways, so they are
/// looked up in normal form and not by the router.
pub fn ingest_router(ingest: &Ingest) -> Router {
    Router::new().fallback(ingest::receive::receive).with_state(Arc::clone(&ingest.shared))
}
