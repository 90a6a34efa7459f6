//! Responses of the ingest listeners: one line of JSON each, in the same form for the same cause.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use serde::Serialize;
use uuid::Uuid;

use super::Problem;
use crate::decode::Answer;

/// Response to a report that was understood.
#[derive(Debug, Serialize)]
struct Accepted<'a> {
    ok: bool,
    alarms: usize,
    ids: &'a [Uuid],
    durable: bool,
    #[serde(rename = "cluster", skip_serializing_if = "Option::is_none")]
    in_cluster: Option<bool>,
}

/// 200: the alarms are committed (`durable: false`: to memory, while the disk refuses writes). `in_cluster`: whether the
/// cluster has them, where an answer waits for that.
pub(super) fn accepted(ids: &[Uuid], durable: bool, in_cluster: Option<bool>) -> Response {
    json(StatusCode::OK, &Accepted { ok: true, alarms: ids.len(), ids, durable, in_cluster })
}

/// Response that the device's protocol requires.
pub(super) fn device_answer(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let kind = HeaderValue::from_str(&answer.content_type);
    response.headers_mut().insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/json")));
    response
}

/// 404 with the same bytes for every cause, so that it does not reveal which paths exist.
pub(super) fn not_found() -> Response {
    closing(Problem::new(
        StatusCode::NOT_FOUND,
        "not found",
        "check host, port and path of the alarm server in the camera against what alarmbus printed at its start",
    ))
}

/// 429 for an unknown peer.
pub(super) fn too_many() -> Response {
    closing(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests", "wait a second"))
}

/// Page of a webhook on the ingest listeners. Its URL is secret, so it is sent to no other site as a referrer.
pub(super) fn page(html: String) -> Response {
    let mut response = Html(html).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    );
    response
}

/// Response with a line of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut line = serde_json::to_vec(body).unwrap_or_default();
    line.push(b'\n');
    let mut response = Response::new(Body::from(line));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Sets `Connection: close`, whatever the peer asked for.
fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
