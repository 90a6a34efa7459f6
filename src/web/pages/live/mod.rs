//! The Live page: the latest alarm, the time line, and recent alarms.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::alarm::around::{Around, Neighbours};
use super::alarm::{AlarmView, Group, delivery, grouped, mark_ongoing};
use super::frame::{Frame, Tab};
use super::html;
use crate::model::Record;
use crate::outbox::history::AlarmFilter;
use crate::outbox::parking::ParkedEntry;
use crate::outbox::{Entry, Reader};
use crate::web::filters;
use crate::web::texts::tr;
use crate::web::{PageQuery, Problem, Web};
use timeline::{Scope, Timeline};

mod timeline;

/// Number of alarms read for a page.
const READ_ALARMS: usize = 120;
/// Number of groups on a page.
const MAX_GROUPS: usize = 24;

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LivePageQuery {
    /// Alarm to show large.
    alarm: Option<Uuid>,
    /// Number before which the list begins.
    before: Option<i64>,
    /// Length of the time line.
    span: Option<String>,
    /// `all`: a row of the time line for every device.
    rows: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "live.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    heading: String,
    /// Neither one alarm nor older ones.
    is_live: bool,
    hero: Option<AlarmView>,
    around: Option<Around>,
    empty: bool,
    simulate: String,
    timeline: Option<Timeline>,
    earlier: Vec<AlarmView>,
    older: Option<i64>,
}

/// Data the page is made from.
struct Seen {
    hero: Option<Arc<Entry>>,
    neighbours: Neighbours,
    request: Option<i64>,
    reviewed: bool,
    parked: Vec<ParkedEntry>,
    groups: Vec<Group>,
    /// Numbers of the alarms of the groups that are marked as reviewed.
    marked: HashSet<i64>,
    older: Option<i64>,
    timeline: Option<Timeline>,
}

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<LivePageQuery>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let (pinned, before) = (asked.alarm, asked.before);
    let scope = Scope::named(asked.span.as_deref(), asked.rows.as_deref());
    let seen = web.read(move |reader| Seen::read(reader, pinned, before, scope, now)).await?;
    if pinned.is_some() && seen.hero.is_none() {
        return Err(Problem::not_found("alarm of this id"));
    }
    let hero = seen.hero(&web, pinned.is_some(), now);
    let card = |group: &Group| {
        let view = AlarmView::of_group(group, now)?;
        let shown = hero.as_ref().is_some_and(|hero| hero.key == view.key);
        Some(AlarmView { shown, reviewed: seen.marked.contains(&group.shown.no), ..view })
    };
    let earlier: Vec<_> = seen.groups.iter().filter_map(card).collect();
    let heading = match (&hero, before) {
        (Some(hero), _) if pinned.is_some() => hero.page_title(),
        (_, Some(_)) => tr("Older alarms").to_owned(),
        (_, None) => tr("Live").to_owned(),
    };
    let page =
        Page {
            frame: frame.of(Tab::Live).hearing("reviewed").titled(heading.clone()),
            heading,
            is_live: pinned.is_none() && before.is_none(),
            empty: hero.is_none() && earlier.is_empty(),
            simulate: web.bridge.reach().simulate,
            around: seen.hero.as_ref().filter(|_| pinned.is_some()).map(|entry| {
                Around::new(&web, entry, &web.deliveries(entry, &seen.parked), &seen.neighbours)
            }),
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
        scope: Scope,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let alarms = reader.alarms(&AlarmFilter { before, ..AlarmFilter::default() }, READ_ALARMS)?;
        let more = alarms.len() == READ_ALARMS;
        let (mut groups, last) = grouped(alarms, MAX_GROUPS);
        mark_ongoing(&mut groups, reader)?;
        let hero = match (pinned, before) {
            (Some(id), _) => reader.alarm(id)?,
            (None, Some(_)) => None,
            (None, None) => groups.first().map(|group| Arc::clone(&group.shown)),
        };
        let request = hero.as_ref().map_or(Ok(None), |hero| reader.request_of(hero.record.id()))?;
        let reviewed = match &hero {
            Some(hero) => !reader.reviewed(std::slice::from_ref(hero))?.is_empty(),
            None => false,
        };
        let shown: Vec<_> = groups.iter().map(|group| Arc::clone(&group.shown)).collect();
        let marked = reader.reviewed(&shown)?;
        let parked = hero.as_ref().map_or(Ok(Vec::new()), |hero| reader.parked_of(hero.no))?;
        let neighbours = match &hero {
            Some(hero) if pinned.is_some() => Neighbours::read(reader, hero)?,
            _ => Neighbours::default(),
        };
        let timeline = (before.is_none()).then(|| Timeline::read(reader, scope, now)).transpose()?;
        let full = groups.len() == MAX_GROUPS;
        let older = last.filter(|_| more || full);
        Ok(Self { hero, neighbours, request, reviewed, parked, groups, marked, older, timeline })
    }

    /// Alarm shown large: the latest activity, or the alarm in the query.
    fn hero(&self, web: &Web, pinned: bool, now: Timestamp) -> Option<AlarmView> {
        let entry = self.hero.as_ref()?;
        let Record::Alarm(alarm) = &entry.record else { return None };
        let view = match self.groups.first().filter(|_| !pinned) {
            Some(group) => AlarmView::of_group(group, now)?,
            None => AlarmView::new(alarm, now),
        };
        let delivery = delivery(&web.deliveries(entry, &self.parked));
        Some(AlarmView { delivery, request: self.request, reviewed: self.reviewed, ..view })
    }
}
