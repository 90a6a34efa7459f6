//! Captured request for the Requests page, with secrets masked.

use std::fmt::Write as _;

use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};

use crate::decode::maker::secrets;
use crate::http::webhook::{IngestWebhook, Webhooks};
use crate::outbox::RawRequest;

/// Size in bytes up to which a body is stored whole.
const BODY_STORED: usize = 64 << 10;
/// Bytes stored of a larger body that was understood and has no picture in its first [`BODY_STORED`] bytes. If it has
/// one, the bytes up to it and [`PICTURE_STORED`] bytes of it are stored; pictures are stored separately.
const START_STORED: usize = 16 << 10;
/// Bytes stored of a picture, enough to recognise its format.
const PICTURE_STORED: usize = 256;
/// Maximum bytes stored of a head.
const HEAD_STORED: usize = 16 << 10;
/// Headers whose values are credentials, or may contain the path.
const SECRET: [HeaderName; 5] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::REFERER, header::SET_COOKIE];

/// Builds the captured request; `webhook` is `None` for a wrong path, which is masked as a whole.
pub(super) fn raw(
    parts: &Parts,
    webhook: Option<&IngestWebhook>,
    webhooks: &Webhooks,
    body: &[u8],
    status: StatusCode,
    verdict: &str,
) -> RawRequest {
    let path = match webhook {
        Some(webhook) if webhook.fixed.is_some() => parts.uri.path().to_owned(),
        Some(webhook) => webhook.path.masked(),
        None => "/***".to_owned(),
    };
    let query = parts.uri.query().filter(|_| webhook.is_some()).map(shown_query).unwrap_or_default();
    let mut head = format!("{} {path}{query} {:?}\r\n", parts.method, parts.version);
    for (name, value) in &parts.headers {
        // The body is stored unpacked and without chunks.
        if [header::CONTENT_ENCODING, header::TRANSFER_ENCODING].contains(name) {
            continue;
        }
        let length = value.as_bytes() != body.len().to_string().as_bytes();
        if name == header::CONTENT_LENGTH && parts.headers.contains_key(header::CONTENT_ENCODING) && length {
            // Writing to a String cannot fail.
            let _written = write!(head, "{name}: {}\r\n", body.len());
            continue;
        }
        let shown = if is_secret(name) || webhooks.leaks_in(value.as_bytes()) {
            "***".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        if head.len() + shown.len() > HEAD_STORED {
            head.push_str("...\r\n");
            break;
        }
        // Writing to a String cannot fail.
        let _written = write!(head, "{name}: {shown}\r\n");
    }
    let mut body = shortened(body, status.is_success());
    webhooks.mask_capture(&mut body);
    let own = webhook.map(IngestWebhook::secret_fields).unwrap_or_default();
    secrets::mask(&mut body, &own);
    let masked = |text: &str| secrets::masked(&webhooks.masked(text), &own);
    let (head, verdict) = (masked(&head), masked(verdict));
    RawRequest { head, body: body.into(), status: status.as_u16(), verdict }
}

/// Query with the values of secret parameters masked.
fn shown_query(query: &str) -> String {
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret_word(&name.to_ascii_lowercase()) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    format!("?{}", query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

/// Returns whether the name of a parameter or header suggests that its value is a secret.
fn is_secret_word(name: &str) -> bool {
    ["token", "secret", "key", "pass", "auth"].iter().any(|word| name.contains(word))
}

/// Returns whether a header's value is never shown.
pub(super) fn is_secret(name: &HeaderName) -> bool {
    let text = name.as_str();
    SECRET.contains(name) || ["token", "secret", "api-key", "password"].iter().any(|word| text.contains(word))
}

/// Start of a body, and its JSON part if that lies further back.
fn shortened(body: &[u8], understood: bool) -> Vec<u8> {
    if body.len() <= BODY_STORED {
        return body.to_vec();
    }
    let picture = body.get(..BODY_STORED).and_then(|begin| memchr::memmem::find(begin, b"\xff\xd8\xff"));
    let start = match picture {
        Some(picture) if understood => picture + PICTURE_STORED,
        None if understood => START_STORED,
        _ => BODY_STORED,
    };
    let (start, rest) = body.split_at_checked(start).unwrap_or((body, &[]));
    let json = memchr::memmem::find(rest, b"\r\n\r\n{").or_else(|| memchr::memmem::find(rest, b"\n\n{"));
    let from = json.map_or(rest.len(), |json| json.saturating_sub(256));
    let found: Vec<u8> = rest.iter().skip(from).take(BODY_STORED).copied().collect();
    let gap = format!("\r\n[{} bytes not kept]\r\n", rest.len() - found.len());
    [start, gap.as_bytes(), &found].concat()
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};

    use super::raw;
    use crate::config::{self, Secret};
    use crate::http::webhook::{IngestWebhook, Webhooks};

    #[test]
    fn secrets_do_not_get_into_a_capture() {
        let entry =
            config::Webhook { path: Some(Secret::new("/alarm/s3cr3t")), ..config::Webhook::default() };
        let webhook = IngestWebhook::from_config(&entry, 1).unwrap();
        let webhooks = Webhooks::new(vec![webhook.clone()]);
        let request = Request::post("/alarm/s3cr3t?k=v&api_key=zzz")
            .header("host", "h")
            .header("cookie", "a=b")
            .header("x-api-key", "zzz")
            .header("x-original-uri", "/alarm/s3cr3t");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = b"{\"to\": \"http://h/alarm/s3cr3t\", \"again\": \"s3cr3t\"}";
        let kept = raw(&parts, Some(&webhook), &webhooks, body, StatusCode::OK, "fine");
        assert_eq!(kept.body, "{\"to\": \"http://h/alarm/******\", \"again\": \"******\"}");
        let expected = "POST /alarm/***?k=v&api_key=*** HTTP/1.1\r\nhost: h\r\ncookie: ***\r\nx-api-key: ***\r\nx-original-uri: ***\r\n";
        assert_eq!(kept.head, expected);
        let wrong = raw(&parts, None, &webhooks, b"", StatusCode::NOT_FOUND, "");
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
