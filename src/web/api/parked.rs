//! Messages that a sink will not have.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::requests::RequestQuery;
use super::state::{DONE, Done};
use crate::model::clock::utc;
use crate::outbox::ParkedVerb;
use crate::outbox::parking::ParkedEntry;
use crate::web::{Ask, Problem, Web};

/// A page of parked messages.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "parked_page")]
pub struct ParkedPage {
    /// The messages, latest first.
    pub parked: Vec<ParkedRow>,
    /// The `before` of the next page; null at the end.
    pub next: Option<i64>,
}

/// A parked message.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "parked_row")]
pub struct ParkedRow {
    /// Its number.
    pub no: i64,
    /// The sink that will not have it.
    pub sink: String,
    /// The topic it was for.
    pub topic: String,
    /// A stable word for the reason.
    pub code: String,
    /// The reason in full.
    pub reason: String,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The id of its record, while the log has it.
    pub id: Option<String>,
}

impl From<ParkedEntry> for ParkedRow {
    fn from(parked: ParkedEntry) -> Self {
        let ParkedEntry { no, sink, entry: _, topic, code, reason, at, id } = parked;
        Self { no, sink, topic, code, reason, at: utc(at), id: id.map(|id| id.to_string()) }
    }
}

/// A page of what is parked, latest first.
///
/// # Errors
/// When what is asked for is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: RequestQuery) -> Result<ParkedPage, Problem> {
    let limit = super::limit(query.limit)?;
    let mut found = web.read(move |reader| reader.parked(query.before, limit + 1)).await?;
    let more = limit < found.len();
    found.truncate(limit);
    let next = if more { found.last().map(|parked| parked.no) } else { None };
    Ok(ParkedPage { parked: found.into_iter().map(ParkedRow::from).collect(), next })
}

/// Tries a parked message again, or forgets it.
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
pub(super) async fn list(
    State(web): State<Web>,
    Ask(query): Ask<RequestQuery>,
) -> Result<Json<ParkedPage>, Problem> {
    page(&web, query).await.map(Json)
}

/// The body says nothing; it is read because a socket that is closed with something unread resets its peer.
pub(super) async fn retry(
    State(web): State<Web>,
    Path(no): Path<String>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    act(&web, super::number(&no)?, ParkedVerb::Retry).await.map(Json)
}

/// As [`retry`].
pub(super) async fn forget(
    State(web): State<Web>,
    Path(no): Path<String>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    act(&web, super::number(&no)?, ParkedVerb::Drop).await.map(Json)
}
