//! Stored requests, secrets masked.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NumberPath;
use crate::model::time::clock::utc;
use crate::outbox::history::{KeptRequest, RequestSummary};
use crate::web::{ApiQuery, Problem, Web};

/// Query of a page of requests.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestQuery {
    /// The page after one whose `next` was this.
    pub before: Option<i64>,
    /// At most so many, 1 to 500; 50 without it.
    pub limit: Option<usize>,
}

/// A page of requests.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_page")]
pub struct RequestPage {
    /// The requests, newest first.
    pub requests: Vec<RequestRow>,
    /// `before` of the next page; null at the end.
    pub next: Option<i64>,
}

/// A request in a page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_row")]
pub struct RequestRow {
    /// Number; rises with each request.
    pub no: i64,
    /// Identifier, as in the log (`request.id`); its alarms share the first 31 digits.
    pub id: String,
    /// Time of receipt.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Address of the sender.
    pub peer: String,
    /// Status of the response.
    pub status: u16,
    /// Result in plain words.
    pub verdict: String,
    /// Number of stored bytes.
    pub bytes: u64,
    /// Ids of its alarms.
    pub alarms: Vec<String>,
}

/// A stored request in full.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "request_detail")]
pub struct RequestDetail {
    /// Number of the request.
    pub no: i64,
    /// Identifier, as in the log (`request.id`); its alarms share the first 31 digits.
    pub id: String,
    /// Time of receipt.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Address of the sender.
    pub peer: String,
    /// Status of the response.
    pub status: u16,
    /// Result in plain words.
    pub verdict: String,
    /// Ids of its alarms.
    pub alarms: Vec<String>,
    /// Request line and headers.
    pub head: String,
    /// Stored part of the body, in base64.
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
/// When the query is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: RequestQuery) -> Result<RequestPage, Problem> {
    let limit = super::limit(query.limit)?;
    let mut found = web.read(move |reader| reader.requests(query.before, limit + 1)).await?;
    let more = limit < found.len();
    found.truncate(limit);
    let next = if more { found.last().map(|summary| summary.no) } else { None };
    Ok(RequestPage { requests: found.into_iter().map(RequestRow::from).collect(), next })
}

/// A stored request in full, its body as bytes.
///
/// # Errors
/// When there is none of this number, or the disk cannot be read.
pub async fn stored_request(web: &Web, no: i64) -> Result<KeptRequest, Problem> {
    let found = web.read(move |reader| reader.request(no)).await?;
    found.ok_or_else(|| Problem::not_found("request of this number"))
}

/// `GET /requests`.
pub(super) async fn list(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<RequestQuery>,
) -> Result<Json<RequestPage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `GET /requests/{no}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(NumberPath { no }): Path<NumberPath>,
) -> Result<Json<RequestDetail>, Problem> {
    stored_request(&web, super::number(&no)?).await.map(|kept| Json(kept.into()))
}
