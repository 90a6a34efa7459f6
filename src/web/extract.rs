//! Extractors for queries and bodies, which answer every mistake with a [`Problem`].

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::Problem;
use super::texts::{fill, tr};

/// Maximum bytes of a body.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Query string of an API request.
#[derive(Debug)]
pub struct ApiQuery<T>(pub T);

/// Query string of a page. A mistake in it is explained to people who did not write it.
#[derive(Debug)]
pub struct PageQuery<T>(pub T);

/// JSON body of a request; an empty body counts as `{}`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

/// Set if the client is logged in with a cookie and so can log out. The server of the router adds it to each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoggedIn(pub bool);

impl<S: Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query(parts).map(Self).map_err(|text| Problem::bad(format!("the query string: {text}")))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for PageQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query(parts).map(Self).map_err(|text| {
            let name = text.split(':').next().unwrap_or_default();
            Problem::new(
                StatusCode::BAD_REQUEST,
                fill("this address cannot be read: the value of `{}` in it is not valid", name),
                tr("check the address, or open the page by its tab"),
            )
        })
    }
}

/// Parses the query string; an error begins with the name of the parameter.
fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, String> {
    let asked = Query::try_from_uri(&parts.uri).map(|Query(asked)| asked);
    asked.map_err(|error| {
        let text = error.body_text();
        text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text).to_owned()
    })
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let json =
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
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

fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<JsonBody<T>, Problem> {
    serde_json::from_slice(bytes).map(JsonBody).map_err(|error| Problem::bad(format!("the body: {error}")))
}
