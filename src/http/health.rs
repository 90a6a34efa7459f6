//! `/health/live` and `/health/ready`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answer;
use super::auth::Stranger;

/// Says how the bridge is.
pub trait Health: Send + Sync {
    /// What keeps alarms from being taken in; empty when nothing does.
    fn obstacles(&self) -> Vec<String>;

    /// What is not as it should be though alarms are taken in; empty when all is well.
    fn troubles(&self) -> Vec<String>;
}

/// The answer.
#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    problems: Vec<String>,
}

/// 200 as long as the process answers at all.
pub(super) async fn live() -> Response {
    answer::json(StatusCode::OK, &Status { status: "ok", problems: Vec::new() })
}

/// 200 `ok` or `degraded` while alarms are taken in, 503 when they are not. The reasons are not for strangers.
pub(super) async fn ready(
    State(health): State<Arc<dyn Health>>,
    stranger: Option<Extension<Stranger>>,
) -> Response {
    let (obstacles, troubles) = (health.obstacles(), health.troubles());
    let (code, status) = match (obstacles.is_empty(), troubles.is_empty()) {
        (true, true) => (StatusCode::OK, "ok"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let problems = if stranger.is_some() { Vec::new() } else { [obstacles, troubles].concat() };
    answer::json(code, &Status { status, problems })
}
