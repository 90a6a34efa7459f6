//! A row of the table of devices: identity, latest alarm, states, problems.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::alarm::AlarmView;
use super::super::frame::Chip;
use super::name_of;
use crate::findings::{Finding, Severity};
use crate::model::event::Mode;
use crate::model::{DeviceKind, Record, Source};
use crate::outbox::Entry;
use crate::outbox::history::DeviceState;
use crate::web::pages::frame::moment::Moment;
use crate::web::texts::{fill, fill_two, tr, tr_any};

/// Clock offset in milliseconds from which on a warning is shown.
const CLOCK_WARNING_MS: u64 = 60_000;

/// Worst finding of each subject with severity warning or error, and their number.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(HashMap<String, (Severity, &'static str, usize)>);

impl Faults {
    /// Collects them from findings that are sorted worst first.
    pub(super) fn of(findings: &[Finding]) -> Self {
        let mut found = HashMap::new();
        for finding in
            findings.iter().filter(|finding| finding.kind.severity != Severity::Info && !finding.dismissed)
        {
            let worst = (finding.kind.severity, finding.kind.title, 0);
            found.entry(finding.subject.clone()).or_insert(worst).2 += 1;
        }
        Self(found)
    }
}

/// A device in the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) source: String,
    pub(super) name: String,
    pub(super) facts: String,
    /// The latest alarm with a picture, else the latest.
    pub(super) picture: Option<AlarmView>,
    pub(super) last: Option<AlarmView>,
    pub(super) heard: Moment,
    pub(super) states: Vec<Chip>,
    pub(super) today: u64,
    pub(super) health: Chip,
}

impl Row {
    /// Row of a device from its latest alarms, newest first.
    pub(super) fn new(
        state: &DeviceState,
        alarms: &[Arc<Entry>],
        names: &HashMap<Source, String>,
        today: u64,
        faults: &Faults,
        now: Timestamp,
    ) -> Self {
        let device = &state.device;
        let view = |entry: &Arc<Entry>| match &entry.record {
            Record::Alarm(alarm) => Some(AlarmView::new(alarm, now)),
            Record::Activity(_) => None,
        };
        let views = || alarms.iter().filter_map(view);
        let heard = Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard);
        let parent = device.parent.as_ref();
        let parent = parent.map(|parent| names.get(parent).cloned().unwrap_or_else(|| parent.to_string()));
        let of = parent.map(|parent| match device.channel {
            Some(channel) => fill_two("channel {} of {}", channel, parent),
            None => fill("of {}", parent),
        });
        let facts = [Some(kind(device.kind).to_owned()), of, device.ip.clone()];
        Self {
            source: device.source.to_string(),
            name: name_of(state),
            facts: facts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            picture: views().find(|view| view.picture.is_some()),
            last: views().next(),
            heard: Moment::new(heard, now),
            states: states(state),
            today,
            health: health(state, faults).1,
        }
    }
}

/// Title of a kind of device.
pub(super) fn kind(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Camera => tr("Camera"),
        DeviceKind::Recorder => tr("Recorder"),
        DeviceKind::Channel => tr("Channel"),
    }
}

/// Chips of the states that are on.
pub(super) fn states(state: &DeviceState) -> Vec<Chip> {
    let chip = |event: &crate::model::EventName| {
        let tone = if event.mode() == Mode::Fault { "bad" } else { "warn" };
        Chip::new(tone, tr_any(&event.title()))
    };
    state.ongoing.iter().map(chip).collect()
}

/// Problems of a device in a few words, and their rank for sorting.
pub(super) fn health(state: &DeviceState, faults: &Faults) -> (u8, Chip) {
    let device = &state.device;
    let off = device.clock_offset_ms.is_some_and(|offset| CLOCK_WARNING_MS < offset.unsigned_abs());
    let found = faults.0.get(device.source.as_str());
    match (&device.available, found) {
        (Some((false, why)), _) => (4, Chip::new("bad", fill("Away: {}", why))),
        _ if state.ongoing.iter().any(|event| event.mode() == Mode::Fault) => {
            (3, Chip::new("bad", tr("Fault")))
        }
        (_, Some((Severity::Error, title, 1))) => (3, Chip::new("bad", *title)),
        _ if off && found.is_none_or(|(.., count)| *count < 2) => (2, Chip::new("warn", tr("Clock is off"))),
        (_, Some((severity, title, count))) => {
            let tone = if *severity == Severity::Error { "bad" } else { "warn" };
            let words = if *count == 1 { (*title).to_owned() } else { fill("{} findings", count) };
            (if tone == "bad" { 3 } else { 1 }, Chip::new(tone, words))
        }
        _ => (0, Chip::new("ok", "OK")),
    }
}
