//! Alarms: pages of alarms, one alarm in full, replay, and counts by hour.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::requests::RequestDetail;
use super::state::{DONE, Done};
use crate::model::Record;
use crate::model::time::clock::utc;
use crate::outbox::Entry;
use crate::web::texts::tr_any;
use crate::web::{ApiQuery, Delivery, Problem, Web};
use query::AlarmQuery;

pub mod days;
pub mod export;
pub mod query;

/// A page of alarms.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_page")]
pub struct AlarmPage {
    /// The alarms, newest first.
    pub alarms: Vec<AlarmRow>,
    /// `cursor` of the next page; null at the end.
    pub next: Option<i64>,
}

/// An alarm in a page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_row")]
pub struct AlarmRow {
    /// Number in the log.
    pub no: i64,
    /// The alarm as it is published (see the schema of `alarm`).
    #[schemars(schema_with = "published")]
    pub alarm: Value,
    /// Path of its picture on this listener; null without one.
    pub picture: Option<String>,
    /// It was marked as reviewed on this instance.
    pub reviewed: bool,
}

/// An alarm with its deliveries and its request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_detail")]
pub struct AlarmDetail {
    /// Number in the log.
    pub no: i64,
    /// The alarm as it is published.
    #[schemars(schema_with = "published")]
    pub alarm: Value,
    /// Path of its picture on this listener; null without one.
    pub picture: Option<String>,
    /// It was marked as reviewed on this instance.
    pub reviewed: bool,
    /// Result on each sink.
    pub deliveries: Vec<Delivery>,
    /// The request that reported it, while that is stored.
    pub request: Option<RequestDetail>,
}

/// Alarms counted by hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarms_by_hour")]
pub struct Hours {
    /// Hours with alarms, oldest first.
    pub hours: Vec<Hour>,
}

/// The alarms of one hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "hour")]
pub struct Hour {
    /// Start of the hour.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Number of alarms.
    pub alarms: u64,
}

/// The alarm in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct AlarmPath {
    /// The alarm's id.
    pub(super) id: String,
}

/// Query of the counts by hour.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HourQuery {
    /// Hours back, 1 to 744; 24 without it.
    hours: Option<i64>,
}

/// Schema of an alarm, which the bridge inserts.
fn published(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"$ref": "#/components/schemas/alarm"})
}

/// A page of alarms, newest first.
///
/// # Errors
/// When the query is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: &AlarmQuery) -> Result<AlarmPage, Problem> {
    let limit = super::limit(query.limit)?;
    let filter = query.filter()?;
    let read = web.read(move |reader| {
        let found = reader.alarms(&filter, limit + 1)?;
        let reviewed = reader.reviewed(&found)?;
        Ok((found, reviewed))
    });
    let (found, reviewed) = read.await?;
    let next = (limit < found.len()).then(|| found.get(limit - 1).map(|entry| entry.no)).flatten();
    let marked = |entry: &Arc<Entry>| AlarmRow { reviewed: reviewed.contains(&entry.no), ..row(web, entry) };
    Ok(AlarmPage { alarms: found.iter().take(limit).map(marked).collect(), next })
}

/// An alarm as a page shows it, not marked as reviewed.
#[must_use]
pub fn row(web: &Web, entry: &Entry) -> AlarmRow {
    AlarmRow { no: entry.no, alarm: web.bridge.published(entry), picture: picture(entry), reviewed: false }
}

/// An alarm with its deliveries and its request.
///
/// # Errors
/// When there is none of this id, or the disk cannot be read.
pub async fn detail(web: &Web, id: Uuid) -> Result<AlarmDetail, Problem> {
    let found = web.read(move |reader| {
        let Some(entry) = reader.alarm(id)? else { return Ok(None) };
        let request = reader.request_of(id)?.map(|no| reader.request(no)).transpose()?.flatten();
        let parked = reader.parked_of(entry.no)?;
        let reviewed = !reader.reviewed(std::slice::from_ref(&entry))?.is_empty();
        Ok(Some((entry, request, parked, reviewed)))
    });
    let missing = || Problem::not_found("alarm of this id");
    let (entry, request, parked, reviewed) = found.await?.ok_or_else(missing)?;
    if !matches!(entry.record, Record::Alarm(_)) {
        return Err(missing());
    }
    let deliveries = web.deliveries(&entry, &parked);
    let AlarmRow { no, alarm, picture, .. } = row(web, &entry);
    Ok(AlarmDetail { no, alarm, picture, reviewed, deliveries, request: request.map(RequestDetail::from) })
}

/// Path of the picture of an alarm, on this listener.
fn picture(entry: &Entry) -> Option<String> {
    entry.picture().map(|_| format!("/snapshots/{}.jpg", entry.record.id()))
}

/// Parses an id in a path.
pub(super) fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::not_found("alarm of this id"))
}

/// `GET /alarms`.
pub(super) async fn list(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<AlarmQuery>,
) -> Result<Json<AlarmPage>, Problem> {
    page(&web, &query).await.map(Json)
}

/// `GET /alarms/{id}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(AlarmPath { id: text }): Path<AlarmPath>,
) -> Result<Json<AlarmDetail>, Problem> {
    detail(&web, id(&text)?).await.map(Json)
}

/// `POST /alarms/{id}/replay`. The body is ignored, but read: closing a socket with unread bytes resets the peer's
/// connection.
pub(super) async fn replay(
    State(web): State<Web>,
    Path(AlarmPath { id: text }): Path<AlarmPath>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    send_again(&web, id(&text)?).await.map(Json)
}

/// Sends an alarm again, marked as replayed.
///
/// # Errors
/// When there is none of this id, or the bridge is stopping.
pub async fn send_again(web: &Web, id: Uuid) -> Result<Done, Problem> {
    if web.outbox.replay(id).await? {
        tracing::info!(alarm.id = %id, "an alarm is sent again by hand");
        return Ok(DONE);
    }
    Err(Problem::not_found("alarm of this id"))
}

/// `GET /alarms/by-hour`.
pub(super) async fn hours(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<HourQuery>,
) -> Result<Json<Hours>, Problem> {
    let hours = query.hours.unwrap_or(24);
    if !(1..=744).contains(&hours) {
        return Err(Problem::bad("`hours` is 1 to 744"));
    }
    by_hour(&web, hours).await.map(Json)
}

/// The alarms of the last `hours` hours, counted by hour.
///
/// # Errors
/// When the disk cannot be read.
pub async fn by_hour(web: &Web, hours: i64) -> Result<Hours, Problem> {
    let since =
        Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::UNIX_EPOCH);
    let counted = web.read(move |reader| reader.alarms_by_hour(since)).await?;
    let hour = |(hour, alarms): (i64, u64)| {
        let at = Timestamp::from_second(hour.saturating_mul(3_600)).unwrap_or(Timestamp::UNIX_EPOCH);
        Hour { at: utc(at), alarms }
    };
    Ok(Hours { hours: counted.into_iter().map(hour).collect() })
}

/// Content of an event of the stream: the row, and the title of its kind in the viewer's language.
pub(super) fn event_data(web: &Web, entry: &Entry) -> Value {
    let mut data = json!(row(web, entry));
    if let (Record::Alarm(alarm), Value::Object(fields)) = (&entry.record, &mut data) {
        fields.insert("title".into(), tr_any(&alarm.event.title()).into());
    }
    data
}
