//! Who may use the admin listener: [`Guard::authorize`] is the one place that says so.
//!
//! Without a login that is this host alone, and only as itself: a page of another site that a browser here has open
//! must not reach it (by a foreign name that points to loopback, by a form, or by a script), and a proxy in front
//! would make the whole network look like loopback.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;

use super::Arrival;

/// Headers that a proxy adds.
const FORWARDED: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-ingress-path"];

/// Why a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// What it asks for is open to whom holds its key.
    Open,
    /// It comes from this host.
    Local,
    /// It comes by the control socket, which only this user can open.
    Control,
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is answered.
    pub status: StatusCode,
    /// What is wrong with it.
    pub cause: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What a guard knows.
#[derive(Clone)]
pub struct Guard {
    /// The host of `admin.public_url`, where it is set.
    pub public_host: Option<String>,
    /// Whether a request needs no login for what it asks for: a picture with its key.
    pub open: fn(&Parts, &[u8; 32]) -> bool,
    /// The key behind picture addresses.
    pub snapshot_key: [u8; 32],
}

impl Guard {
    /// Decides about one request by its head and its peer.
    ///
    /// # Errors
    /// With the cause and the remedy, when it may not pass.
    pub fn authorize(&self, parts: &Parts, peer: IpAddr) -> Result<Access, Refusal> {
        let get = matches!(parts.method, Method::GET | Method::HEAD);
        if get && (self.open)(parts, &self.snapshot_key) {
            return Ok(Access::Open);
        }
        self.local(parts, peer)?;
        self.same_origin(parts, get)?;
        Ok(Access::Local)
    }

    /// Without a login: from this host, by a name of it, and not through a proxy.
    fn local(&self, parts: &Parts, peer: IpAddr) -> Result<(), Refusal> {
        if !peer.to_canonical().is_loopback() {
            return Err(Refusal::new(
                format!("{peer} is not this host, and there is no login"),
                "open the page on the host of the bridge, or set admin.password",
            ));
        }
        if let Some(name) = FORWARDED.into_iter().find(|name| parts.headers.contains_key(*name)) {
            return Err(Refusal::new(
                format!("a proxy stands in front ({name}), so everybody would pass for this host"),
                "set admin.password, and list the proxy under admin.proxies",
            ));
        }
        let host = host(parts).unwrap_or_default();
        if self.is_ours(&host) {
            return Ok(());
        }
        Err(Refusal::new(
            format!("the name {host:?} is none of this host's own"),
            "open the page as http://127.0.0.1 or http://localhost, or set admin.public_url to the name you use",
        ))
    }

    /// What changes something, and the event stream, only for pages of our own.
    fn same_origin(&self, parts: &Parts, get: bool) -> Result<(), Refusal> {
        let stream = header(&parts.headers, &ACCEPT)
            .is_some_and(|accept| accept.contains("text/event-stream"))
            || parts.uri.path().ends_with("/events");
        if get && !stream {
            return Ok(());
        }
        let site = header(&parts.headers, &HeaderName::from_static("sec-fetch-site"));
        let foreign = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
        let origin = header(&parts.headers, &ORIGIN);
        let own = origin.is_none_or(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && (authority == authority_of(parts).as_deref() || self.is_public(authority))
        });
        if own && !foreign {
            return Ok(());
        }
        let from = origin.unwrap_or("another site");
        Err(Refusal::new(
            format!("the request was made by a page of {from}"),
            "use the page of the bridge itself",
        ))
    }

    /// Whether a host name or address stands for this host.
    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_matches(['[', ']']);
        bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            || bare.eq_ignore_ascii_case("localhost")
            || self.public_host.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(bare))
    }

    fn is_public(&self, authority: Option<&str>) -> bool {
        let authority = authority.and_then(|authority| authority.parse::<Authority>().ok());
        authority.is_some_and(|authority| {
            self.public_host.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(authority.host()))
        })
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("public_host", &self.public_host).finish_non_exhaustive()
    }
}

impl Refusal {
    /// 403 with cause and remedy.
    #[must_use]
    pub fn new(cause: String, remedy: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, cause, remedy }
    }

    /// The answer: a problem document (RFC 9457).
    #[must_use]
    pub fn answer(&self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("refused");
        let problem = json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(),
            "detail": self.cause, "remedy": self.remedy,
        });
        let mut response = Response::new(Body::from(format!("{problem}\n")));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
        response
    }
}

/// The middleware: lets a request pass with its [`Access`] as an extension, or answers it.
pub async fn protect(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Arrival>().map(|arrival| arrival.peer);
    let Some(peer) = peer else {
        // Only a listener adds it, so a request without one came some other way.
        return Refusal::new("the peer of the request is not known".into(), "use a listener").answer();
    };
    match guard.authorize(&parts, peer) {
        Ok(access) => {
            parts.extensions.insert(access);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => {
            tracing::debug!(peer = %peer, status = refusal.status.as_u16(), "refused: {}", refusal.cause);
            refusal.answer()
        }
    }
}

/// `host:port` the request is for.
fn authority_of(parts: &Parts) -> Option<String> {
    let absolute = parts.uri.authority().map(Authority::as_str);
    absolute.or_else(|| header(&parts.headers, &HOST)).map(str::to_owned)
}

/// The host the request is for, without the port.
fn host(parts: &Parts) -> Option<String> {
    authority_of(parts)?.parse::<Authority>().ok().map(|authority| authority.host().to_owned())
}

/// A header's text, if it is there once.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { Some("\u{0}") } else { Some(first.to_str().unwrap_or("\u{0}")) }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Access, Guard};

    #[track_caller]
    fn check(method: &str, path: &str, headers: &[(&str, &str)], peer: &str, passes: bool) {
        let guard = Guard {
            public_host: Some("bus.lan".into()),
            open: |parts, _| parts.uri.path() == "/open",
            snapshot_key: [0; 32],
        };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let verdict = guard.authorize(&parts, peer.parse().unwrap());
        assert_eq!(verdict.is_ok(), passes, "{method} {path} {headers:?} {peer}: {verdict:?}");
        if path == "/open" && passes {
            assert_eq!(verdict, Ok(Access::Open));
        }
    }

    #[test]
    fn only_this_host_by_a_name_of_its_own() {
        for host in
            ["127.0.0.1:8090", "127.9.9.9", "localhost", "LocalHost:1", "[::1]:8090", "bus.lan", "BUS.lan:80"]
        {
            check("GET", "/", &[("host", host)], "127.0.0.1", true);
            check("GET", "/", &[("host", host)], "::ffff:127.0.0.1", true);
        }
        check("GET", "/", &[("host", "localhost")], "192.168.0.5", false);
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "", "a b"] {
            check("GET", "/", &[("host", host)], "127.0.0.1", false);
        }
        check("GET", "/", &[], "127.0.0.1", false);
        check("GET", "/", &[("host", "localhost"), ("host", "localhost")], "127.0.0.1", false);
        check("GET", "http://evil.example/", &[("host", "localhost")], "127.0.0.1", false);
    }

    #[test]
    fn a_proxy_makes_nobody_local() {
        for name in super::FORWARDED {
            check("GET", "/", &[("host", "localhost"), (name, "x")], "127.0.0.1", false);
        }
    }

    #[test]
    fn another_site_can_change_nothing_and_watch_nothing() {
        let host = ("host", "localhost:8090");
        for origin in ["http://localhost:8090", "http://bus.lan", "https://bus.lan:444"] {
            check("POST", "/x", &[host, ("origin", origin)], "127.0.0.1", true);
        }
        check("POST", "/x", &[host], "127.0.0.1", true);
        for origin in ["http://evil.example", "http://localhost:1", "null", "http://localhost:8090.evil"] {
            check("POST", "/x", &[host, ("origin", origin)], "127.0.0.1", false);
            check("GET", "/api/v1/events", &[host, ("origin", origin)], "127.0.0.1", false);
            check(
                "GET",
                "/x",
                &[host, ("origin", origin), ("accept", "text/event-stream")],
                "127.0.0.1",
                false,
            );
            check("GET", "/x", &[host, ("origin", origin)], "127.0.0.1", true);
        }
        check("POST", "/x", &[host, ("sec-fetch-site", "cross-site")], "127.0.0.1", false);
        check("POST", "/x", &[host, ("sec-fetch-site", "same-origin")], "127.0.0.1", true);
    }

    #[test]
    fn what_has_a_key_needs_no_login() {
        check("GET", "/open", &[("host", "anything")], "10.0.0.9", true);
        check("POST", "/open", &[("host", "anything")], "10.0.0.9", false);
    }
}
