//! Who may use the admin listener (DESIGN 9).
//!
//! With a login: a session cookie, the token, or Home Assistant's ingress from a configured proxy. Without one: only
//! this host, and only in ways that no web page and no proxy can bring about (see `local`).
//! Health stays open, without its details; so does what has a key of its own (a picture), to whom brings the key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use ipnet::IpNet;

use super::connection::Arrival;
use super::local::{self, Denied};
use super::password::Password;
use super::secret::SecretText;
use super::sessions::Sessions;
use super::throttle::Throttle;
use super::{ingress, login, peer};
use crate::config::Admin;

/// The name of the cookie.
pub(super) const COOKIE_NAME: &str = "alarmbus_session";

/// How somebody showed who they are; an extension of each request that may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Somebody with the key of what they ask for.
    Key,
    /// Somebody on this host, where there is no login.
    Host,
    /// Somebody with a session.
    Session,
    /// A program with the token.
    Token,
    /// Somebody whom Home Assistant let in.
    Ingress,
}

/// An extension of requests that are answered without knowing who asks: details stay hidden.
#[derive(Debug, Clone, Copy)]
pub struct Stranger;

/// Whether a request brings the key of what it asks for.
pub type HasKey = dyn Fn(&Parts) -> bool + Send + Sync;

/// Who may use the admin listener; a cheap handle.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) rules: Arc<Rules>,
}

/// What an [`Access`] goes by.
pub(super) struct Rules {
    /// None: no login, so only this host.
    pub(super) password: Option<Password>,
    token: Option<SecretText>,
    proxies: Vec<IpNet>,
    public_url: Option<String>,
    has_key: Box<HasKey>,
    pub(super) sessions: Sessions,
    pub(super) throttle: Throttle,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("login", &self.password.is_some()).finish_non_exhaustive()
    }
}

impl Access {
    /// From the configuration. The password is the configured or the generated one; without any there is no login,
    /// which is right on loopback alone. What has a key of its own is open to whom `has_key` says brings it.
    #[must_use]
    pub fn new(admin: &Admin, password: Option<&str>, has_key: Box<HasKey>) -> Self {
        let rules = Rules {
            password: password.map(Password::new),
            token: admin.token.as_ref().map(|token| SecretText::new(token.expose())),
            proxies: admin.proxies.clone(),
            public_url: admin.public_url.clone(),
            has_key,
            sessions: Sessions::default(),
            throttle: Throttle::default(),
        };
        Self { rules: Arc::new(rules) }
    }

    /// Puts login and this check in front of routes.
    pub fn protect(&self, routes: Router) -> Router {
        let login = Router::new()
            .route("/login", get(login::page).post(login::enter))
            .route("/logout", post(login::leave))
            .with_state(self.clone());
        routes.merge(login).layer(from_fn_with_state(self.clone(), check))
    }

    /// Whether a request may go on, and as whose.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(&self, parts: &Parts, arrival: &Arrival) -> Result<Who, Denied> {
        let rules = &*self.rules;
        if matches!(parts.method, Method::GET | Method::HEAD) && (rules.has_key)(parts) {
            return Ok(Who::Key);
        }
        if let Some(given) = bearer(&parts.headers) {
            return rules.check_token(given, self.peer(parts, arrival));
        }
        if rules.is_ingress(&parts.headers, arrival.peer) {
            return Ok(Who::Ingress);
        }
        if rules.password.is_none() {
            local::check(parts, arrival.peer, rules.public_url.as_deref())?;
            return Ok(Who::Host);
        }
        let Some(cookie) = cookie(&parts.headers) else { return Err(Denied::NotLoggedIn) };
        if !rules.sessions.holds(cookie) {
            return Err(Denied::NotLoggedIn);
        }
        local::same_origin(parts, rules.public_url.as_deref())?;
        Ok(Who::Session)
    }

    /// The peer, or whom a trusted proxy names.
    pub(super) fn peer(&self, parts: &Parts, arrival: &Arrival) -> IpAddr {
        peer::effective(arrival.peer, &parts.headers, &self.rules.proxies)
    }

    /// Whether the request came over TLS, to us or to a trusted proxy.
    pub(super) fn is_secure(&self, parts: &Parts, arrival: &Arrival) -> bool {
        let forwarded = parts.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        arrival.tls || (forwarded && self.rules.trusts(arrival.peer))
    }

    /// Whether a form that changes something came from our own page.
    ///
    /// # Errors
    /// When it came from elsewhere.
    pub(super) fn same_origin(&self, parts: &Parts) -> Result<(), Denied> {
        local::same_origin(parts, self.rules.public_url.as_deref())
    }
}

impl Rules {
    fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    /// Home Assistant's ingress checks the user itself, and says so in headers that only it may be believed.
    fn is_ingress(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let named = headers.contains_key("x-ingress-path") && headers.contains_key("x-remote-user-id");
        named && self.trusts(peer)
    }

    fn check_token(&self, given: &str, peer: IpAddr) -> Result<Who, Denied> {
        if self.token.as_ref().is_some_and(|token| bool::from(token.is(given))) {
            return Ok(Who::Token);
        }
        Err(if self.throttle.may_guess(peer) { Denied::WrongToken } else { Denied::TooManyGuesses })
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Our cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// Whether a path is answered without knowing who asks.
fn is_open(path: &str) -> bool {
    matches!(path, "/health/live" | "/health/ready" | "/login" | "/logout")
}

/// Lets a request through, or says why not.
async fn check(State(access): State<Access>, request: Request<Body>, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(arrival) = parts.extensions.get::<Arrival>().cloned() else {
        // Every listener puts it there; without it nothing is known about who asks.
        return Denied::NotLoggedIn.into_response();
    };
    match access.authorize(&parts, &arrival) {
        Ok(who) => {
            parts.extensions.insert(who);
            if let Some(prefix) = ingress::prefix(&parts.headers).filter(|_| who == Who::Ingress) {
                return ingress::answer(next.run(Request::from_parts(parts, body)).await, &prefix).await;
            }
        }
        Err(_) if is_open(parts.uri.path()) => {
            if !local::is_this_host(&parts.headers, arrival.peer) {
                parts.extensions.insert(Stranger);
            }
        }
        Err(denied) => {
            let peer = access.peer(&parts, &arrival);
            tracing::info!(peer = %peer, status = denied.status().as_u16(), method = %parts.method, "admin: {denied}");
            let login = access.rules.password.is_some() && login::wants_page(&parts);
            return if login { login::go_there() } else { denied.into_response() };
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::Request;

    use super::{Access, Arrival, Who};
    use crate::http::Denied;

    #[track_caller]
    fn check(password: Option<&str>, method: &str, path: &str, expected: Result<Who, Denied>) {
        let access = Access::new(
            &crate::config::Admin::default(),
            password,
            Box::new(|parts| parts.uri.path() == "/keyed"),
        );
        let request = Request::builder().method(method).uri(path).header("host", "camera.lan");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let arrival = Arrival::new(IpAddr::from([10, 0, 0, 9]), false);
        assert_eq!(access.authorize(&parts, &arrival), expected, "{method} {path}");
    }

    #[test]
    fn what_has_a_key_needs_no_login_to_be_read() {
        for (password, denied) in [(None, Denied::NotThisHost), (Some("p4ssword"), Denied::NotLoggedIn)] {
            check(password, "GET", "/keyed", Ok(Who::Key));
            check(password, "HEAD", "/keyed", Ok(Who::Key));
            check(password, "POST", "/keyed", Err(denied));
            check(password, "GET", "/other", Err(denied));
        }
    }
}
