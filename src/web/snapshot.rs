//! `/snapshots/<id>.jpg`: the picture of an alarm. Whether the request may have it is decided before
//! (`http::Access`): by its key `k`, or as any other page.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use uuid::Uuid;

use super::{Problem, Web};

/// Answers with the picture.
pub(super) async fn picture(State(web): State<Web>, Path(name): Path<String>) -> Result<Response, Problem> {
    let missing = || Problem::not_found("picture of this name");
    let id = name.strip_suffix(".jpg").and_then(|id| Uuid::parse_str(id).ok()).ok_or_else(missing)?;
    let found = web.read(move |reader| {
        let picture = reader.alarm(id)?.and_then(|entry| entry.picture());
        Ok(picture.map(|picture| reader.pictures().read(picture)))
    });
    let bytes = match found.await? {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            let remedy = "look after the disk of the storage folder";
            let detail = format!("the picture cannot be read: {error}");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail, remedy));
        }
        _ => return Err(missing()),
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("content-security-policy", HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{id}\"")) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}
