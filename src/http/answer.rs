//! What the bridge answers: one line of JSON each, the same shape for the same cause.

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

/// The answer to a report that was understood.
#[derive(Debug, Serialize)]
struct Accepted<'a> {
    ok: bool,
    alarms: usize,
    ids: &'a [Uuid],
    durable: bool,
}

/// The answer to everything else.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    ok: bool,
    error: &'a str,
    remedy: &'a str,
}

/// The answer of the admin listener to everything else.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    remedy: &'a str,
}

/// 200: the alarms are committed (`durable: false`: to memory, while the disk refuses writes).
pub(super) fn accepted(ids: &[Uuid], durable: bool) -> Response {
    json(StatusCode::OK, &Accepted { ok: true, alarms: ids.len(), ids, durable })
}

/// A refusal with its cause and what to do.
pub(super) fn refused(status: StatusCode, error: &str, remedy: &str) -> Response {
    json(status, &Refused { ok: false, error, remedy })
}

/// A refusal on the admin listener: a problem document (RFC 9457), as the API answers.
pub(super) fn problem(status: StatusCode, detail: &str, remedy: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("problem");
    let problem = Problem { kind: "about:blank", title, status: status.as_u16(), detail, remedy };
    let mut response = json(status, &problem);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// 404: the same bytes whatever the cause, so that nobody learns which paths there are.
pub(super) fn not_found() -> Response {
    closing(refused(
        StatusCode::NOT_FOUND,
        "not found",
        "check host, port and path of the alarm server in the camera against what alarmbus printed at its start",
    ))
}

/// 429 for a stranger.
pub(super) fn too_many() -> Response {
    closing(refused(StatusCode::TOO_MANY_REQUESTS, "too many requests", "wait a second"))
}

/// A page for people.
pub(super) fn page(html: String) -> Response {
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    response
}

/// 405 for the fixed routes of the admin listener.
pub(super) fn only_get() -> Response {
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", "use GET");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A line of JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut line = serde_json::to_vec(body).unwrap_or_default();
    line.push(b'\n');
    let mut response = Response::new(Body::from(line));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Ends the connection whatever the peer asked for.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
