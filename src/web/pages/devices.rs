//! The Devices page: when each was heard last, how its clock is, what goes on; rename, clear, remove.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::alarm::offset_words;
use super::frame::{Chip, Frame, Tab};
use super::html;
use super::moment::Moment;
use crate::model::DeviceKind;
use crate::model::event::Mode;
use crate::outbox::history::DeviceState;
use crate::web::{Ask, Problem, Web};

/// Devices on one page.
const SHOWN: usize = 60;
/// From so much on a clock is worth a warning, in milliseconds.
const OFF: u64 = 60_000;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Devices after this source.
    after: Option<String>,
    /// What was just done.
    done: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "devices.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    total: u64,
    devices: Vec<DeviceView>,
    after: Option<String>,
}

/// One device.
#[derive(Debug)]
struct DeviceView {
    source: String,
    name: String,
    mood: Chip,
    heard: Moment,
    alarms: u64,
    clock: String,
    kind: &'static str,
    identity: String,
    states: Vec<StateView>,
}

/// What of the value `device` is needed here.
#[derive(Deserialize)]
struct Published {
    name: String,
}

/// One kind it has sent.
#[derive(Debug)]
struct StateView {
    event: String,
    title: String,
    words: String,
    tone: &'static str,
    clearable: bool,
}

/// Answers with the page.
pub(super) async fn page(State(web): State<Web>, Ask(asked): Ask<Asked>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let after = asked.after.unwrap_or_default();
    let mut states = web.read(move |reader| reader.devices(&after, SHOWN + 1)).await?;
    let more = SHOWN < states.len();
    states.truncate(SHOWN);
    let devices: Vec<_> = states.iter().map(|state| DeviceView::new(state, now)).collect();
    let page = Page {
        frame: Frame::new(Tab::Devices, asked.done.as_deref(), &web.findings, now),
        total: web.outbox.counts().devices,
        after: devices.last().filter(|_| more).map(|device| device.source.clone()),
        devices,
    };
    html(&page)
}

impl DeviceView {
    fn new(state: &DeviceState, now: Timestamp) -> Self {
        let device = &state.device;
        let heard = Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard);
        let facts = [
            device.mac.map(|mac| mac.to_string()),
            device.ip.clone(),
            device.parent.as_ref().map(|parent| format!("of {parent}")),
            device.channel.filter(|_| device.parent.is_some()).map(|channel| format!("channel {channel}")),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        Self {
            source: device.source.to_string(),
            name: name_of(state),
            mood: mood(state),
            heard: Moment::new(heard, now),
            alarms: device.alarms,
            clock: device.clock_offset_ms.map_or_else(|| "it tells no time".into(), offset_words),
            kind: match device.kind {
                DeviceKind::Camera => "Camera",
                DeviceKind::Recorder => "Recorder",
                DeviceKind::Channel => "Channel",
            },
            identity: facts.join(", "),
            states: states(state),
        }
    }
}

/// The name a device is published under: what the configuration says is in there.
pub(super) fn name_of(state: &DeviceState) -> String {
    let published = state.published.as_deref().and_then(|text| serde_json::from_str::<Published>(text).ok());
    published.map_or_else(|| state.device.name(None, None), |published| published.name)
}

/// How a device is, in a few words.
fn mood(state: &DeviceState) -> Chip {
    let device = &state.device;
    let off = device.clock_offset_ms.is_some_and(|offset| OFF < offset.unsigned_abs());
    match &device.available {
        Some((false, why)) => Chip::new("bad", format!("Away: {why}")),
        _ if state.ongoing.iter().any(|event| event.mode() == Mode::Fault) => Chip::new("bad", "Fault"),
        _ if off => Chip::new("warn", "Clock is off"),
        _ if !state.ongoing.is_empty() => Chip::new("warn", "Alarm"),
        _ => Chip::new("ok", "Quiet"),
    }
}

/// What it has sent, and what of it goes on.
fn states(state: &DeviceState) -> Vec<StateView> {
    let view = |seen: &crate::model::value::KindSeen| {
        let (event, title) = (&seen.event, seen.event.title());
        let on = state.ongoing.contains(event);
        let (tone, words) = match (event.mode(), on) {
            (Mode::Moment, _) => ("", title.clone()),
            (Mode::Fault, true) => ("bad", format!("{title}: on")),
            (Mode::Activity, true) => ("warn", format!("{title}: on")),
            (_, false) => ("", format!("{title}: off")),
        };
        StateView { event: event.to_string(), title, words, tone, clearable: on }
    };
    state.device.kinds.iter().map(view).collect()
}
