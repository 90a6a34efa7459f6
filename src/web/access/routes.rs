//! Routes of the admin listener behind its access rules, with those of the login.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::auth::{Access, Caller, Stranger};
use super::local::{self, Denied};
use super::{entrance, headers, ingress, login};
use crate::http::Arrival;
use crate::web::preferences::{self, Preferences};

impl Access {
    /// Adds login and authentication to routes.
    pub fn protect(&self, routes: Router) -> Router {
        let login = Router::new()
            .route("/login", get(login::page).post(login::log_in))
            .route("/logout", post(login::log_out))
            .layer(from_fn(preferences::apply))
            .with_state(self.clone());
        routes.merge(login).layer(from_fn_with_state(self.clone(), check))
    }
}

/// Files that anybody may read: those that the login page refers to, and those that its manifest does.
const OPEN_FILES: [&str; 9] = [
    "/favicon.ico",
    "/assets/style.css",
    "/assets/dark.css",
    "/assets/entrance.js",
    "/assets/manifest.webmanifest",
    "/assets/icon.svg",
    "/assets/icon-192.png",
    "/assets/icon-512.png",
    "/assets/icon-maskable.png",
];

/// Returns whether a request is answered without authentication.
fn is_open(method: &Method, path: &str) -> bool {
    matches!(path, "/health/live" | "/health/ready" | "/healthz" | "/login" | "/logout")
        || matches!(*method, Method::GET | Method::HEAD) && OPEN_FILES.contains(&path)
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
        Err(_) if is_open(&parts.method, parts.uri.path()) => {
            if !local::is_this_host(&parts.headers, arrival.peer) {
                parts.extensions.insert(Stranger);
            }
        }
        Err(denied) => {
            let peer = access.peer(&parts, &arrival);
            tracing::info!(peer = %peer, status = denied.status().as_u16(), method = %parts.method, "admin: {denied}");
            let has_login = access.rules.password.is_some();
            let page = || entrance::refused(denied, &parts, has_login);
            return (Preferences::of(&parts.headers).scope(page), None);
        }
    }
    (next.run(Request::from_parts(parts, body)).await, admitted.ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_open_files_are_those_that_the_login_page_needs() {
        let page = include_str!("../templates/entrance.html");
        let manifest = include_str!("../assets/manifest.webmanifest");
        let linked = |text: &str, start: &str, ends: &[char]| -> Vec<String> {
            let after = text.split(start).skip(1);
            after.filter_map(|rest| rest.split(ends).next()).map(str::to_owned).collect()
        };
        let own = [linked(page, "href=\"/assets/", &['"', '?']), linked(page, "src=\"/assets/", &['"', '?'])];
        let icons = linked(manifest, "\"./", &['"']);
        let needed: BTreeSet<String> =
            own.into_iter().flatten().chain(icons).map(|name| format!("/assets/{name}")).collect();
        let open = OPEN_FILES.iter().filter(|path| path.starts_with("/assets/"));
        assert_eq!(open.map(ToString::to_string).collect::<BTreeSet<_>>(), needed);
        assert!(is_open(&Method::GET, "/favicon.ico"), "browsers ask for it without being told to");
    }

    #[test]
    fn nothing_else_is_open() {
        for path in
            ["/", "/assets/", "/assets/script.js", "/assets/nothing", "/assets/../devices", "/favicon.ico/"]
        {
            assert!(!is_open(&Method::GET, path), "{path}");
        }
        assert!(!is_open(&Method::POST, "/assets/style.css"));
    }
}
