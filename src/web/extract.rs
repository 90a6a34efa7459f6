//! What a request says, with every mistake in it answered as a [`Problem`].

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::Problem;

/// The most bytes of a body.
const MOST: usize = 64 << 10;

/// The query of a request.
#[derive(Debug)]
pub struct Ask<T>(pub T);

/// The JSON body of a request; a missing one counts as `{}`.
#[derive(Debug)]
pub struct Told<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(asked)| Self(asked))
            .map_err(|error| Problem::bad(error.body_text()))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let json =
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let bytes = to_bytes(body, MOST).await.map_err(|_| {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", "send 64 KiB at most")
        })?;
        if bytes.is_empty() {
            return from_slice(b"{}");
        }
        if !json {
            let remedy = "send Content-Type: application/json";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is not said to be JSON",
                remedy,
            ));
        }
        from_slice(&bytes)
    }
}

fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<Told<T>, Problem> {
    serde_json::from_slice(bytes).map(Told).map_err(|error| Problem::bad(format!("the body: {error}")))
}
