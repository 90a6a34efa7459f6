//! Alarms: pages of them, one with all that is known of it, and sending one again.

use axum::Json;
use axum::extract::{Path, State};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::requests::RequestDetail;
use super::state::{DONE, Done};
use crate::model::clock::utc;
use crate::model::{EventName, Record};
use crate::outbox::Entry;
use crate::outbox::history::AlarmFilter;
use crate::web::{Ask, Delivery, Problem, Web};

/// What can be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmQuery {
    /// Of this source only.
    pub source: Option<String>,
    /// Of this kind only.
    pub event: Option<String>,
    /// Received at or after this moment (RFC 3339).
    pub since: Option<Timestamp>,
    /// Before this number of the log.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A page of alarms.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_page")]
pub struct AlarmPage {
    /// The alarms, newest first.
    pub alarms: Vec<AlarmRow>,
    /// The `before` of the next page; null at the end.
    pub next: Option<i64>,
}

/// An alarm in a page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_row")]
pub struct AlarmRow {
    /// Its number in the log.
    pub no: i64,
    /// As it is published (see the schema of `alarm`).
    #[schemars(schema_with = "published")]
    pub alarm: Value,
    /// Where its picture is, on this listener; null without one.
    pub picture: Option<String>,
}

/// An alarm with all that is known of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarm_detail")]
pub struct AlarmDetail {
    /// Its number in the log.
    pub no: i64,
    /// As it is published.
    #[schemars(schema_with = "published")]
    pub alarm: Value,
    /// Where its picture is, on this listener; null without one.
    pub picture: Option<String>,
    /// What became of it on each sink.
    pub deliveries: Vec<Delivery>,
    /// The request it came with, while that is kept.
    pub request: Option<RequestDetail>,
}

/// Alarms counted by hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarms_by_hour")]
pub struct Hours {
    /// Hours that had alarms, oldest first.
    pub hours: Vec<Hour>,
}

/// The alarms of one hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "hour")]
pub struct Hour {
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// How many.
    pub alarms: u64,
}

/// What hours can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HourQuery {
    hours: Option<i64>,
}

/// The alarm's own schema, which the bridge hands in.
fn published(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"$ref": "#/components/schemas/alarm"})
}

/// A page of alarms, newest first.
///
/// # Errors
/// When what is asked for is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: AlarmQuery) -> Result<AlarmPage, Problem> {
    let limit = super::limit(query.limit)?;
    let filter = AlarmFilter {
        source: query.source.as_deref().filter(|text| !text.is_empty()).map(super::source).transpose()?,
        event: query.event.as_deref().filter(|text| !text.is_empty()).map(EventName::new),
        since: query.since,
        before: query.before,
    };
    let found = web.read(move |reader| reader.alarms(&filter, limit + 1)).await?;
    let next = (limit < found.len()).then(|| found.get(limit - 1).map(|entry| entry.no)).flatten();
    let alarms = found.iter().take(limit).map(|entry| row(web, entry)).collect();
    Ok(AlarmPage { alarms, next })
}

/// An alarm as a page shows it.
#[must_use]
pub fn row(web: &Web, entry: &Entry) -> AlarmRow {
    AlarmRow { no: entry.no, alarm: web.bridge.published(entry), picture: picture(entry) }
}

/// An alarm with all that is known of it.
///
/// # Errors
/// When there is none of this id, or the disk cannot be read.
pub async fn detail(web: &Web, id: Uuid) -> Result<AlarmDetail, Problem> {
    let found = web.read(move |reader| {
        let Some(entry) = reader.alarm(id)? else { return Ok(None) };
        let request = reader.request_of(id)?.map(|no| reader.request(no)).transpose()?.flatten();
        let parked = reader.parked_of(entry.no)?;
        Ok(Some((entry, request, parked)))
    });
    let missing = || Problem::not_found("alarm of this id");
    let (entry, request, parked) = found.await?.ok_or_else(missing)?;
    if !matches!(entry.record, Record::Alarm(_)) {
        return Err(missing());
    }
    let deliveries = web.deliveries(&entry, &parked);
    let AlarmRow { no, alarm, picture } = row(web, &entry);
    Ok(AlarmDetail { no, alarm, picture, deliveries, request: request.map(RequestDetail::from) })
}

/// Where the picture of an alarm is, on this listener.
fn picture(entry: &Entry) -> Option<String> {
    entry.picture().map(|_| format!("/snapshots/{}.jpg", entry.record.id()))
}

/// An id from a path.
fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::not_found("alarm of this id"))
}

/// `GET /alarms`.
pub(super) async fn list(
    State(web): State<Web>,
    Ask(query): Ask<AlarmQuery>,
) -> Result<Json<AlarmPage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `GET /alarms/{id}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(text): Path<String>,
) -> Result<Json<AlarmDetail>, Problem> {
    detail(&web, id(&text)?).await.map(Json)
}

/// The body says nothing; it is read because a socket that is closed with something unread resets its peer.
pub(super) async fn replay(
    State(web): State<Web>,
    Path(text): Path<String>,
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
    Ask(query): Ask<HourQuery>,
) -> Result<Json<Hours>, Problem> {
    let hours = query.hours.unwrap_or(24);
    if !(1..=744).contains(&hours) {
        return Err(Problem::bad("`hours` is 1 to 744"));
    }
    by_hour(&web, hours).await.map(Json)
}

/// The alarms of so many hours, counted by hour.
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

/// What an event of the stream carries.
pub(super) fn event_data(web: &Web, entry: &Entry) -> Value {
    json!(row(web, entry))
}
