//! `/health/live`, `/health/ready`, `/healthz` and `/metrics`: for programs that monitor the bridge.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

use super::access::Stranger;
use crate::http::{Problem, json};
use crate::metrics::{self, Metrics};

/// Provides the health of the bridge.
pub trait Health: Send + Sync {
    /// Reasons for which alarms cannot be accepted; empty if there are none.
    fn obstacles(&self) -> Vec<String>;

    /// Returns whether alarms are taken in and stored: `false` only where a restart may help.
    fn takes_alarms(&self) -> bool;

    /// Problems that do not prevent accepting alarms; empty if there are none.
    fn troubles(&self) -> Vec<String>;
}

/// `/metrics`, for Prometheus.
pub fn metrics_router(metrics: Metrics) -> Router {
    let text = || async move { ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text()) };
    Router::new().route("/metrics", get(text).fallback(only_get))
}

/// Routes of the health checks.
pub fn health_router(health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/health/live", get(live).fallback(only_get))
        .route("/healthz", get(takes).fallback(only_get))
        .route("/health/ready", get(ready).fallback(only_get))
        .with_state(health)
}

/// Response of `/health/ready`.
#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    problems: Vec<String>,
    takes_alarms: bool,
}

/// Response of `/health/live` and `/healthz`.
#[derive(Debug, Serialize)]
struct Alive {
    status: &'static str,
    problems: [String; 0],
}

/// 200 while the process responds at all.
async fn live() -> Response {
    json(StatusCode::OK, &Alive { status: "ok", problems: [] })
}

/// 200 while alarms are taken in and stored, whatever becomes of them then, else 503: for a balancer.
async fn takes(State(health): State<Arc<dyn Health>>) -> Response {
    let (code, status) = match health.takes_alarms() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    json(code, &Alive { status, problems: [] })
}

/// 200 `ok` or `degraded` while alarms are accepted, else 503. Reasons are shown to authenticated callers only.
async fn ready(State(health): State<Arc<dyn Health>>, stranger: Option<Extension<Stranger>>) -> Response {
    let (obstacles, troubles) = (health.obstacles(), health.troubles());
    let (code, status) = match (obstacles.is_empty(), troubles.is_empty()) {
        (true, true) => (StatusCode::OK, "ok"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let problems = if stranger.is_some() { Vec::new() } else { [obstacles, troubles].concat() };
    json(code, &Status { status, problems, takes_alarms: health.takes_alarms() })
}

/// 405 for any method but GET and HEAD.
async fn only_get() -> Response {
    Problem::only_get()
}
