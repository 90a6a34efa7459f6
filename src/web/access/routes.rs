//! Routes of the admin listener behind its access rules, with those of the login.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::auth::{Access, Caller, Stranger};
use super::local::{self, Denied};
use super::{entrance, headers, ingress, login};
use crate::http::Arrival;

impl Access {
    /// Adds login and authentication to routes.
    pub fn protect(&self, routes: Router) -> Router {
        let login = Router::new()
            .route("/login", get(login::page).post(login::log_in))
            .route("/logout", post(login::log_out))
            .with_state(self.clone());
        routes.merge(login).layer(from_fn_with_state(self.clone(), check))
    }
}

/// Returns whether a path is answered without authentication. The login page needs the style sheet.
fn is_open(path: &str) -> bool {
    matches!(path, "/health/live" | "/health/ready" | "/healthz" | "/login" | "/logout")
        || path.starts_with("/assets/")
}

/// Admits or refuses a request; either response gets the same headers.
async fn check(State(access): State<Access>, request: Request<Body>, next: Next) -> Response {
    let prefix = ingress::prefix(request.headers());
    let (response, who) = admit(&access, request, next).await;
    let response = headers::complete(response);
    match prefix.filter(|_| who == Some(Caller::Ingress)) {
        Some(prefix) => ingress::answer(response, &prefix).await,
        None => response,
    }
}

/// The response, and the method of authentication.
async fn admit(access: &Access, request: Request<Body>, next: Next) -> (Response, Option<Caller>) {
    let (mut parts, body) = request.into_parts();
    let Some(arrival) = parts.extensions.get::<Arrival>().cloned() else {
        // Every listener adds this extension; without it the peer is unknown.
        return (Denied::NotLoggedIn.into_response(), None);
    };
    let admitted = access.authorize(&parts, &arrival);
    match admitted {
        Ok(who) => {
            parts.extensions.insert(who);
        }
        Err(_) if is_open(parts.uri.path()) => {
            if !local::is_this_host(&parts.headers, arrival.peer) {
                parts.extensions.insert(Stranger);
            }
        }
        Err(denied) => {
            let peer = access.peer(&parts, &arrival);
            tracing::info!(peer = %peer, status = denied.status().as_u16(), method = %parts.method, "admin: {denied}");
            return (entrance::refused(denied, &parts, access.rules.password.is_some()), None);
        }
    }
    (next.run(Request::from_parts(parts, body)).await, admitted.ok())
}
