//! Errors as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// A request that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "problem_document")]
pub struct Problem {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// One with cause and remedy.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("problem"),
            status: status.as_u16(),
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// 404.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no {what}"),
            "it may have been deleted; list what there is",
        )
    }

    /// 400.
    #[must_use]
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, "see /api/v1/openapi.json for what is taken")
    }

    /// 409: it cannot be done as things stand.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail, "look at how things stand, and ask again")
    }

    /// 503: the disk cannot be read.
    #[must_use]
    pub fn disk(error: &rusqlite::Error) -> Self {
        tracing::warn!("a page could not be read from the outbox: {error}");
        let remedy = "free space or mend the storage folder; alarms are held in memory meanwhile";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the outbox cannot be read: {error}"), remedy)
    }

    /// 503: the bridge is stopping.
    #[must_use]
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the bridge is stopping", "ask again when it is back")
    }

    /// 500: a mistake of ours.
    #[must_use]
    pub fn internal(error: &str) -> Self {
        tracing::error!("a page could not be made: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a mistake in alarmbus itself", "see the log")
    }
}

impl From<crate::outbox::Closed> for Problem {
    fn from(_: crate::outbox::Closed) -> Self {
        Self::stopping()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(text + "\n"));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        // For the pages, which show it to people instead.
        response.extensions_mut().insert(self);
        response
    }
}
