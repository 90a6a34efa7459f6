//! A request as the Requests page shows it: what came, without what must stay secret.

use std::fmt::Write as _;

use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use bytes::Bytes;

use super::webhook::{Webhook, Webhooks};
use crate::outbox::RawRequest;

/// A body up to this is kept whole.
const BODY_KEPT: usize = 64 << 10;
/// Of a larger one that was understood only its start is kept: so much, or up to the picture in it (which is stored
/// anyway) and a little of that.
const START_KEPT: usize = 16 << 10;
/// As much of a picture as shows what it is.
const PICTURE_KEPT: usize = 256;
/// The most bytes of a head that are kept.
const HEAD_KEPT: usize = 16 << 10;
/// Headers whose values are credentials, or may repeat the path.
const SECRET: [HeaderName; 5] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::REFERER, header::SET_COOKIE];

/// Puts the request together; `webhook` is none for a wrong path, which is masked as a whole.
pub(super) fn raw(
    parts: &Parts,
    webhook: Option<&Webhook>,
    webhooks: &Webhooks,
    body: &[u8],
    status: StatusCode,
    verdict: String,
) -> RawRequest {
    let path = webhook.map_or_else(|| "/***".to_owned(), |webhook| webhook.path.masked());
    let mut head = format!("{} {path} {:?}\r\n", parts.method, parts.version);
    for (name, value) in &parts.headers {
        let shown = if is_secret(name) || webhooks.leaks_in(value.as_bytes()) {
            "***".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        if head.len() + shown.len() > HEAD_KEPT {
            head.push_str("...\r\n");
            break;
        }
        // Writing to a String cannot fail.
        let _written = write!(head, "{name}: {shown}\r\n");
    }
    let body = webhooks.masked(shortened(body, status.is_success()));
    RawRequest { head, body, status: status.as_u16(), verdict }
}

/// Whether a header's value is never shown.
fn is_secret(name: &HeaderName) -> bool {
    let text = name.as_str();
    SECRET.contains(name) || ["token", "secret", "api-key", "password"].iter().any(|word| text.contains(word))
}

/// The start of a body, and the JSON part where it lies further back.
fn shortened(body: &[u8], understood: bool) -> Bytes {
    if body.len() <= BODY_KEPT {
        return Bytes::copy_from_slice(body);
    }
    let picture = body.get(..BODY_KEPT).and_then(|begin| memchr::memmem::find(begin, b"\xff\xd8\xff"));
    let start = match picture {
        Some(picture) if understood => picture + PICTURE_KEPT,
        None if understood => START_KEPT,
        _ => BODY_KEPT,
    };
    let (start, rest) = body.split_at_checked(start).unwrap_or((body, &[]));
    let json = memchr::memmem::find(rest, b"\r\n\r\n{").or_else(|| memchr::memmem::find(rest, b"\n\n{"));
    let from = json.map_or(rest.len(), |json| json.saturating_sub(256));
    let found: Vec<u8> = rest.iter().skip(from).take(BODY_KEPT).copied().collect();
    let gap = format!("\r\n[{} bytes not kept]\r\n", rest.len() - found.len());
    Bytes::from([start, gap.as_bytes(), &found].concat())
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};

    use super::raw;
    use crate::config::{self, Secret};
    use crate::http::webhook::{Webhook, Webhooks};

    #[test]
    fn secrets_do_not_get_into_a_capture() {
        let entry =
            config::Webhook { path: Some(Secret::new("/alarm/s3cr3t")), ..config::Webhook::default() };
        let webhook = Webhook::from_config(&entry, 1).unwrap();
        let webhooks = Webhooks::new(vec![webhook.clone()]);
        let request = Request::post("/alarm/s3cr3t?k=v")
            .header("host", "h")
            .header("cookie", "a=b")
            .header("x-api-key", "zzz")
            .header("x-original-uri", "/alarm/s3cr3t");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = b"{\"to\": \"http://h/alarm/s3cr3t\", \"again\": \"s3cr3t\"}";
        let kept = raw(&parts, Some(&webhook), &webhooks, body, StatusCode::OK, "fine".into());
        assert_eq!(kept.body, "{\"to\": \"http://h/alarm/******\", \"again\": \"******\"}");
        let expected =
            "POST /alarm/*** HTTP/1.1\r\nhost: h\r\ncookie: ***\r\nx-api-key: ***\r\nx-original-uri: ***\r\n";
        assert_eq!(kept.head, expected);
        let wrong = raw(&parts, None, &webhooks, b"", StatusCode::NOT_FOUND, String::new());
        assert!(wrong.head.starts_with("POST /*** HTTP/1.1"));
    }

    #[test]
    fn json_behind_a_picture_is_kept_too() {
        let body = [vec![7; 200_000], b"\r\n--B\r\na: b\r\n\r\n{\"x\":1}".to_vec()].concat();
        let kept = super::shortened(&body, true);
        assert!(kept.len() < 20_000 && kept.ends_with(b"{\"x\":1}"));
        let json = format!("{{\"x\":\"{}\"}}", "y".repeat(30_000));
        let body = [json.as_bytes(), b"\r\n\r\n\xff\xd8\xff\xe0", &vec![7; 200_000]].concat();
        let kept = super::shortened(&body, true);
        assert!(kept.starts_with(json.as_bytes()) && kept.len() < 31_000, "JSON before one is kept whole");
    }
}
