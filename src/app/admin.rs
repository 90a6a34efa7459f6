//! The admin side: health, metrics, API and pages behind one door, and the API on the control socket.

use std::sync::Arc;

use axum::Router;
use tokio::task::JoinSet;

use super::control::Control;
use super::pulse::Pulse;
use crate::config::Config;
use crate::http::{Access, admin_router, metrics_router};
use crate::metrics::Metrics;
use crate::web::{self, Web};

/// Everything operators reach; `access` says who may.
pub(super) fn router(web: &Web, pulse: Pulse, metrics: Metrics, access: &Access) -> Router {
    access.protect(admin_router(Arc::new(pulse)).merge(metrics_router(metrics)).merge(web::router(web)))
}

/// Serves the control socket. Where it cannot be made the bridge runs without: only commands miss it.
pub(super) fn control(web: &Web, config: &Config, tasks: &mut JoinSet<()>) {
    match Control::bind(&config.storage.path) {
        Ok(control) => {
            tasks.spawn(control.serve(web::router(web), web.stop.clone()));
        }
        Err(error) => {
            tracing::warn!("commands will not reach this bridge, its control socket cannot be made: {error}")
        }
    }
}
