//! The time line of the History page: the alarms of the filter, counted in equal parts of its time. Each bar leads to its
//! alarms.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::HistoryPageQuery;
use crate::model::time::clock::utc;
use crate::outbox::history::AlarmFilter;
use crate::web::pages::frame::moment::Moment;
use crate::web::words::counted;
use crate::web::{Problem, Web};

/// Maximum number of bars.
const MAX_BARS: i64 = 50;
/// Maximum number of labels.
const MAX_LABELS: usize = 8;
/// Lengths of a bar in minutes: the shortest that fits is taken.
const STEPS: [i64; 7] = [1, 10, 30, 60, 360, 1_440, 10_080];
/// Seconds of a day.
const DAY: i64 = 86_400;

/// A time line.
#[derive(Debug)]
pub(super) struct HistoryLine {
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) bars: Vec<Bar>,
    pub(super) ticks: Vec<Label>,
    /// Format of the labels in the script: `hour`, `day` or `date`.
    pub(super) style: &'static str,
    /// Number of alarms, in words.
    pub(super) words: String,
}

/// The alarms of one part; lengths are percents.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) words: String,
    pub(super) link: String,
}

/// A label below the bars.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) x: String,
    pub(super) at: String,
    /// In the zone of the page; the script puts the viewer's zone in.
    pub(super) text: String,
}

/// Time of a line and the moments between its bars.
#[derive(Debug)]
struct Parts {
    moments: Vec<Timestamp>,
    step: i64,
}

impl HistoryLine {
    /// Counts the alarms of a filter over its time; without a beginning, over the last day of it. `None` if it is too
    /// long, or cannot be counted soon.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) async fn read(
        web: &Web,
        asked: &HistoryPageQuery,
        filter: &AlarmFilter,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Option<Self>, Problem> {
        let to = filter.until.unwrap_or(now).min(now);
        let day_before = to.checked_sub(SignedDuration::from_secs(DAY)).unwrap_or(Timestamp::MIN);
        let from = filter.since.unwrap_or(day_before);
        let Some(parts) = Parts::of(from, to, zone) else { return Ok(None) };
        let (by, moments) = (filter.clone(), parts.moments.clone());
        // While the search index is far behind, each count would read the alarms that are not in it.
        let searches = by.text.is_some() || by.maker.is_some() || by.picture.is_some();
        let counts = web.read(move |reader| {
            let behind = searches && reader.search_is_behind()?;
            if behind { Ok(None) } else { reader.alarms_between(&by, &moments).map(Some) }
        });
        Ok(counts.await?.map(|counts| Self::new(asked, &parts, &counts, zone, now)))
    }

    fn new(asked: &HistoryPageQuery, parts: &Parts, counts: &[u64], zone: &TimeZone, now: Timestamp) -> Self {
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let place = |at: Timestamp| parts.place(at);
        let style = match parts.step {
            ..21_600 => "hour",
            21_600..DAY => "day",
            _ => "date",
        };
        let local = |at: Timestamp, format: &str| at.to_zoned(zone.clone()).strftime(format).to_string();
        let ends = parts.moments.iter().zip(parts.moments.iter().skip(1)).zip(counts);
        let bars = ends.filter(|(_, count)| 0 < **count).map(|((from, to), count)| {
            let height = 10 + u32::try_from(count * 90 / most).unwrap_or(90);
            let (since, until) = (utc(*from), utc(*to));
            Bar {
                x: percent(place(*from)),
                y: (100 - height).to_string(),
                width: percent(place(*to) - place(*from)),
                height: height.to_string(),
                words: format!(
                    "{}\u{2013}{}: {}",
                    local(*from, "%Y-%m-%d %H:%M"),
                    local(*to, "%H:%M"),
                    counted(*count, "alarm")
                ),
                link: asked.link("/history", &[("since", &since), ("until", &until)]),
            }
        });
        let inner = parts.moments.get(1..parts.moments.len().saturating_sub(1)).unwrap_or_default();
        // A label at the very edge would not fit.
        let fits = |at: Timestamp| (400..=9_600).contains(&place(at));
        let is_label = |at: &&Timestamp| fits(**at) && (style != "day" || local(**at, "%H") == "00");
        let labelled: Vec<&Timestamp> = inner.iter().filter(is_label).collect();
        let every = labelled.len().div_ceil(MAX_LABELS).max(1);
        let text = if style == "hour" { "%H:%M" } else { "%m-%d" };
        let label =
            |at: &&Timestamp| Label { x: percent(place(**at)), at: utc(**at), text: local(**at, text) };
        let edge = |at: Option<&Timestamp>| Moment::new(at.copied().unwrap_or(now), now);
        Self {
            bars: bars.collect(),
            ticks: labelled.iter().step_by(every).map(label).collect(),
            from: edge(parts.moments.first()),
            to: edge(parts.moments.last()),
            style,
            words: counted(counts.iter().sum(), "alarm"),
        }
    }
}

impl Parts {
    /// Divides a time at full minutes, hours or days of a zone. No part is shorter than a quarter of the others: nobody
    /// could see or click its bar.
    fn of(from: Timestamp, to: Timestamp, zone: &TimeZone) -> Option<Self> {
        let length = to.as_second().checked_sub(from.as_second()).filter(|length| 0 < *length)?;
        let step = STEPS.iter().map(|minutes| minutes * 60).find(|step| length <= step * MAX_BARS)?;
        let shift = i64::from(zone.to_offset(from).seconds());
        let first = (from.as_second() + shift).div_euclid(step) * step + step - shift;
        let fits = |at: &i64| step / 4 <= (at - from.as_second()).min(to.as_second() - at);
        let inner =
            (0..=MAX_BARS).map(|n| first + n * step).take_while(|at| *at < to.as_second()).filter(fits);
        let inner = inner.filter_map(|at| Timestamp::from_second(at).ok());
        Some(Self { moments: std::iter::once(from).chain(inner).chain([to]).collect(), step })
    }

    /// Place of a moment in hundredths of a percent.
    fn place(&self, at: Timestamp) -> i64 {
        let (Some(from), Some(to)) = (self.moments.first(), self.moments.last()) else { return 0 };
        let whole = (to.as_millisecond() - from.as_millisecond()).max(1);
        (at.as_millisecond() - from.as_millisecond()) * 10_000 / whole
    }
}

/// Hundredths of a percent as text.
fn percent(hundredths: i64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_has_a_bar_for_each_half_hour_with_alarms_and_each_leads_to_them() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (from, to) = (at("2026-11-28T10:10:00Z"), at("2026-11-29T10:10:00Z"));
        let parts = Parts::of(from, to, &zone).unwrap();
        assert_eq!((parts.moments.len(), parts.step), (50, 1_800));
        let mut counts = vec![0; 49];
        (counts[1], counts[48]) = (4, 1);
        let line = HistoryLine::new(&HistoryPageQuery::default(), &parts, &counts, &zone, to);
        assert_eq!((line.words.as_str(), line.style, line.bars.len()), ("5 alarms", "hour", 2));
        let bar = &line.bars[0];
        assert_eq!((bar.x.as_str(), bar.height.as_str(), bar.y.as_str()), ("1.38", "100", "0"));
        assert_eq!(bar.words, "2026-11-28 11:30\u{2013}12:00: 4 alarms");
        let link = "/history?since=2026-11-28T10%3A30%3A00.000Z&until=2026-11-28T11%3A00%3A00.000Z";
        assert_eq!(bar.link, link);
        assert!((5..=MAX_LABELS).contains(&line.ticks.len()));
        assert_eq!(line.ticks[0].text, "12:30");
    }

    #[test]
    fn a_part_that_has_just_begun_belongs_to_the_one_before() {
        let to = at("2026-11-29T08:30:00.640Z");
        let parts = Parts::of(at("2026-11-28T08:29:59Z"), to, &TimeZone::UTC).unwrap();
        let last = &parts.moments[parts.moments.len() - 2..];
        assert_eq!(
            (parts.moments[1], last),
            (at("2026-11-28T09:00:00Z"), &[at("2026-11-29T08:00:00Z"), to][..])
        );
        let line = HistoryLine::new(&HistoryPageQuery::default(), &parts, &[1; 48], &TimeZone::UTC, to);
        let narrow = line.bars.iter().find(|bar| bar.width.parse::<f32>().unwrap() < 0.5);
        assert!(narrow.is_none(), "{narrow:?}");
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone_and_years_are_too_long() {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        let parts = Parts::of(at("2026-11-01T03:00:00Z"), at("2026-11-20T03:00:00Z"), &zone).unwrap();
        assert_eq!((parts.step, parts.moments[1]), (DAY, at("2026-11-01T15:00:00Z")));
        assert!(Parts::of(Timestamp::MIN, Timestamp::MAX, &zone).is_none());
        assert!(Parts::of(at("2026-11-01T03:00:00Z"), at("2026-11-01T03:00:00Z"), &zone).is_none());
        let week = Parts::of(at("2026-11-01T03:00:00Z"), at("2026-11-08T03:00:00Z"), &zone).unwrap();
        let line = HistoryLine::new(&HistoryPageQuery::default(), &week, &[1; 29], &zone, Timestamp::MAX);
        assert_eq!((line.style, line.ticks.len(), line.ticks[0].text.as_str()), ("day", 7, "11-02"));
    }
}
