//! The admin listener's router (health, metrics, API, pages) behind the access rules, and the API on the control
//! socket.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::map_request;
use axum::{Extension, Router};
use tokio::task::JoinSet;

use super::control::ControlSocket;
use super::misdirected::detect;
use crate::app::health::publisher::HealthPublisher;
use crate::app::webhooks::registry::WebhookRegistry;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::web::access::{Access, Caller};
use crate::web::{self, LoggedIn, SecretDisplay, Web};
use crate::web::{health_router, metrics_router};

/// Routes of the admin listener; `access` decides who may use them.
pub(in crate::app) fn router(
    web: &Web,
    webhook_registry: &Arc<WebhookRegistry>,
    health_publisher: HealthPublisher,
    metrics: Metrics,
    access: &Access,
) -> Router {
    let pages = web::router(web).layer(map_request(mark_caller));
    let all =
        access.protect(health_router(Arc::new(health_publisher)).merge(metrics_router(metrics)).merge(pages));
    detect(all, web, webhook_registry)
}

/// Hides secrets from a caller who is authorised only by being on this host, and offers logout to a caller with a
/// session.
async fn mark_caller(mut request: Request) -> Request {
    let who = request.extensions().get::<Caller>().copied();
    if let Some(Caller::Session | Caller::Token | Caller::Ingress) = who {
        request.extensions_mut().insert(SecretDisplay::Shown);
    }
    request.extensions_mut().insert(LoggedIn(who == Some(Caller::Session)));
    request
}

/// Serves the control socket. The bridge also runs without it; then commands cannot reach it.
pub(in crate::app) fn control(web: &Web, config: &Config, tasks: &mut JoinSet<()>) {
    match ControlSocket::bind(&config.storage.path) {
        Ok(control) => {
            // A process that can open the socket can also read the folder, which holds the same secrets.
            let router = web::router(web).layer(Extension(SecretDisplay::Shown));
            tasks.spawn(control.serve(router, web.stop.clone()));
        }
        Err(error) => {
            tracing::warn!("commands cannot reach this bridge, its control socket cannot be created: {error}")
        }
    }
}
