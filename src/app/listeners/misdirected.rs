//! Detects a camera that pushes to the admin port and raises a finding, whatever the request is answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::app::webhooks::registry::WebhookRegistry;
use crate::findings::FindingCode;
use crate::http::Arrival;
use crate::web::Web;

/// Adds the check to every route of the admin listener.
pub(super) fn detect(routes: Router, web: &Web, webhook_registry: &Arc<WebhookRegistry>) -> Router {
    routes.layer(from_fn_with_state((web.clone(), Arc::clone(webhook_registry)), check))
}

/// Raises the finding if the request's path is that of a webhook: since it is secret, the request comes from a camera
/// with the wrong port.
async fn check(
    State((web, webhook_registry)): State<(Web, Arc<WebhookRegistry>)>,
    request: Request,
    next: Next,
) -> Response {
    if webhook_registry.knows(request.uri())
        && let Some(arrival) = request.extensions().get::<Arrival>()
    {
        let reach = web.bridge.reach();
        let secure = reach.https_port.map(|port| format!(", or {port} for HTTPS")).unwrap_or_default();
        let peer = arrival.peer.to_string();
        let detail = format!(
            "{peer} pushes to the port of these pages; the port for cameras is {}{secure}",
            reach.http_port
        );
        web.findings.raise(FindingCode::WrongPort, &peer, &detail);
    }
    next.run(request).await
}
