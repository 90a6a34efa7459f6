//! Page for a person who opens a webhook's URL in a browser.

use askama::Template;
use axum::http::HeaderMap;
use axum::http::header::HOST;

use crate::http::Problem;

/// Style sheet of all pages. It is part of this page, because the ingest listeners serve nothing but webhooks.
const STYLE: &str = include_str!("../../web/assets/style.css");

/// The page.
#[derive(Debug, Template)]
#[template(path = "right_url.html", config = "src/web/askama.toml")]
struct RightUrl<'a> {
    style: &'static str,
    protocol: &'static str,
    host: &'a str,
    port: &'a str,
}

/// Page that confirms the URL and lists the values to enter in the camera. The path itself is shown only in the address
/// bar.
pub(super) fn right_url(headers: &HeaderMap, tls: bool) -> Result<String, Problem> {
    let sent = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (protocol, default_port) = if tls { ("HTTPS", "443") } else { ("HTTP", "80") };
    let safe =
        sent.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_'));
    let shown = if safe && !sent.is_empty() { sent } else { "the address of this bridge" };
    let (host, port) = match shown.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => {
            (host, port)
        }
        _ => (shown, default_port),
    };
    let page = RightUrl { style: STYLE, protocol, host, port };
    page.render().map_err(|error| Problem::internal(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::right_url;
    use axum::http::HeaderMap;

    #[track_caller]
    fn check(host: &str, tls: bool, expected: [&str; 3]) {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        let html = right_url(&headers, tls).unwrap();
        for value in expected {
            assert!(html.contains(&format!("<code>{value}</code>")), "{value} in {html}");
        }
    }

    #[test]
    fn it_says_what_to_type_and_repeats_nothing_dangerous() {
        check("192.168.0.2:8089", false, ["HTTP", "192.168.0.2", "8089"]);
        check("bridge.local", true, ["HTTPS", "bridge.local", "443"]);
        check("[fd00::1]:8443", true, ["HTTPS", "[fd00::1]", "8443"]);
        check("<script>", false, ["HTTP", "the address of this bridge", "80"]);
    }
}
