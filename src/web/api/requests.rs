//! Requests as they came, secrets masked.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::clock::utc;
use crate::outbox::history::{KeptRequest, RequestSummary};
use crate::web::{Ask, Problem, Web};

/// What can be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuery {
    /// Before this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A page of requests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_page")]
pub struct RequestPage {
    /// The requests, newest first.
    pub requests: Vec<RequestRow>,
    /// The `before` of the next page; null at the end.
    pub next: Option<i64>,
}

/// A request in a page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_row")]
pub struct RequestRow {
    /// Its number; grows.
    pub no: i64,
    /// Its identifier, as the log has it (`request.id`); those of its alarms differ in the last five digits.
    pub id: String,
    /// When it came.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who sent it.
    pub peer: String,
    /// The status it was answered with.
    pub status: u16,
    /// What became of it, in plain words.
    pub verdict: String,
    /// Bytes that are kept of it.
    pub bytes: u64,
    /// The ids of the alarms made of it.
    pub alarms: Vec<String>,
}

/// A request with all that is kept of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_detail")]
pub struct RequestDetail {
    /// Its number.
    pub no: i64,
    /// Its identifier, as the log has it (`request.id`); those of its alarms differ in the last five digits.
    pub id: String,
    /// When it came.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who sent it.
    pub peer: String,
    /// The status it was answered with.
    pub status: u16,
    /// What became of it, in plain words.
    pub verdict: String,
    /// The ids of the alarms made of it.
    pub alarms: Vec<String>,
    /// Request line and headers.
    pub head: String,
    /// The body as far as it is kept, in base64.
    pub body: String,
}

impl From<RequestSummary> for RequestRow {
    fn from(summary: RequestSummary) -> Self {
        let RequestSummary { no, id, at, peer, status, bytes, verdict, alarms } = summary;
        let alarms = alarms.iter().map(ToString::to_string).collect();
        Self { no, id: id.to_string(), at: utc(at), peer, status, verdict, bytes, alarms }
    }
}

impl From<KeptRequest> for RequestDetail {
    fn from(kept: KeptRequest) -> Self {
        let RequestRow { no, id, at, peer, status, verdict, alarms, .. } = kept.summary.into();
        Self { no, id, at, peer, status, verdict, alarms, head: kept.head, body: STANDARD.encode(&kept.body) }
    }
}

/// A page of requests, newest first.
///
/// # Errors
/// When what is asked for is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: RequestQuery) -> Result<RequestPage, Problem> {
    let limit = super::limit(query.limit)?;
    let mut found = web.read(move |reader| reader.requests(query.before, limit + 1)).await?;
    let more = limit < found.len();
    found.truncate(limit);
    let next = if more { found.last().map(|summary| summary.no) } else { None };
    Ok(RequestPage { requests: found.into_iter().map(RequestRow::from).collect(), next })
}

/// A request with all that is kept of it, its body as bytes.
///
/// # Errors
/// When there is none of this number, or the disk cannot be read.
pub async fn kept(web: &Web, no: i64) -> Result<KeptRequest, Problem> {
    let found = web.read(move |reader| reader.request(no)).await?;
    found.ok_or_else(|| Problem::not_found("request of this number"))
}

/// `GET /requests`.
pub(super) async fn list(
    State(web): State<Web>,
    Ask(query): Ask<RequestQuery>,
) -> Result<Json<RequestPage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `GET /requests/{no}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(no): Path<String>,
) -> Result<Json<RequestDetail>, Problem> {
    kept(&web, super::number(&no)?).await.map(|kept| Json(kept.into()))
}
