//! The page of one device: pictures, states, alarms, findings, settings in force, and forms to change it.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;

use super::super::alarm::{AlarmView, Group, grouped, mark_ongoing, offset_words};
use super::super::finding::FindingView;
use super::super::frame::{Chip, Frame, Tab};
use super::super::html;
use super::mute::{MuteSpan, MuteView, SPANS};
use super::row::{Faults, health, kind, states};
use super::{alarms, name_of, today};
use crate::model::{Mode, Source};
use crate::outbox::Reader;
use crate::outbox::history::DeviceState;
use crate::web::filters;
use crate::web::pages::frame::moment::Moment;
use crate::web::texts::{fill_two, tr, tr_any};
use crate::web::{Problem, Setting, Web};

/// Number of alarms read for the page.
const READ_ALARMS: usize = 80;
/// Number of alarm groups on the page.
const MAX_GROUPS: usize = 12;

/// The page.
#[derive(Debug, Template)]
#[template(path = "device.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    source: String,
    name: String,
    /// The name given on the page.
    renamed: String,
    area: String,
    hold: String,
    health: Chip,
    on: Vec<Chip>,
    facts: Vec<(&'static str, String)>,
    parent: Option<(String, String)>,
    heard: Moment,
    first: Moment,
    hero: Option<AlarmView>,
    alarms: Vec<AlarmView>,
    kinds: Vec<KindView>,
    mutes: Vec<MuteView>,
    spans: &'static [MuteSpan],
    settings: Vec<Setting>,
    findings: Vec<FindingView>,
}

/// A kind that the device has sent.
#[derive(Debug)]
struct KindView {
    event: String,
    title: String,
    state: Chip,
    clearable: bool,
}

/// Data the page is made from.
struct Found {
    state: DeviceState,
    groups: Vec<Group>,
    today: u64,
    parent: Option<(String, String)>,
}

/// Answers with the page.
pub(in crate::web::pages) async fn page(
    State(web): State<Web>,
    frame: Frame,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let missing = || Problem::not_found("device of this source");
    let source = Source::from_known(&text).ok_or_else(missing)?;
    let found = web.read(move |reader| Found::read(reader, &source, now)).await?.ok_or_else(missing)?;
    let Found { state, groups, .. } = &found;
    let device = &state.device;
    let of_it = |subject: &str| subject == device.source.as_str();
    let findings = web.findings.list();
    let faults = Faults::of(&findings);
    let alarms: Vec<AlarmView> = groups.iter().filter_map(|group| AlarmView::of_group(group, now)).collect();
    let pictured = groups.iter().find(|group| group.shown.picture().is_some()).or(groups.first());
    let heard = Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard);
    let page = Page {
        source: device.source.to_string(),
        name: name_of(state),
        renamed: device.renamed.clone().unwrap_or_default(),
        area: device.area.clone().unwrap_or_default(),
        hold: device.hold_seconds.map(|hold| hold.to_string()).unwrap_or_default(),
        health: health(state, &faults).1,
        on: states(state),
        facts: facts(state, found.today),
        parent: found.parent.clone(),
        heard: Moment::new(heard, now),
        first: Moment::new(device.first_heard, now),
        hero: pictured.and_then(|group| AlarmView::of_group(group, now)),
        alarms,
        kinds: kinds(state),
        mutes: device.mutes.at(now).map(|mute| MuteView::new(mute, now)).collect(),
        spans: &SPANS,
        settings: web.bridge.device_settings(device),
        findings: findings
            .into_iter()
            .filter(|finding| of_it(&finding.subject))
            .map(|finding| FindingView::new(finding, now))
            .collect(),
        frame: frame.of(Tab::Devices).titled(name_of(state)),
    };
    html(&page)
}

impl Found {
    fn read(reader: &mut Reader, source: &Source, now: Timestamp) -> rusqlite::Result<Option<Self>> {
        let Some(state) = reader.device(source)? else { return Ok(None) };
        let (mut groups, _) = grouped(alarms(reader, source, READ_ALARMS)?, MAX_GROUPS);
        mark_ongoing(&mut groups, reader)?;
        let counts: HashMap<Source, u64> = today(reader, now)?;
        let parent = match &state.device.parent {
            None => None,
            Some(parent) => {
                let known = reader.device(parent)?;
                Some((parent.to_string(), known.map_or_else(|| parent.to_string(), |state| name_of(&state))))
            }
        };
        Ok(Some(Self { today: counts.get(source).copied().unwrap_or(0), state, groups, parent }))
    }
}

/// Properties of a device in words; unknown ones are left out.
fn facts(state: &DeviceState, today: u64) -> Vec<(&'static str, String)> {
    let device = &state.device;
    let away = device
        .available
        .as_ref()
        .map(|(there, why)| format!("{}: {why}", if *there { tr("reachable") } else { tr("not reachable") }));
    let facts = [
        (tr("Kind"), Some(kind(device.kind).to_owned())),
        (tr("Maker"), Some(device.vendor.clone()).filter(|vendor| !vendor.is_empty())),
        ("MAC", device.mac.map(|mac| mac.to_string())),
        (tr("Address"), device.ip.clone()),
        (tr("Channel"), device.channel.map(|channel| channel.to_string())),
        (tr("Own name"), device.channel_name.clone().or_else(|| device.reported_name.clone())),
        (tr("Clock"), Some(device.clock_offset_ms.map_or_else(|| tr("sends no time").into(), offset_words))),
        (tr("Reachable"), away),
        (tr("Alarms"), Some(fill_two("{} in all, {} today", device.alarms, today))),
        (
            "Home Assistant",
            device.hidden.then(|| tr("deleted there; announced again with the next alarm").into()),
        ),
    ];
    facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
}

/// Kinds it has sent, with their states.
fn kinds(state: &DeviceState) -> Vec<KindView> {
    let view = |seen: &crate::model::value::KindSeen| {
        let on = state.ongoing.contains(&seen.event);
        let chip = match (seen.event.mode(), on) {
            (Mode::Moment, _) => Chip::new("", tr("no state")),
            (Mode::Fault, true) => Chip::new("bad", tr("on")),
            (Mode::Activity, true) => Chip::new("warn", tr("on")),
            (_, false) => Chip::new("", tr("off")),
        };
        KindView {
            event: seen.event.to_string(),
            title: tr_any(&seen.event.title()),
            state: chip,
            clearable: on,
        }
    };
    state.device.kinds.iter().map(view).collect()
}
