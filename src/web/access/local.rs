//! Access without a login: only from this host, and only if no other party caused the request: no web page whose name
//! was pointed at this host (DNS rebinding), no form of another site (CSRF), no reverse proxy.

use std::net::IpAddr;

use axum::http::header::{ACCEPT, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::Problem;

/// Headers that proxies add.
const FORWARDING: [&str; 11] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-ingress-path",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "via",
];

/// Reason for which a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Neither cookie nor token, or an expired one.
    #[error("not logged in")]
    NotLoggedIn,
    /// Wrong token.
    #[error("wrong token")]
    WrongToken,
    /// Too many wrong passwords or tokens.
    #[error("too many wrong guesses")]
    TooManyGuesses,
    /// Request from another host while there is no login.
    #[error("only this host may use the page while it has no login")]
    NotThisHost,
    /// Request through a proxy while there is no login.
    #[error("a proxy may not stand in front of the page while it has no login")]
    Forwarded,
    /// Request to a host name that anybody could point here, while there is no login.
    #[error(
        "the page has no login, so it answers only to localhost, a loopback address, or the name in admin.public_url"
    )]
    WrongHost,
    /// Request from a page of another site.
    #[error("the request comes from another site")]
    OtherSite,
}

impl Denied {
    /// Status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotLoggedIn | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TooManyGuesses => StatusCode::TOO_MANY_REQUESTS,
            Self::NotThisHost | Self::Forwarded | Self::WrongHost | Self::OtherSite => StatusCode::FORBIDDEN,
        }
    }

    /// Remedy.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "log in at /login, or send admin.token as Authorization: Bearer",
            Self::WrongToken => "send the value of admin.token",
            Self::TooManyGuesses => "wait a minute",
            Self::NotThisHost | Self::Forwarded => "set admin.password",
            Self::WrongHost => "use http://localhost, or set admin.password",
            Self::OtherSite => {
                "open alarmbus at its own address; behind a reverse proxy, set admin.public_url to the address that the browser shows"
            }
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.status(), self.to_string(), self.remedy());
        let mut response = match self {
            Self::NotLoggedIn => problem.with_page("/login", "Login required").into_response(),
            _ => problem.into_response(),
        };
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Returns whether a request without a login may go on.
pub(super) fn check(parts: &Parts, peer: IpAddr, public_url: Option<&str>) -> Result<(), Denied> {
    if !peer.to_canonical().is_loopback() {
        return Err(Denied::NotThisHost);
    }
    if is_forwarded(&parts.headers) {
        return Err(Denied::Forwarded);
    }
    let host = host(parts).ok_or(Denied::WrongHost)?;
    let public = public_url.and_then(|url| url::Url::parse(url).ok());
    let is_public = public.as_ref().and_then(url::Url::host_str).is_some_and(|public| public == name(&host));
    if !is_public && !is_loopback(&host) {
        return Err(Denied::WrongHost);
    }
    same_origin(parts, public_url)
}

/// Returns whether a peer is on this host, without a proxy in between.
pub(super) fn is_this_host(headers: &HeaderMap, peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() && !is_forwarded(headers)
}

/// Checks that a change or an event stream was requested by one of our own pages: its origin must be the requested host
/// or the public URL. Programs send neither of the headers that are checked.
pub(super) fn same_origin(parts: &Parts, public_url: Option<&str>) -> Result<(), Denied> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let accepts = parts.headers.get(ACCEPT).and_then(|kinds| kinds.to_str().ok()).unwrap_or_default();
    let streams = accepts.contains("text/event-stream") || parts.uri.path().ends_with("/events");
    let site = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origins = || parts.headers.get_all(ORIGIN).iter();
    if reads && !streams && origins().next().is_none() {
        return Ok(());
    }
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return Err(Denied::OtherSite);
    }
    let host = host(parts);
    let ours = |origin: &HeaderValue| {
        let Ok(origin) = origin.to_str() else { return false };
        let Some((_, authority)) = origin.split_once("://") else { return false };
        let public = public_url.and_then(|url| url::Url::parse(url).ok());
        let is_public = public.is_some_and(|public| public.origin().ascii_serialization() == origin);
        is_public || host.as_deref().is_some_and(|host| host.eq_ignore_ascii_case(authority))
    };
    if origins().all(ours) { Ok(()) } else { Err(Denied::OtherSite) }
}

/// Returns whether a proxy forwarded the request.
fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDING.iter().any(|name| headers.contains_key(*name))
}

/// Requested host with its port; `None` if it is missing or sent twice.
fn host(parts: &Parts) -> Option<String> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let (first, second) = (lines.next()?, lines.next());
    let host = first.to_str().ok().filter(|_| second.is_none())?.to_ascii_lowercase();
    let asked = parts.uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
    // An absolute target names a host too, and a proxy would use that one.
    asked.is_none_or(|asked| asked == host).then_some(host)
}

/// Host name without port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Returns whether a name can only mean this host.
fn is_loopback(host: &str) -> bool {
    let name = name(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Denied, check};

    #[track_caller]
    fn is(expected: Result<(), Denied>, method: &str, headers: &[(&str, &str)]) {
        let mut request = Request::builder().method(method).uri("/devices");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let found = check(&parts, "127.0.0.1".parse().unwrap(), Some("https://bus.lan:444/x"));
        assert_eq!(found, expected, "{method} {headers:?}");
    }

    #[test]
    fn this_host_under_its_own_names() {
        for host in [
            "localhost:8090",
            "127.0.0.1:8090",
            "127.9.9.9",
            "[::1]:8090",
            "LOCALHOST",
            "bus.lan",
            "bus.lan:8090",
        ] {
            is(Ok(()), "GET", &[("host", host)]);
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:8090",
            "",
            "127.0.0.1.nip.io",
            "[::2]:8090",
            "::1x",
        ] {
            is(Err(Denied::WrongHost), "GET", &[("host", host)]);
        }
        is(Err(Denied::WrongHost), "GET", &[]);
        is(Err(Denied::WrongHost), "GET", &[("host", "localhost"), ("host", "localhost")]);
        for proxied in super::FORWARDING {
            is(Err(Denied::Forwarded), "GET", &[("host", "localhost"), (proxied, "x")]);
        }
    }

    #[test]
    fn changes_and_streams_only_from_our_own_page() {
        let host = ("host", "localhost:8090");
        is(Ok(()), "POST", &[host]);
        is(Ok(()), "POST", &[host, ("origin", "http://localhost:8090")]);
        is(Ok(()), "POST", &[host, ("origin", "https://bus.lan:444")]);
        is(Err(Denied::OtherSite), "POST", &[host, ("origin", "http://localhost:9999")]);
        is(Err(Denied::OtherSite), "POST", &[host, ("origin", "http://evil.example")]);
        is(Err(Denied::OtherSite), "POST", &[host, ("origin", "null")]);
        is(Err(Denied::OtherSite), "POST", &[host, ("sec-fetch-site", "cross-site")]);
        is(
            Err(Denied::OtherSite),
            "DELETE",
            &[host, ("origin", "http://localhost:8090"), ("origin", "http://x")],
        );
        let stream = ("accept", "text/event-stream");
        is(Ok(()), "GET", &[host, stream, ("sec-fetch-site", "same-origin")]);
        is(Err(Denied::OtherSite), "GET", &[host, stream, ("origin", "http://evil.example")]);
        is(Err(Denied::OtherSite), "GET", &[host, stream, ("sec-fetch-site", "cross-site")]);
        is(Err(Denied::OtherSite), "GET", &[host, ("origin", "http://evil.example")]);
        is(Ok(()), "GET", &[host, ("sec-fetch-site", "cross-site")]);
    }
}
