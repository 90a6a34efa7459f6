//! The calendar of the History page: a month, with the number of alarms of each day.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::HistoryPageQuery;
use crate::outbox::history::AlarmFilter;
use crate::web::api::alarms::days::count;
use crate::web::texts::{key, tr};
use crate::web::words::counted;
use crate::web::{Problem, Web};

const MONTHS: [&str; 12] = [
    key("January"),
    key("February"),
    key("March"),
    key("April"),
    key("May"),
    key("June"),
    key("July"),
    key("August"),
    key("September"),
    key("October"),
    key("November"),
    key("December"),
];

/// Days of the week, from Monday.
pub(in crate::web::pages) const WEEKDAYS: [&str; 7] =
    [key("Mo"), key("Tu"), key("We"), key("Th"), key("Fr"), key("Sa"), key("Su")];

/// A month of the calendar.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(in crate::web::pages) title: String,
    /// Weeks from Monday; `None` for a day of another month.
    pub(super) weeks: Vec<Vec<Option<CalendarDay>>>,
    /// Link to the month before, if an alarm is older than this month.
    pub(super) previous: Option<String>,
    /// Link to the month after, if it has begun.
    pub(in crate::web::pages) next: Option<String>,
}

/// A day.
#[derive(Debug, Clone)]
pub(in crate::web::pages) struct CalendarDay {
    pub(in crate::web::pages) number: i8,
    pub(in crate::web::pages) alarms: u64,
    /// Number of alarms, in words.
    pub(in crate::web::pages) words: String,
    /// Link to the alarms of this day.
    pub(in crate::web::pages) link: String,
    /// Shade from 0 to 4: number of alarms relative to the busiest day.
    pub(super) level: u64,
}

impl Calendar {
    /// Counts the alarms of a filter in the month named in the query, otherwise in the month of the filter's time.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(in crate::web::pages) async fn read(
        web: &Web,
        asked: &HistoryPageQuery,
        filter: &AlarmFilter,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let named = asked.month().and_then(|month| format!("{month}-01").parse::<Date>().ok());
        let first = named
            .unwrap_or_else(|| filter.since.unwrap_or(now).to_zoned(zone.clone()).date())
            .first_of_month();
        let counts = count(web, filter.clone(), zone, first, i32::from(first.days_in_month())).await?;
        let begin = first.to_zoned(zone.clone()).map_or(Timestamp::MIN, |at| at.timestamp());
        let older = AlarmFilter { since: None, until: Some(begin), ..filter.clone() };
        let none_older = web.read(move |reader| reader.alarms(&older, 1)).await?.is_empty();
        let mut calendar = Self::new(asked, first, &counts);
        if none_older {
            calendar.previous = None;
        }
        if now.to_zoned(zone.clone()).date().first_of_month() <= first {
            calendar.next = None;
        }
        Ok(calendar)
    }

    fn new(asked: &HistoryPageQuery, first: Date, counts: &[(Date, u64)]) -> Self {
        let most = counts.iter().map(|(_, alarms)| *alarms).max().unwrap_or(0).max(1);
        let day = |(date, alarms): &(Date, u64)| {
            let text = date.to_string();
            CalendarDay {
                number: date.day(),
                alarms: *alarms,
                words: format!("{} {}: {}", date.day(), month_title(*date), counted(*alarms, "alarm")),
                link: asked.link("/history", &[("since", &text), ("until", &text)]),
                level: (alarms * 4).div_ceil(most),
            }
        };
        let before = usize::try_from(first.weekday().to_monday_zero_offset()).unwrap_or(0);
        let days =
            counts.iter().take(usize::try_from(first.days_in_month()).unwrap_or(31)).map(|of| Some(day(of)));
        let mut cells: Vec<Option<CalendarDay>> = std::iter::repeat_n(None, before).chain(days).collect();
        cells.resize(cells.len().next_multiple_of(7), None);
        let month = |date: Date| asked.link("/history", &[("month", &date.strftime("%Y-%m").to_string())]);
        Self {
            title: month_title(first),
            weeks: cells.chunks(7).map(<[_]>::to_vec).collect(),
            previous: Some(month(first.saturating_sub(1.month()))),
            next: Some(month(first.saturating_add(1.month()))),
        }
    }
}

/// A month and its year in words.
fn month_title(date: Date) -> String {
    let month = usize::try_from(date.month() - 1).ok().and_then(|at| MONTHS.get(at));
    format!("{} {}", month.map_or("", |month| tr(month)), date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_its_weekday_and_its_days_lead_to_their_alarms() {
        let first: Date = "2026-11-01".parse().unwrap();
        let counts: Vec<(Date, u64)> = (0..31).map(|day| (first.saturating_add(day.days()), 7)).collect();
        let calendar = Calendar::new(&HistoryPageQuery::default(), first, &counts);
        assert_eq!((calendar.title.as_str(), calendar.weeks.len()), ("November 2026", 6));
        assert!(calendar.weeks[0][5].is_none(), "the first is a Sunday");
        let day = calendar.weeks[0][6].as_ref().unwrap();
        assert_eq!((day.number, day.level, day.words.as_str()), (1, 4, "1 November 2026: 7 alarms"));
        assert_eq!(day.link, "/history?since=2026-11-01&until=2026-11-01");
        assert_eq!(calendar.next.as_deref(), Some("/history?month=2026-12"));
    }
}
