//! Pages behind Home Assistant's ingress, which serves them under a path prefix in a frame. Links that start at the
//! root get the prefix, and the frame is permitted.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Limited};

/// Largest page in bytes.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Attribute prefixes of links in our pages. Text from devices cannot look like one of them, since its quotes are
/// escaped.
const LINKS: [&str; 4] = ["href=\"/", "src=\"/", "action=\"/", "data-events=\"/"];

/// Path prefix that ingress adds, if it is valid.
pub(super) fn prefix(headers: &HeaderMap) -> Option<String> {
    let path = headers.get("x-ingress-path")?.to_str().ok()?.trim_end_matches('/');
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "/-_.".contains(sign);
    let is_path = path.starts_with('/') && !path.starts_with("//") && path.len() <= 256;
    (is_path && path.chars().all(plain)).then(|| path.to_owned())
}

/// Adapts a response for a browser behind ingress.
pub(super) async fn answer(mut response: Response, prefix: &str) -> Response {
    let headers = response.headers_mut();
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let moved = location.filter(|path| path.starts_with('/')).map(|path| format!("{prefix}{path}"));
    if let Some(Ok(moved)) = moved.map(|path| HeaderValue::from_str(&path)) {
        headers.insert(LOCATION, moved);
    }
    if !super::headers::is_page(headers) {
        return response;
    }
    let policy = headers.get(CONTENT_SECURITY_POLICY).and_then(|value| value.to_str().ok());
    let framed = policy.map(|policy| policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'"));
    if let Some(Ok(framed)) = framed.map(|policy| HeaderValue::from_str(&policy)) {
        headers.insert(CONTENT_SECURITY_POLICY, framed);
    }
    headers.remove(CONTENT_LENGTH);
    let (parts, body) = response.into_parts();
    let Ok(body) = Limited::new(body, MAX_PAGE_BYTES).collect().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let page = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Response::from_parts(parts, Body::from(below(&page, prefix)))
}

/// Adds a path prefix to the links of a page.
fn below(page: &str, prefix: &str) -> String {
    LINKS.iter().fold(page.to_owned(), |page, link| {
        let attribute = link.trim_end_matches('/');
        page.replace(link, &format!("{attribute}{prefix}/"))
    })
}

#[cfg(test)]
mod tests {
    use super::{below, prefix};
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn links_lead_below_the_path_and_texts_stay() {
        let page =
            r#"<a href="/devices#x"><img src="/a.svg"></a><form action="/x"><input value="/name"> = &#34;/"#;
        let expected = r#"<a href="/p/q/devices#x"><img src="/p/q/a.svg"></a><form action="/p/q/x"><input value="/name"> = &#34;/"#;
        assert_eq!(below(page, "/p/q"), expected);
    }

    #[test]
    fn only_a_plain_path_is_taken() {
        let of = |path: &'static str| {
            prefix(&HeaderMap::from_iter([(
                "x-ingress-path".parse().unwrap(),
                HeaderValue::from_static(path),
            )]))
        };
        assert_eq!(of("/api/hassio_ingress/aB3_-x/").as_deref(), Some("/api/hassio_ingress/aB3_-x"));
        for wrong in ["", "/", "//evil.example", "https://evil.example", "/a\"b", "/a b", "/a<b"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
