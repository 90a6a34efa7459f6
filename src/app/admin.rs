//! The admin side: pages and API behind the guard, and on the control socket.

use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use tokio::task::JoinSet;
use url::form_urlencoded;
use uuid::Uuid;

use super::control::Control;
use super::identity::Identity;
use crate::config::Config;
use crate::http::guard::{self, Guard};
use crate::render;
use crate::web::{self, Web};

/// Pages and API behind the guard.
pub(super) fn guarded(web: &Web, config: &Config, identity: &Identity) -> Router {
    let public = config.admin.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let guard = Guard {
        public_host: public.and_then(|url| url.host_str().map(str::to_owned)),
        open: has_key,
        snapshot_key: identity.snapshot_key,
    };
    let protect = axum::middleware::from_fn_with_state(Arc::new(guard), guard::protect);
    web::router(web).layer(protect)
}

/// Whether a request is for a picture and brings its key.
fn has_key(parts: &Parts, key: &[u8; 32]) -> bool {
    let name = parts.uri.path().strip_prefix("/snapshots/").and_then(|name| name.strip_suffix(".jpg"));
    let id = name.and_then(|id| Uuid::parse_str(id).ok());
    let query = parts.uri.query().unwrap_or_default();
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "k");
    id.zip(given).is_some_and(|(id, (_, given))| render::url::verify(key, id, &given))
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
