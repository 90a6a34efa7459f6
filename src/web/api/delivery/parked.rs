//! Parked messages: those a broker refuses for good.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::time::clock::utc;
use crate::outbox::ParkedVerb;
use crate::outbox::parking::ParkedEntry;
use crate::web::api::NumberPath;
use crate::web::api::requests::RequestQuery;
use crate::web::api::state::{DONE, Done};
use crate::web::{ApiQuery, Problem, Web};

/// A page of parked messages.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "parked_page")]
pub struct ParkedPage {
    /// The messages, latest first.
    pub parked: Vec<ParkedRow>,
    /// `before` of the next page; null at the end.
    pub next: Option<i64>,
}

/// A parked message.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "parked_row")]
pub struct ParkedRow {
    /// Number among the parked messages.
    pub no: i64,
    /// The sink whose broker rejected it.
    pub sink: String,
    /// Topic of the message.
    pub topic: String,
    /// Stable code of the reason.
    pub code: String,
    /// Full text of the reason.
    pub reason: String,
    /// Time since which it is parked.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Id of its record, while the log has it.
    pub id: Option<String>,
}

impl From<ParkedEntry> for ParkedRow {
    fn from(parked: ParkedEntry) -> Self {
        let ParkedEntry { no, sink, entry: _, topic, code, reason, at, id } = parked;
        Self { no, sink, topic, code, reason, at: utc(at), id: id.map(|id| id.to_string()) }
    }
}

/// A page of parked messages, latest first.
///
/// # Errors
/// When the query is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: RequestQuery) -> Result<ParkedPage, Problem> {
    let limit = crate::web::api::limit(query.limit)?;
    let mut found = web.read(move |reader| reader.parked(query.before, limit + 1)).await?;
    let more = limit < found.len();
    found.truncate(limit);
    let next = if more { found.last().map(|parked| parked.no) } else { None };
    Ok(ParkedPage { parked: found.into_iter().map(ParkedRow::from).collect(), next })
}

/// Sends a parked message again, or deletes it.
///
/// # Errors
/// When there is none of this number, or the bridge is stopping.
pub async fn act(web: &Web, no: i64, verb: ParkedVerb) -> Result<Done, Problem> {
    if web.outbox.parked(no, verb).await? {
        return Ok(DONE);
    }
    Err(Problem::not_found("parked message of this number"))
}

/// `GET /parked`.
pub(in crate::web::api) async fn list(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<RequestQuery>,
) -> Result<Json<ParkedPage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `POST /parked/{no}/retry`. The body is ignored, but read: closing a socket with unread bytes resets the peer's
/// connection.
pub(in crate::web::api) async fn retry(
    State(web): State<Web>,
    Path(NumberPath { no }): Path<NumberPath>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    act(&web, crate::web::api::number(&no)?, ParkedVerb::Retry).await.map(Json)
}

/// `POST /parked/{no}/drop`, as [`retry`].
pub(in crate::web::api) async fn forget(
    State(web): State<Web>,
    Path(NumberPath { no }): Path<NumberPath>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    act(&web, crate::web::api::number(&no)?, ParkedVerb::Drop).await.map(Json)
}
