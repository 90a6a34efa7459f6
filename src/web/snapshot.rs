//! `/snapshots/<id>.jpg`: the picture of an alarm; with `size=small` 320 pixels wide, with `boxes=true` with its boxes
//! drawn. Whether the request may have it is decided before (`access::Access`): by its key `k`, or as any other page.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::extract::ApiQuery;
use super::{Problem, Web};
use crate::model::Record;
use crate::model::picture::variant::Variant;
use crate::outbox::NoVariant;

/// Variant of the picture that is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// `small`, or `full`.
    size: Option<String>,
    /// With the boxes drawn.
    #[serde(default)]
    boxes: bool,
}

impl Wanted {
    /// The variant; `None`: the picture itself.
    fn variant(&self) -> Result<Option<Variant>, Problem> {
        let small = match self.size.as_deref() {
            None | Some("full") => false,
            Some("small") => true,
            Some(_) => return Err(Problem::bad("`size` is `small` or `full`")),
        };
        Ok((small || self.boxes).then_some(Variant { small, boxes: self.boxes }))
    }
}

/// Answers with the picture.
pub(super) async fn picture(
    State(web): State<Web>,
    Path(name): Path<String>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("picture of this name");
    let id = name.strip_suffix(".jpg").and_then(|id| Uuid::parse_str(id).ok()).ok_or_else(missing)?;
    let variant = wanted.variant()?;
    let found = web.read(move |reader| {
        let Some(entry) = reader.alarm(id)? else { return Ok(None) };
        let (Record::Alarm(alarm), Some(picture)) = (&entry.record, entry.picture()) else { return Ok(None) };
        Ok(match variant {
            Some(variant) => reader.pictures().variant(alarm, variant).transpose(),
            None => Some(reader.pictures().read(picture).map_err(NoVariant::from)),
        })
    });
    let bytes = match found.await? {
        Some(Ok(bytes)) => bytes,
        Some(Err(NoVariant::Unmade(error))) => {
            let remedy = "ask for the picture itself, without `size` and `boxes`";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string(), remedy));
        }
        Some(Err(NoVariant::Unread(error))) if error.kind() != std::io::ErrorKind::NotFound => {
            let remedy = "check the disk of the storage folder";
            let detail = format!("the picture cannot be read: {error}");
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail, remedy));
        }
        _ => return Err(missing()),
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400, immutable"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{id}{}\"", variant.map_or("", tag))) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// Part of the entity tag that tells variants apart.
fn tag(variant: Variant) -> &'static str {
    match (variant.small, variant.boxes) {
        (true, true) => "-small-boxes",
        (true, false) => "-small",
        (false, _) => "-boxes",
    }
}
