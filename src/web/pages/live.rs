//! The Live page: what came last, large; the time line; alarms as they came.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::alarm::{AlarmView, Group, delivery, grouped, mark_ongoing};
use super::frame::{Frame, Tab};
use super::html;
use super::timeline::{Span, Timeline};
use crate::model::Record;
use crate::outbox::history::AlarmFilter;
use crate::outbox::parking::ParkedEntry;
use crate::outbox::{Entry, Reader};
use crate::web::{Ask, Problem, Web};

/// Alarms read for one page.
const READ: usize = 120;
/// Groups shown on one page.
const SHOWN: usize = 24;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// This alarm, large.
    alarm: Option<Uuid>,
    /// Alarms before this number.
    before: Option<i64>,
    /// How far the time line reaches back.
    span: Option<String>,
    /// What was just done.
    done: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "live.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    heading: &'static str,
    hero: Option<AlarmView>,
    empty: bool,
    timeline: Option<Timeline>,
    earlier: Vec<AlarmView>,
    older: Option<i64>,
}

/// What it is made from.
struct Seen {
    hero: Option<Arc<Entry>>,
    request: Option<i64>,
    parked: Vec<ParkedEntry>,
    groups: Vec<Group>,
    older: Option<i64>,
    timeline: Option<Timeline>,
}

/// Answers with the page.
pub(super) async fn page(State(web): State<Web>, Ask(asked): Ask<Asked>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let (pinned, before) = (asked.alarm, asked.before);
    let span = Span::named(asked.span.as_deref());
    let seen = web.read(move |reader| Seen::read(reader, pinned, before, span, now)).await?;
    if pinned.is_some() && seen.hero.is_none() {
        return Err(Problem::not_found("alarm of this id"));
    }
    let hero = seen.hero(&web, pinned.is_some(), now);
    let mut earlier: Vec<_> =
        seen.groups.iter().filter_map(|group| AlarmView::of_group(group, now)).collect();
    for view in &mut earlier {
        view.shown = hero.as_ref().is_some_and(|hero| hero.key == view.key);
    }
    let page = Page {
        frame: Frame::new(Tab::Live, asked.done.as_deref(), &web.findings, now),
        heading: match (pinned, before) {
            (Some(_), _) => "One alarm",
            (None, Some(_)) => "Older alarms",
            (None, None) => "Live",
        },
        empty: hero.is_none() && earlier.is_empty(),
        timeline: seen.timeline.filter(|_| hero.is_some()),
        hero,
        earlier,
        older: seen.older,
    };
    html(&page)
}

impl Seen {
    fn read(
        reader: &mut Reader,
        pinned: Option<Uuid>,
        before: Option<i64>,
        span: Span,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let alarms = reader.alarms(&AlarmFilter { before, ..AlarmFilter::default() }, READ)?;
        let more = alarms.len() == READ;
        let (mut groups, last) = grouped(alarms, SHOWN);
        mark_ongoing(&mut groups, reader)?;
        let hero = match (pinned, before) {
            (Some(id), _) => reader.alarm(id)?,
            (None, Some(_)) => None,
            (None, None) => groups.first().map(|group| Arc::clone(&group.shown)),
        };
        let request = hero.as_ref().map_or(Ok(None), |hero| reader.request_of(hero.record.id()))?;
        let parked = hero.as_ref().map_or(Ok(Vec::new()), |hero| reader.parked_of(hero.no))?;
        let timeline = (before.is_none()).then(|| Timeline::read(reader, span, now)).transpose()?;
        let full = groups.len() == SHOWN;
        Ok(Self { hero, request, parked, groups, older: last.filter(|_| more || full), timeline })
    }

    /// What is shown large: of the latest activity as a whole, or the one alarm asked for.
    fn hero(&self, web: &Web, pinned: bool, now: Timestamp) -> Option<AlarmView> {
        let entry = self.hero.as_ref()?;
        let Record::Alarm(alarm) = &entry.record else { return None };
        let view = match self.groups.first().filter(|_| !pinned) {
            Some(group) => AlarmView::of_group(group, now)?,
            None => AlarmView::new(alarm, now),
        };
        let delivery = delivery(&web.deliveries(entry, &self.parked));
        Some(AlarmView { delivery, request: self.request, ..view })
    }
}
