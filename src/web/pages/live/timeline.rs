//! The time line of the Live page: a row per device, with marks for alarms.

use std::collections::BTreeMap;
use std::fmt;

use askama::filters::HtmlSafe;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::event::Mode;
use crate::model::time::clock::utc;
use crate::model::{EventName, Record, Source};
use crate::outbox::Reader;
use crate::outbox::history::AlarmFilter;
use crate::web::pages::devices::name_of;
use crate::web::pages::frame::moment::Moment;
use crate::web::texts::{fill, tr, tr_any};
use crate::web::words::counted;

/// Number of alarms of a kind, in one place of a row.
type Count = (EventName, i64, u64);

/// Number of places for marks in a row.
const PLACES: i64 = 200;
/// Rows drawn at first.
const ROWS: u32 = 8;
/// Maximum number of rows.
const ALL_ROWS: u32 = 500;

/// Length of a time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web::pages) enum TimelineSpan {
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
    /// A day.
    Day,
    /// A week.
    Week,
}

/// Content of a time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    /// Length of time it shows.
    pub(super) span: TimelineSpan,
    /// A row for every device.
    all: bool,
}

/// The time line.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(in crate::web::pages) scope: Scope,
    pub(in crate::web::pages) from: Moment,
    pub(in crate::web::pages) lines: Vec<Line>,
    pub(in crate::web::pages) ticks: Vec<Tick>,
    /// Number of devices that are not drawn.
    pub(in crate::web::pages) more: u64,
    /// Set if there were more alarms than are drawn; the oldest are left out.
    pub(in crate::web::pages) cut: bool,
}

/// A row of the time line.
#[derive(Debug)]
pub(super) struct Line {
    pub(in crate::web::pages) name: String,
    /// Description of the row for screen readers.
    pub(in crate::web::pages) words: String,
    /// Its alarms in the history.
    pub(in crate::web::pages) link: String,
    pub(super) marks: Vec<TimelineMark>,
}

/// A mark; numbers are percents of the width.
#[derive(Debug)]
pub(super) struct TimelineMark {
    pub(in crate::web::pages) x: Percent,
    pub(in crate::web::pages) width: Percent,
    pub(in crate::web::pages) class: &'static str,
    pub(in crate::web::pages) words: String,
    /// Its alarms in the history.
    pub(in crate::web::pages) link: String,
}

/// A full hour, or a part of one, or a day.
#[derive(Debug)]
pub(in crate::web::pages) struct Tick {
    pub(in crate::web::pages) x: Percent,
    pub(in crate::web::pages) at: String,
    /// In UTC; the script puts the viewer's zone in.
    pub(in crate::web::pages) label: String,
}

/// Hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percent(i64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Made of digits.
impl HtmlSafe for Percent {}

impl TimelineSpan {
    const ALL: [Self; 4] = [Self::Hour, Self::SixHours, Self::Day, Self::Week];

    /// Length named in the query; an hour by default.
    pub(in crate::web::pages) fn named(word: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|span| Some(span.word()) == word).unwrap_or(Self::Hour)
    }

    /// Short name.
    pub(in crate::web::pages) fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Title.
    pub(in crate::web::pages) fn title(self) -> &'static str {
        match self {
            Self::Hour => tr("The last hour"),
            Self::SixHours => tr("The last six hours"),
            Self::Day => tr("The last day"),
            Self::Week => tr("The last week"),
        }
    }

    /// All lengths.
    pub(in crate::web::pages) fn all(self) -> &'static [Self] {
        &Self::ALL
    }

    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::SixHours => 6,
            Self::Day => 24,
            Self::Week => 168,
        }
    }

    /// Minutes between two ticks.
    fn tick_minutes(self) -> i64 {
        match self {
            Self::Hour => 10,
            Self::SixHours => 60,
            Self::Day => 180,
            Self::Week => 1_440,
        }
    }

    /// Format of a tick's label in the script.
    pub(super) fn tick_style(self) -> &'static str {
        if self == Self::Week { "day" } else { "hour" }
    }

    /// The ticks between two moments.
    fn ticks(self, from: Timestamp, now: Timestamp) -> Vec<Tick> {
        let step = self.tick_minutes() * 60;
        // Days begin at midnight where the bridge is.
        let shift = match self {
            Self::Week => i64::from(TimeZone::system().to_offset(now).seconds()),
            _ => 0,
        };
        let first = (from.as_second() + shift).div_euclid(step) * step + step - shift;
        let whole = self.hours() * 3_600;
        // A label at the very edge would not fit.
        let fits = |at: &i64| (whole / 50..=whole - whole / 50).contains(&(at - from.as_second()));
        let tick = |at: i64| {
            let moment = Timestamp::from_second(at).unwrap_or(now);
            let label = moment.strftime(if self == Self::Week { "%a" } else { "%H:%M" }).to_string();
            Tick { x: Percent((at - from.as_second()) * 10_000 / whole), at: utc(moment), label }
        };
        (0..)
            .map(|n| first + n * step)
            .take_while(|at| *at < now.as_second())
            .filter(fits)
            .map(tick)
            .collect()
    }
}

impl Scope {
    /// Query of an address.
    pub(super) fn named(span: Option<&str>, rows: Option<&str>) -> Self {
        Self { span: TimelineSpan::named(span), all: rows == Some("all") }
    }

    /// The same with another span.
    pub(super) fn spanning(&self, span: &TimelineSpan) -> Self {
        Self { span: *span, ..*self }
    }

    /// The same with all devices.
    pub(super) fn with_all(&self) -> Self {
        Self { all: true, ..*self }
    }

    /// Its address.
    pub(super) fn link(&self) -> String {
        format!("/?span={}{}", self.span.word(), if self.all { "&rows=all" } else { "" })
    }

    fn rows(&self) -> u32 {
        if self.all { ALL_ROWS } else { ROWS }
    }
}

impl Timeline {
    /// Reads the alarms of the time line.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(in crate::web::pages) fn read(
        reader: &mut Reader,
        scope: Scope,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let span = scope.span;
        let from = now.checked_sub(SignedDuration::from_hours(span.hours())).unwrap_or(now);
        let place_ms = span.hours() * 3_600_000 / PLACES;
        let mut rows: BTreeMap<Source, Vec<Count>> = BTreeMap::new();
        let placed = reader.alarms_by_place(from, place_ms, scope.rows())?;
        for (source, event, place, count) in placed.counts {
            rows.entry(source).or_default().push((event, place.min(PLACES - 1), count));
        }
        let mut lines = Vec::new();
        for (source, marks) in rows {
            let name = match reader.device(&source)? {
                Some(state) => name_of(&state),
                // While only memory has the source, its name is taken from its alarms.
                None => name_in_alarms(reader, &source)?,
            };
            lines.push(line(name, &source, &marks, span, from));
        }
        let ticks = span.ticks(from, now);
        Ok(Self { scope, from: Moment::new(from, now), lines, ticks, more: placed.more, cut: placed.cut })
    }

    /// The link to all devices, in words.
    pub(super) fn show_all(&self) -> String {
        fill("Show {}", counted(self.more, "more device"))
    }
}

/// Name of a source in its latest alarm.
fn name_in_alarms(reader: &mut Reader, source: &Source) -> rusqlite::Result<String> {
    let filter = AlarmFilter { source: Some(source.clone()), ..AlarmFilter::default() };
    let latest = reader.alarms(&filter, 1)?.into_iter().next();
    Ok(match latest.as_ref().map(|entry| &entry.record) {
        Some(Record::Alarm(alarm)) => alarm.device.name.clone(),
        _ => source.to_string(),
    })
}

/// Row of a device from its counts.
fn line(name: String, source: &Source, counts: &[Count], span: TimelineSpan, from: Timestamp) -> Line {
    let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
    for (event, _, count) in counts {
        *by_kind.entry(tr_any(&event.title())).or_default() += count;
    }
    let kinds: Vec<String> = by_kind.iter().map(|(title, count)| format!("{title} {count}")).collect();
    let words = format!("{name}, {}: {}", span.title().to_lowercase(), kinds.join(", "));
    let place_ms = span.hours() * 3_600_000 / PLACES;
    let at = |place: i64| {
        let moment = from.checked_add(SignedDuration::from_millis(place * place_ms)).unwrap_or(from);
        utc(moment)
    };
    let link = format!("/history?device={source}&since={}", at(0));
    let mark = |(event, place, count): &Count| TimelineMark {
        x: Percent(place * 10_000 / PLACES),
        width: Percent(10_000 / PLACES),
        class: match event.mode() {
            Mode::Activity => "",
            Mode::Moment => "moment",
            Mode::Fault => "fault",
        },
        words: format!("{}: {count}", tr_any(&event.title())),
        link: format!(
            "/history?device={source}&event={event}&since={}&until={}",
            at(*place),
            // The last place goes on until now.
            at(if *place + 1 == PLACES { PLACES + 4 } else { place + 1 })
        ),
    };
    let marks = counts.iter().map(mark).collect();
    Line { name, words, link, marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_in_words_what_it_draws() {
        let person = EventName::new("person");
        let counts = [(person.clone(), 0, 2), (EventName::new("doorbell"), 100, 1), (person, 199, 1)];
        let source = Source::from_known("021a2b3c4d5e").unwrap();
        let from: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        let line = line("Door".into(), &source, &counts, TimelineSpan::named(Some("24h")), from);
        assert_eq!(line.words, "Door, the last day: Doorbell 1, Person 3");
        let drawn: Vec<_> =
            line.marks.iter().map(|mark| (mark.x.to_string(), mark.width.to_string(), mark.class)).collect();
        let expected = [("0.00", ""), ("50.00", "moment"), ("99.50", "")];
        assert_eq!(drawn, expected.map(|(x, class)| (x.to_owned(), "0.50".to_owned(), class)));
        let link = "/history?device=021a2b3c4d5e&event=doorbell&since=2026-11-28T22:00:00.000Z&until=2026-11-28T22:07:12.000Z";
        assert_eq!(line.marks[1].link, link);
        assert_eq!(TimelineSpan::named(Some("x")), TimelineSpan::Hour);
    }

    #[test]
    fn ticks_stand_at_full_hours() {
        let now: Timestamp = "2026-11-28T10:20:00Z".parse().unwrap();
        let from = now.checked_sub(SignedDuration::from_hours(6)).unwrap();
        let ticks = TimelineSpan::SixHours.ticks(from, now);
        let labels: Vec<_> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["05:00", "06:00", "07:00", "08:00", "09:00", "10:00"]);
        assert_eq!(ticks[0].x.to_string(), "11.11");
    }
}
