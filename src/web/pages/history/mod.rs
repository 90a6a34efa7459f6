//! The History page: stored alarms by device, kind, maker, time and text. The query string holds the filter.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::alarm::{AlarmView, reports};
use super::devices::name_of;
use super::frame::{Frame, Tab};
use super::html;
use crate::model::EventName;
use crate::outbox::history::AlarmFilter;
use crate::outbox::{Entry, Reader};
use crate::web::api::alarms::query::AlarmQuery;
use crate::web::filters;
use crate::web::texts::tr_any;
use crate::web::{PageQuery, Problem, Web};
use calendar::{Calendar, WEEKDAYS};
use line::HistoryLine;

mod calendar;
mod line;

/// Number of alarms read for a page.
const READ_ALARMS: usize = 120;
/// Number of cards on a page.
const PAGE_SIZE: usize = 48;
/// Maximum number of devices to choose from.
const MAX_DEVICES: usize = 500;
/// Maximum number of previous pages in the query.
const MAX_PREVIOUS_PAGES: usize = 40;

/// Query parameters.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct HistoryPageQuery {
    device: Option<String>,
    event: Option<String>,
    maker: Option<String>,
    picture: Option<String>,
    reviewed: Option<String>,
    text: Option<String>,
    since: Option<String>,
    until: Option<String>,
    zone: Option<String>,
    cursor: Option<i64>,
    /// Cursors of the previous pages, separated by dots.
    back: Option<String>,
    /// Month of the calendar.
    month: Option<String>,
}

/// An option of a selection list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    title: String,
    value: String,
    chosen: bool,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "history.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    asked: HistoryPageQuery,
    devices: Vec<Choice>,
    events: Vec<Choice>,
    makers: Vec<Choice>,
    zone: String,
    since: String,
    until: String,
    filtered: bool,
    behind: bool,
    cards: Vec<AlarmView>,
    weekdays: [&'static str; 7],
    calendar: Calendar,
    line: Option<HistoryLine>,
    newer: Option<String>,
    older: Option<String>,
}

/// Data the page is made from.
struct Seen {
    cards: Vec<AlarmView>,
    last: Option<i64>,
    behind: bool,
    devices: Vec<(String, String, String)>,
    events: Vec<EventName>,
}

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<HistoryPageQuery>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let query = asked.query();
    let (filter, zone) = (query.filter()?, query.zone()?);
    let calendar = Calendar::read(&web, &asked, &filter, &zone, now).await?;
    let line = HistoryLine::read(&web, &asked, &filter, &zone, now).await?;
    let read = filter.clone();
    let seen = web.read(move |reader| Seen::read(reader, &read, now)).await?;
    let local = |at: Option<Timestamp>| at.map_or_else(String::new, |at| input_value(at, &zone));
    let makers = seen.devices.iter().map(|(_, _, maker)| (maker.clone(), maker.clone()));
    let page = Page {
        frame: frame.of(Tab::History),
        devices: choices(
            seen.devices.iter().map(|(source, name, _)| (name.clone(), source.clone())),
            asked.device.as_ref(),
        ),
        events: choices(
            seen.events.iter().map(|event| (tr_any(&event.title()), event.to_string())),
            asked.event.as_ref(),
        ),
        makers: choices(makers, asked.maker.as_ref()),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        since: local(filter.since),
        until: local(filter.until),
        filtered: !asked.pairs().is_empty(),
        behind: seen.behind,
        newer: asked.newer(),
        older: seen.last.map(|last| asked.older(last)),
        cards: seen.cards,
        weekdays: WEEKDAYS,
        calendar,
        line,
        asked,
    };
    html(&page)
}

impl Seen {
    fn read(reader: &mut Reader, filter: &AlarmFilter, now: Timestamp) -> rusqlite::Result<Self> {
        let found = reader.alarms(filter, READ_ALARMS)?;
        let more = found.len() == READ_ALARMS;
        let mut reports = reports(found);
        let full = PAGE_SIZE < reports.len();
        // The last report may continue after the alarms that were read.
        if more && !full && 1 < reports.len() {
            reports.pop();
        }
        reports.truncate(PAGE_SIZE);
        let last = reports.last().and_then(|report| report.last()).map(|entry| entry.no);
        let reviewed = reader.reviewed(&reports.concat())?;
        let card = |report: &Vec<Arc<Entry>>| {
            let view = AlarmView::of_report(report, now)?;
            Some(AlarmView { reviewed: report.iter().all(|entry| reviewed.contains(&entry.no)), ..view })
        };
        let cards = reports.iter().filter_map(card).collect();
        let mut events = Vec::new();
        let mut devices = Vec::new();
        for state in reader.devices("", MAX_DEVICES)? {
            events.extend(state.device.kinds.iter().map(|kind| kind.event.clone()));
            devices.push((state.device.source.to_string(), name_of(&state), state.device.vendor.clone()));
        }
        Ok(Self {
            cards,
            last: last.filter(|_| more || full),
            behind: filter.text.is_some() && reader.search_is_behind()?,
            devices,
            events,
        })
    }
}

impl HistoryPageQuery {
    /// The filter as a query of the API.
    fn query(&self) -> AlarmQuery {
        AlarmQuery {
            device: self.device.clone(),
            event: self.event.clone(),
            maker: self.maker.clone(),
            picture: self.picture.clone(),
            reviewed: self.reviewed.clone(),
            text: self.text.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            zone: self.zone.clone(),
            cursor: self.cursor,
            limit: None,
        }
    }

    /// Values of the filter that are set, without the zone.
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("device", &self.device),
            ("event", &self.event),
            ("maker", &self.maker),
            ("picture", &self.picture),
            ("reviewed", &self.reviewed),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let given = all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        given.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Link with this filter, some of its values replaced (an empty one is left out).
    pub(super) fn link(&self, path: &str, values: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        let zone = self.zone.as_deref().filter(|zone| !zone.is_empty()).map(|zone| ("zone", zone));
        let kept = self.pairs().into_iter().chain(zone);
        for (name, value) in kept.filter(|(name, _)| !values.iter().any(|(other, _)| other == name)) {
            query.append_pair(name, value);
        }
        for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Link to an export of the filtered alarms.
    fn export(&self, name: &str) -> String {
        self.link(&format!("/api/v1/export/{name}"), &[])
    }

    /// Month of the calendar in the query.
    pub(super) fn month(&self) -> Option<&str> {
        self.month.as_deref()
    }

    /// Link to the next page, with older alarms.
    fn older(&self, last: i64) -> String {
        let here = self.cursor.map_or_else(|| "0".to_owned(), |cursor| cursor.to_string());
        let before = self.back.iter().flat_map(|back| back.split('.')).filter(|text| !text.is_empty());
        let mut back: Vec<String> = before.map(str::to_owned).chain([here]).collect();
        back.drain(..back.len().saturating_sub(MAX_PREVIOUS_PAGES));
        self.paged(&last.to_string(), &back.join("."))
    }

    /// Link to the previous page.
    fn newer(&self) -> Option<String> {
        self.cursor?;
        let back = self.back.as_deref().unwrap_or_default();
        let (rest, last) = back.rsplit_once('.').unwrap_or(("", back));
        let number = last.parse::<i64>().unwrap_or(0);
        let cursor = if number == 0 { String::new() } else { number.to_string() };
        Some(self.paged(&cursor, rest))
    }

    fn paged(&self, cursor: &str, back: &str) -> String {
        let month = self.month.as_deref().unwrap_or_default();
        self.link("/history", &[("month", month), ("cursor", cursor), ("back", back)])
    }

    /// Search text.
    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Returns whether the filter on pictures has this value.
    fn wants_picture(&self, answer: &str) -> bool {
        self.picture.as_deref() == Some(answer)
    }

    /// Returns whether reviewed alarms are asked for in this way.
    fn wants_reviewed(&self, answer: &str) -> bool {
        self.reviewed.as_deref() == Some(answer)
    }
}

/// Sorted options, each once; the chosen one is added if it is missing.
fn choices(all: impl Iterator<Item = (String, String)>, chosen: Option<&String>) -> Vec<Choice> {
    let chosen = chosen.filter(|chosen| !chosen.is_empty());
    let choice = |(title, value): (String, String)| {
        let chosen = chosen.is_some_and(|chosen| *chosen == value);
        Choice { title, value, chosen }
    };
    let mut choices: Vec<Choice> = all.map(choice).collect();
    choices.sort();
    choices.dedup();
    if let Some(value) = chosen.filter(|_| !choices.iter().any(|choice| choice.chosen)) {
        choices.push(Choice { title: value.clone(), value: value.clone(), chosen: true });
    }
    choices
}

/// A moment as the value of an input element.
fn input_value(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    at.strftime(if at.second() == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_on_and_back_with_the_filter() {
        let first = HistoryPageQuery {
            text: Some("red car".into()),
            event: Some(String::new()),
            ..HistoryPageQuery::default()
        };
        assert_eq!(
            (first.older(90).as_str(), first.newer()),
            ("/history?text=red+car&cursor=90&back=0", None)
        );
        let second = HistoryPageQuery { cursor: Some(90), back: Some("0".into()), ..first };
        assert_eq!(second.older(40), "/history?text=red+car&cursor=40&back=0.90");
        assert_eq!(second.newer().as_deref(), Some("/history?text=red+car"));
        let third = HistoryPageQuery { cursor: Some(40), back: Some("0.90".into()), ..second };
        assert_eq!(third.newer().as_deref(), Some("/history?text=red+car&cursor=90&back=0"));
    }
}
