//! Error responses of every listener: problem documents (RFC 9457).

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// Error response: status, cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "problem_document")]
pub struct Problem {
    /// `about:blank`, because the status names the type, or a page of the admin listener about it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name of the type; of `about:blank`, the status in words.
    pub title: &'static str,
    /// Status code.
    pub status: u16,
    /// Error of this request.
    pub detail: String,
    /// Remedy.
    pub remedy: String,
}

impl Problem {
    /// Creates a problem whose type is its status.
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

    /// The same with the path of a page of the admin listener that helps.
    #[must_use]
    pub fn with_page(self, page: &'static str, title: &'static str) -> Self {
        Self { kind: page, title, ..self }
    }

    /// 405 of a resource that can only be read.
    #[must_use]
    pub fn only_get() -> Response {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "this address can only be read", "use GET");
        ([(ALLOW, "GET, HEAD")], problem).into_response()
    }

    /// 404.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no {what}"),
            "it may have been deleted; list the existing ones",
        )
    }

    /// 400.
    #[must_use]
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, "/api/v1/openapi.json describes the accepted values")
            .with_page("/api/v1/openapi.json", "Invalid request")
    }

    /// 409: not possible in the current state.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail, "read the current state, and try again")
    }

    /// 503: the disk cannot be read.
    #[must_use]
    pub fn disk(error: &rusqlite::Error) -> Self {
        tracing::warn!("a page could not be read from the outbox: {error}");
        let remedy =
            "free space or fix the permissions of the storage folder; alarms are held in memory meanwhile";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the outbox cannot be read: {error}"), remedy)
            .with_page("/health", "Database cannot be read")
    }

    /// 503: the bridge is stopping.
    #[must_use]
    pub fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the bridge is stopping",
            "try again when it has restarted",
        )
    }

    /// 500: a bug.
    #[must_use]
    pub fn internal(error: &str) -> Self {
        tracing::error!("a page could not be rendered: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a bug in alarmbus", "see the log")
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
        // The pages show the problem to people instead.
        response.extensions_mut().insert(self);
        response
    }
}
