//! Authentication at the admin listener.
//!
//! With a login: a session cookie, the token, or Home Assistant's ingress from a configured proxy. Without one: only
//! this host, and only requests that no foreign web page and no proxy can cause (see `local`). Health stays open
//! without its details; a resource with a key of its own (a picture) is open to a request with the key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum_extra::extract::CookieJar;
use ipnet::IpNet;

use super::local::{self, Denied};
use super::password::Password;
use super::sessions::Sessions;
use super::throttle::Throttle;
use crate::config::Admin;
use crate::http::Arrival;
use crate::http::SecretText;
use crate::http::peer;

/// Name of the session cookie.
pub(super) const COOKIE_NAME: &str = "alarmbus_session";

/// Method by which a caller was authenticated; an extension of each admitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Key of the requested resource.
    Key,
    /// Request from this host, where there is no login.
    Host,
    /// Session cookie.
    Session,
    /// Token of a program.
    Token,
    /// Home Assistant's ingress.
    Ingress,
}

/// Extension of requests that are answered without authentication: details stay hidden.
#[derive(Debug, Clone, Copy)]
pub struct Stranger;

/// Function that returns whether a request has the key of the requested resource.
pub type HasKey = dyn Fn(&Parts) -> bool + Send + Sync;

/// Authentication at the admin listener; cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) rules: Arc<Rules>,
}

/// Settings and state of an [`Access`].
pub(super) struct Rules {
    /// `None`: no login, so that only requests from this host are admitted.
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
    /// Creates it from the configuration. The password is the configured or the generated one; without any there is no
    /// login, which is safe on loopback only. `has_key` decides whether a request carries the key of a resource.
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

    /// Decides whether a request is admitted, and how its caller was authenticated.
    ///
    /// # Errors
    /// Returns the reason for the refusal.
    pub fn authorize(&self, parts: &Parts, arrival: &Arrival) -> Result<Caller, Denied> {
        let rules = &*self.rules;
        if matches!(parts.method, Method::GET | Method::HEAD) && (rules.has_key)(parts) {
            return Ok(Caller::Key);
        }
        if let Some(given) = bearer(&parts.headers) {
            return rules.check_token(given, self.peer(parts, arrival));
        }
        if rules.is_ingress(&parts.headers, arrival.peer) {
            return Ok(Caller::Ingress);
        }
        if rules.password.is_none() {
            local::check(parts, arrival.peer, rules.public_url.as_deref())?;
            return Ok(Caller::Host);
        }
        let cookies = CookieJar::from_headers(&parts.headers);
        if !cookies.get(COOKIE_NAME).is_some_and(|cookie| rules.sessions.holds(cookie.value())) {
            return Err(Denied::NotLoggedIn);
        }
        local::same_origin(parts, rules.public_url.as_deref())?;
        Ok(Caller::Session)
    }

    /// Address of the peer, or the one that a trusted proxy forwards for.
    pub(super) fn peer(&self, parts: &Parts, arrival: &Arrival) -> IpAddr {
        peer::effective(arrival.peer, &parts.headers, &self.rules.proxies)
    }

    /// Returns whether the request came over TLS, to the bridge or to a trusted proxy.
    pub(super) fn is_secure(&self, parts: &Parts, arrival: &Arrival) -> bool {
        let forwarded = parts.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        arrival.tls || (forwarded && self.rules.trusts(arrival.peer))
    }

    /// Checks that a form that changes something was sent by a page of the bridge.
    ///
    /// # Errors
    /// Fails when it was sent from another site.
    pub(super) fn same_origin(&self, parts: &Parts) -> Result<(), Denied> {
        local::same_origin(parts, self.rules.public_url.as_deref())
    }
}

impl Rules {
    fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    /// Returns whether the request comes from Home Assistant's ingress, which authenticates the user and says so in
    /// headers that are trusted only from its address.
    fn is_ingress(&self, headers: &HeaderMap, peer: IpAddr) -> bool {
        let named = headers.contains_key("x-ingress-path") && headers.contains_key("x-remote-user-id");
        named && self.trusts(peer)
    }

    fn check_token(&self, given: &str, peer: IpAddr) -> Result<Caller, Denied> {
        if self.token.as_ref().is_some_and(|token| bool::from(token.is(given))) {
            return Ok(Caller::Token);
        }
        Err(if self.throttle.may_guess(peer) { Denied::WrongToken } else { Denied::TooManyGuesses })
    }
}

/// Token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::Request;

    use super::{Access, Caller};
    use crate::http::Arrival;
    use crate::web::access::Denied;

    #[track_caller]
    fn check(password: Option<&str>, method: &str, path: &str, expected: Result<Caller, Denied>) {
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
            check(password, "GET", "/keyed", Ok(Caller::Key));
            check(password, "HEAD", "/keyed", Ok(Caller::Key));
            check(password, "POST", "/keyed", Err(denied));
            check(password, "GET", "/other", Err(denied));
        }
    }
}
