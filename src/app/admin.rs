//! The admin side: health, metrics, API and pages behind one door, and the API on the control socket.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::map_request;
use axum::{Extension, Router};
use tokio::task::JoinSet;

use super::control::Control;
use super::hooks::Hooks;
use super::misdirected::told;
use super::pulse::Pulse;
use crate::config::Config;
use crate::http::{Access, Who, admin_router, metrics_router};
use crate::metrics::Metrics;
use crate::web::{self, Secrets, Web};

/// Everything operators reach; `access` says who may.
pub(super) fn router(
    web: &Web,
    hooks: &Arc<Hooks>,
    pulse: Pulse,
    metrics: Metrics,
    access: &Access,
) -> Router {
    let pages = web::router(web).layer(map_request(secrets));
    let all = access.protect(admin_router(Arc::new(pulse)).merge(metrics_router(metrics)).merge(pages));
    told(all, web, hooks)
}

/// Who showed nothing but that it is on this host sees no secret.
async fn secrets(mut request: Request) -> Request {
    if let Some(Who::Session | Who::Token | Who::Ingress) = request.extensions().get() {
        request.extensions_mut().insert(Secrets::Shown);
    }
    request
}

/// Serves the control socket. Where it cannot be made the bridge runs without: only commands miss it.
pub(super) fn control(web: &Web, config: &Config, tasks: &mut JoinSet<()>) {
    match Control::bind(&config.storage.path) {
        Ok(control) => {
            // Who can open the socket can read the folder, secrets included.
            let router = web::router(web).layer(Extension(Secrets::Shown));
            tasks.spawn(control.serve(router, web.stop.clone()));
        }
        Err(error) => {
            tracing::warn!("commands will not reach this bridge, its control socket cannot be made: {error}")
        }
    }
}
