//! Alarms counted by day, for a calendar.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use schemars::JsonSchema;
use serde::Serialize;

use super::query::AlarmQuery;
use crate::outbox::history::AlarmFilter;
use crate::web::{ApiQuery, Problem, Web};

/// Number of days counted without a `since`.
const DEFAULT_DAYS: i32 = 31;
/// Maximum number of days.
const MAX_DAYS: i32 = 366;

/// Alarms counted by day.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "alarms_by_day")]
pub struct Days {
    /// Time zone of the days.
    pub zone: String,
    /// All days, oldest first.
    pub days: Vec<Day>,
}

/// The alarms of one day.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "day")]
pub struct Day {
    /// Date of the day.
    #[schemars(extend("format" = "date"))]
    pub day: String,
    /// Number of alarms.
    pub alarms: u64,
}

/// `GET /alarms-by-day`.
pub(in crate::web::api) async fn list(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<AlarmQuery>,
) -> Result<Json<Days>, Problem> {
    let (filter, zone) = (query.filter()?, query.zone()?);
    let date = |at: Timestamp| at.to_zoned(zone.clone()).date();
    // `until` is excluded.
    let last = filter
        .until
        .map_or_else(Timestamp::now, |until| until.saturating_sub(1.nanosecond()).unwrap_or(until));
    let last = date(last);
    let first = filter.since.map_or_else(|| last.saturating_sub((DEFAULT_DAYS - 1).days()), date);
    let length = first.until(last).map(|span| span.get_days()).unwrap_or_default() + 1;
    if !(1..=MAX_DAYS).contains(&length) {
        return Err(Problem::bad(format!(
            "from `since` to `until` are 1 to {MAX_DAYS} days, and not {length}"
        )));
    }
    let counts = count(&web, filter, &zone, first, length).await?;
    let days = counts.into_iter().map(|(day, alarms)| Day { day: day.to_string(), alarms }).collect();
    Ok(Json(Days { zone: zone.iana_name().unwrap_or("UTC").to_owned(), days }))
}

/// Alarm counts of `days` days from the first one on; times of the filter are ignored.
///
/// # Errors
/// When the disk cannot be read.
pub async fn count(
    web: &Web,
    filter: AlarmFilter,
    zone: &TimeZone,
    first: Date,
    length: i32,
) -> Result<Vec<(Date, u64)>, Problem> {
    let days: Vec<Date> = (0..=length).map(|day| first.saturating_add(day.days())).collect();
    let begins = |day: &Date| day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |at| at.timestamp());
    let moments: Vec<Timestamp> = days.iter().map(begins).collect();
    let counts = web.read(move |reader| reader.alarms_between(&filter, &moments)).await?;
    Ok(days.into_iter().zip(counts).collect())
}
