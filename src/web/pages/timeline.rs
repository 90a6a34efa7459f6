//! The time line of the Live page: a row a device, a mark where alarms came.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::devices::name_of;
use super::moment::Moment;
use crate::model::event::Mode;
use crate::model::{EventName, Source};
use crate::outbox::Reader;

/// Places for marks in a row.
const PLACES: i64 = 200;
/// The width of the drawing.
const WIDTH: i64 = 1_000;
/// The most rows.
const ROWS: u32 = 8;

/// How far a time line reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
    /// A day.
    Day,
    /// A week.
    Week,
}

/// The time line.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) span: Span,
    pub(super) from: Moment,
    pub(super) lines: Vec<Line>,
    /// Devices that are not drawn.
    pub(super) more: u64,
    /// There were more alarms than are drawn; the oldest are left out.
    pub(super) cut: bool,
}

/// A row.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// The row in words.
    pub(super) words: String,
    pub(super) marks: Vec<Mark>,
}

/// A mark.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) x: i64,
    pub(super) width: i64,
    pub(super) class: &'static str,
    pub(super) words: String,
}

impl Span {
    const ALL: [Self; 4] = [Self::Hour, Self::SixHours, Self::Day, Self::Week];

    /// The one named in an address; an hour by default.
    pub(super) fn named(word: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|span| Some(span.word()) == word).unwrap_or(Self::Hour)
    }

    /// Its short name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Its name in words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hour => "The last hour",
            Self::SixHours => "The last six hours",
            Self::Day => "The last day",
            Self::Week => "The last week",
        }
    }

    /// All of them.
    pub(super) fn all(self) -> &'static [Self] {
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
}

impl Timeline {
    /// Reads it.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn read(reader: &mut Reader, span: Span, now: Timestamp) -> rusqlite::Result<Self> {
        let from = now.checked_sub(SignedDuration::from_hours(span.hours())).unwrap_or(now);
        let place_ms = span.hours() * 3_600_000 / PLACES;
        let mut rows: BTreeMap<Source, Vec<(EventName, i64, u64)>> = BTreeMap::new();
        let placed = reader.alarms_by_place(from, place_ms, ROWS)?;
        for (source, event, place, count) in placed.counts {
            rows.entry(source).or_default().push((event, place.min(PLACES - 1), count));
        }
        let mut lines = Vec::new();
        for (source, marks) in rows {
            let name = reader.device(&source)?.map_or_else(|| source.to_string(), |state| name_of(&state));
            lines.push(line(name, &marks, span));
        }
        Ok(Self { span, from: Moment::new(from, now), lines, more: placed.more, cut: placed.cut })
    }
}

/// A row from its counts.
fn line(name: String, counts: &[(EventName, i64, u64)], span: Span) -> Line {
    let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
    for (event, _, count) in counts {
        *by_kind.entry(event.title()).or_default() += count;
    }
    let kinds: Vec<String> = by_kind.iter().map(|(title, count)| format!("{title} {count}")).collect();
    let words = format!("{name}, {}: {}", span.title().to_lowercase(), kinds.join(", "));
    let mark = |(event, place, count): &(EventName, i64, u64)| Mark {
        x: place * WIDTH / PLACES,
        width: WIDTH / PLACES,
        class: match event.mode() {
            Mode::Activity => "",
            Mode::Moment => "moment",
            Mode::Fault => "fault",
        },
        words: format!("{}: {count}", event.title()),
    };
    Line { name, words, marks: counts.iter().map(mark).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_in_words_what_it_draws() {
        let person = EventName::new("person");
        let counts = [(person.clone(), 0, 2), (EventName::new("doorbell"), 100, 1), (person, 199, 1)];
        let line = line("Door".into(), &counts, Span::named(Some("24h")));
        assert_eq!(line.words, "Door, the last day: Doorbell 1, Person 3");
        let drawn: Vec<_> = line.marks.iter().map(|mark| (mark.x, mark.width, mark.class)).collect();
        assert_eq!(drawn, [(0, 5, ""), (500, 5, "moment"), (995, 5, "")]);
        assert_eq!(Span::named(Some("x")), Span::Hour);
    }
}
