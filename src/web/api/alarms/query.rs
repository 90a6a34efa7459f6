//! Filter of alarms, shared by pages of the API, exports and the History page.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::EventName;
use crate::outbox::history::AlarmFilter;
use crate::web::Problem;

/// Maximum number of characters of a search text.
const MAX_TEXT_LENGTH: usize = 200;

/// A filter in a query string; an empty value counts as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmQuery {
    /// Of this device only: its topic level.
    #[serde(alias = "source")]
    pub device: Option<String>,
    /// Kind of alarm.
    pub event: Option<String>,
    /// Of devices of this maker only, such as hikvision.
    pub maker: Option<String>,
    /// `yes`: with a picture; `no`: without one.
    pub picture: Option<String>,
    /// Words that all occur in the device's names, the kind or the details.
    pub text: Option<String>,
    /// `yes`: marked as reviewed on this instance; `no`: not.
    pub reviewed: Option<String>,
    /// Received at or after this: RFC 3339, a date, or a length of time ago (`7d`).
    pub since: Option<String>,
    /// Received before this; a date alone is the end of that day.
    pub until: Option<String>,
    /// The time zone of dates; that of the bridge without it.
    pub zone: Option<String>,
    /// The page after one whose `next` was this.
    #[serde(alias = "before")]
    pub cursor: Option<i64>,
    /// At most this many alarms: 1 to 500 in a page, 50 without it; all in an export without it.
    pub limit: Option<usize>,
}

impl AlarmQuery {
    /// The filter for a query of the outbox.
    ///
    /// # Errors
    /// When a value is not valid.
    pub fn filter(&self) -> Result<AlarmFilter, Problem> {
        let zone = self.zone()?;
        let at = |name, text: &Option<String>, end| {
            given(text.as_ref()).map(|text| moment(name, text, &zone, end)).transpose()
        };
        Ok(AlarmFilter {
            source: given(self.device.as_ref()).map(crate::web::api::source).transpose()?,
            event: given(self.event.as_ref()).map(EventName::new),
            maker: given(self.maker.as_ref()).map(str::to_lowercase),
            picture: answer("picture", self.picture.as_ref())?,
            reviewed: answer("reviewed", self.reviewed.as_ref())?,
            text: given(self.text.as_ref()).map(|text| text.chars().take(MAX_TEXT_LENGTH).collect()),
            since: at("since", &self.since, false)?,
            until: at("until", &self.until, true)?,
            before: self.cursor,
        })
    }

    /// Time zone of times without one; by default that of this machine.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn zone(&self) -> Result<TimeZone, Problem> {
        let Some(name) = given(self.zone.as_ref()) else { return Ok(TimeZone::system()) };
        let unknown = |_| Problem::bad(format!("`zone` is a name such as Europe/Berlin, and not {name:?}"));
        TimeZone::get(name).map_err(unknown)
    }
}

/// A value that is yes or no.
fn answer(name: &str, text: Option<&String>) -> Result<Option<bool>, Problem> {
    match given(text) {
        None => Ok(None),
        Some("yes" | "true" | "1") => Ok(Some(true)),
        Some("no" | "false" | "0") => Ok(Some(false)),
        Some(other) => Err(Problem::bad(format!("`{name}` is yes or no, and not {other:?}"))),
    }
}

/// A value, if it is not empty.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Parses a time: RFC 3339, a date with or without a time in a zone, or a duration before now. A date alone is its
/// first moment, or with `end` the moment after its last.
fn moment(name: &str, text: &str, zone: &TimeZone, end: bool) -> Result<Timestamp, Problem> {
    let wrong = || {
        let taken =
            "2026-11-28T10:15:00Z, 2026-11-28T10:15, 2026-11-28, or a length of time ago such as 6h or 7d";
        Problem::bad(format!("`{name}` is a moment such as {taken}, and not {text:?}"))
    };
    // A plus sign in a query string stands for a blank.
    if let Ok(at) = text.parse().or_else(|_| text.replace(' ', "+").parse::<Timestamp>()) {
        return Ok(at);
    }
    let local = |at: DateTime| zone.to_zoned(at).map(|at| at.timestamp()).map_err(|_| wrong());
    if text.len() <= 10
        && let Ok(date) = text.parse::<Date>()
    {
        let date = if end { date.tomorrow().map_err(|_| wrong())? } else { date };
        return local(date.to_datetime(jiff::civil::Time::midnight()));
    }
    if let Ok(at) = text.parse::<DateTime>() {
        return local(at);
    }
    let ago = text.parse::<Span>().map_err(|_| wrong())?;
    let now = Timestamp::now().to_zoned(zone.clone());
    now.checked_sub(ago.abs()).map(|at| at.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_each_form_people_and_browsers_write() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, end, expected) in [
            ("2026-11-28T10:15:00Z", false, "2026-11-28T10:15:00Z"),
            ("2026-11-28T10:15:00+01:00", false, "2026-11-28T09:15:00Z"),
            ("2026-11-28T10:15:00 01:00", false, "2026-11-28T09:15:00Z"),
            ("2026-11-28T10:15", true, "2026-11-28T09:15:00Z"),
            ("2026-11-28", false, "2026-11-27T23:00:00Z"),
            ("2026-11-28", true, "2026-11-28T23:00:00Z"),
        ] {
            assert_eq!(moment("since", text, &zone, end).unwrap().to_string(), expected, "{text}");
        }
        let ago = Timestamp::now().duration_since(moment("since", "7d", &zone, false).unwrap());
        assert!((166..=170).contains(&ago.as_hours()), "{ago}");
        assert!(moment("since", "yesterday", &zone, false).unwrap_err().detail.contains("`since`"));
    }

    #[test]
    fn empty_values_of_a_form_are_no_filter_and_wrong_ones_are_refused() {
        let empty = || Some(String::new());
        let query = AlarmQuery {
            device: empty(),
            event: empty(),
            picture: empty(),
            since: empty(),
            ..AlarmQuery::default()
        };
        let filter = query.filter().unwrap();
        assert!(filter.source.is_none() && filter.event.is_none() && filter.picture.is_none());
        assert!(filter.since.is_none());
        let wrong = AlarmQuery { picture: Some("maybe".into()), ..AlarmQuery::default() };
        assert!(wrong.filter().unwrap_err().detail.contains("maybe"));
        let wrong = AlarmQuery { zone: Some("Europe/Nowhere".into()), ..AlarmQuery::default() };
        assert!(wrong.filter().unwrap_err().detail.contains("Europe/Nowhere"));
    }
}
