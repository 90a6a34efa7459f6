//! A camera that pushes to the port of the pages: told as a finding, whatever the request is answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::hooks::Hooks;
use crate::http::Arrival;
use crate::web::Web;

/// Puts the check in front of everything that the admin listener answers.
pub(super) fn told(routes: Router, web: &Web, hooks: &Arc<Hooks>) -> Router {
    routes.layer(from_fn_with_state((web.clone(), Arc::clone(hooks)), look))
}

/// The path of a webhook is known to nobody who has no business with it, so whoever asks for it means the other port.
async fn look(State((web, hooks)): State<(Web, Arc<Hooks>)>, request: Request, next: Next) -> Response {
    if hooks.knows(request.uri())
        && let Some(arrival) = request.extensions().get::<Arrival>()
    {
        let reach = web.bridge.reach();
        let secure = reach.https_port.map(|port| format!(", or {port} for HTTPS")).unwrap_or_default();
        let peer = arrival.peer.to_string();
        let detail = format!(
            "{peer} pushes to the port of these pages; the port for cameras is {}{secure}",
            reach.http_port
        );
        web.findings.raise("wrong_port", &peer, &detail);
    }
    next.run(request).await
}
