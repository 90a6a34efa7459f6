//! Alarms: time, kind, activity, and the values that change.

use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;

use super::admission::Admitted;
use super::{EARLIEST_TIME, Ledger, RENEW_INTERVAL};
use crate::activity::{ActivityKey, ActivityStep, AlarmFacts, Now};
use crate::findings::FindingCode;
use crate::model::record::{ActivityPhase, AlarmRecord, BestSnapshot, SnapshotProblem, SnapshotRecord};
use crate::model::time::clock::{ReceiptContext, Resolved, ZoneSetting, advice, resolve};
use crate::model::value::What;
use crate::model::{Alarm, EventName, Mode, Phase, Record, bound, request_id};
use crate::outbox::Submission;
use crate::outbox::effects::Effects;
use crate::outbox::state::device::Device;
use crate::outbox::state::value::{ValueContent, ValueKey};

/// A stored report whose alarms are being applied.
pub(super) struct StoredReport<'a> {
    /// The report.
    pub(super) submission: &'a Submission,
    /// Its pictures, as they are stored.
    pub(super) pictures: &'a [SnapshotRecord],
    /// Time of receipt.
    pub(super) at: Now,
    /// Number of its alarms that were applied before this one.
    pub(super) before: usize,
    /// The alarm was published before, and this brings its picture.
    pub(super) adds_picture: bool,
    /// Identifier for the alarm, if it is already assigned.
    pub(super) given: Option<Uuid>,
    /// Later ones of its source are decided: it changes no value.
    pub(super) late: bool,
}

/// Values that an alarm changes besides the latest alarm.
#[derive(Debug, Clone, Copy)]
struct Changes {
    /// The `device` value or the announcement changed.
    shown: bool,
    /// The number of objects changed.
    recount: bool,
    /// No value changes.
    late: bool,
}

impl Ledger {
    /// Commits an alarm of an admitted device. Returns its identifier.
    pub(super) fn alarm(
        &mut self,
        alarm: Alarm,
        admitted: &Admitted,
        report: &StoredReport<'_>,
        effects: &mut Effects,
    ) -> Option<Uuid> {
        let mut device = self.devices.remove(&admitted.source)?;
        let resolved = self.time_of(&alarm, admitted, report, &mut device);
        let event = self.bounded_kind(&device, &alarm.event);
        let snapshot = self.snapshot_of(&alarm, admitted, report);
        let heard_before_ms = device.last_heard_ms;
        let changed = refresh(&mut device, &alarm, admitted, report.submission, &resolved);
        if self.settings.clustered {
            device.last_heard_ms = device.last_heard_ms.max(heard_before_ms);
        }
        self.highest_seq = self.highest_seq.max(device.seq);
        let has_picture = snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some());
        let changed = device.note_kind(&event, has_picture, alarm.count.is_some()) || changed;
        let id = report.given.unwrap_or_else(|| request_id::alarm(report.submission.id, report.before));
        let key = ActivityKey { source: admitted.source.clone(), event: event.clone() };
        let best = snapshot.clone().map(|snapshot| BestSnapshot { alarm: id, snapshot });
        self.over.remove(&key);
        let received_at = report.submission.received_at;
        let is_past = report.late && self.activities.get(&key).is_none_or(|of| received_at < of.started);
        let step = self.step(&key, admitted, report.at, (&alarm, device.hold_seconds, is_past), best);
        let mut record = AlarmRecord {
            id,
            seq: device.seq,
            event,
            event_raw: alarm.event_raw,
            phase: step.phase,
            repeat: step.repeat,
            activity_id: step.activity_id,
            source: admitted.source.clone(),
            device: device.record(self.name_of(&device, admitted.settings.as_ref())),
            time: resolved.time,
            time_raw: alarm.time_raw,
            time_source: resolved.source,
            received_at: report.submission.received_at,
            clock_offset_ms: resolved.clock_offset_ms,
            count: alarm.count,
            regions: alarm.regions,
            boxes: alarm.boxes,
            details: alarm.details,
            snapshot,
            extra: alarm.extra,
            truncated: alarm.truncated,
            muted: device.mutes.cover(&key.event, report.submission.received_at),
            adds_picture: report.adds_picture,
        };
        bound::bound(&mut record);
        self.devices.insert(admitted.source.clone(), device);
        let changes = Changes { shown: changed, recount: step.recount, late: report.late };
        self.apply_alarm(record, &key, changes, admitted, report.at, effects);
        Some(id)
    }

    /// Adds the entry of an alarm, its values, and the changes to its device and activity.
    fn apply_alarm(
        &mut self,
        record: AlarmRecord,
        key: &ActivityKey,
        changes: Changes,
        admitted: &Admitted,
        at: Now,
        effects: &mut Effects,
    ) {
        let Some(no) = self.devices.get(&admitted.source).map(|device| device.no) else { return };
        let starts = record.phase == Phase::Start;
        if changes.late {
            let phase = record.phase;
            self.keep_activity(key.clone(), phase, effects);
            self.entry(Record::Alarm(Arc::new(record)), no, at.mono, self.run, effects);
            self.keep_device(&admitted.source, effects);
            return;
        }
        if changes.shown && admitted.announced {
            self.announce(&admitted.source, effects);
        }
        self.publish(record, no, changes.recount, at, effects);
        let stale = |last: &std::time::Duration| RENEW_INTERVAL <= at.mono.saturating_sub(*last);
        if changes.shown || self.renewed.get(&no).is_none_or(stale) {
            self.renewed.insert(no, at.mono);
            self.device_value(&admitted.source, effects);
            self.keep_device(&admitted.source, effects);
        } else {
            self.keep_counters(&admitted.source, effects);
        }
        if starts {
            self.activity_record(key, ActivityPhase::Start, None, at, self.run, effects);
        }
    }

    /// Time of an alarm: by the device's clock, if that is plausible.
    fn time_of(
        &self,
        alarm: &Alarm,
        admitted: &Admitted,
        report: &StoredReport<'_>,
        device: &mut Device,
    ) -> Resolved {
        let identity = &admitted.identity;
        let zone = self.settings.zone_of(
            &admitted.source,
            identity.before.as_ref(),
            report.submission.zone.as_ref(),
        );
        let receipt = ReceiptContext {
            at: report.submission.received_at,
            zone: self.settings.bridge_zone.clone(),
            trusted: EARLIEST_TIME < report.at.wall.as_second(),
            // A report sent again after an outage may be of any time.
            max_skew: if is_late(alarm) { SignedDuration::MAX } else { self.settings.max_skew },
        };
        // Its time says nothing of the zone then.
        let zone = match zone {
            ZoneSetting::Auto if is_late(alarm) => {
                ZoneSetting::Fixed(device.zone.in_use().unwrap_or_else(|| receipt.zone.clone()))
            }
            zone => zone,
        };
        let resolved = resolve(alarm.time_raw.as_deref(), &zone, &mut device.zone, &receipt);
        self.clock_finding(device, &resolved, alarm, &receipt);
        self.picture_finding(device, alarm);
        resolved
    }

    /// Raises a finding when a device that usually sends pictures sends none.
    fn picture_finding(&self, device: &mut Device, alarm: &Alarm) {
        let (source, pictured) = (device.source.as_str(), alarm.picture.is_some());
        if pictured {
            self.findings.settle(FindingCode::PictureMissing, source);
        } else if device.pictured {
            let detail =
                format!("{source} sent {} without a picture, and the one before had one", alarm.event);
            self.findings.raise(FindingCode::PictureMissing, source, &detail);
        }
        device.pictured = pictured;
    }

    /// Picture of an alarm, if pictures of the device are wanted.
    fn snapshot_of(
        &self,
        alarm: &Alarm,
        admitted: &Admitted,
        report: &StoredReport<'_>,
    ) -> Option<SnapshotRecord> {
        let (settings, device) =
            (&self.settings.snapshots, admitted.settings.as_ref().and_then(|of| of.snapshots));
        let off = settings.events_off.iter().any(|kind| kind == alarm.event.as_str());
        let wanted = settings.enabled && device != Some(false) && !off;
        let snapshot = alarm.picture.filter(|_| wanted).and_then(|index| report.pictures.get(index))?;
        if settings.max_bytes.is_some_and(|most| most.0 < snapshot.bytes) {
            let problem = snapshot.problem.or(Some(SnapshotProblem::TooLarge));
            let (width, height) = (None, None);
            return Some(SnapshotRecord {
                picture: None,
                sha256: None,
                width,
                height,
                problem,
                ..snapshot.clone()
            });
        }
        Some(snapshot.clone())
    }

    /// Applies an alarm to its activity.
    fn step(
        &mut self,
        key: &ActivityKey,
        admitted: &Admitted,
        at: Now,
        (alarm, hold_seconds, is_past): (&Alarm, Option<u64>, bool),
        snapshot: Option<BestSnapshot>,
    ) -> ActivityStep {
        let facts = AlarmFacts {
            // A report sent again after an outage describes an activity that is over.
            mode: if is_past || is_late(alarm) { Mode::Moment } else { key.event.mode() },
            hold: self.settings.hold(&key.event, admitted.settings.as_ref(), hold_seconds),
            activity_id: Uuid::now_v7(),
            at,
            count: alarm.count,
            snapshot,
        };
        self.activities.alarm(key, &facts)
    }

    /// Raises a finding when the clock of a device is wrong, and settles it when it is correct.
    fn clock_finding(&self, device: &Device, resolved: &Resolved, alarm: &Alarm, receipt: &ReceiptContext) {
        let subject = device.source.as_str();
        if resolved.misfit {
            let raw = alarm.time_raw.as_deref().unwrap_or_default();
            let detail = format!("the clock of {subject} says {raw:?}, {}", advice(raw, resolved, receipt));
            self.findings.raise(FindingCode::DeviceClock, subject, &detail);
        } else if resolved.clock_offset_ms.is_some() {
            self.findings.settle(FindingCode::DeviceClock, subject);
        }
    }

    /// Kind of an alarm; `other` past the bound on kinds of one source.
    fn bounded_kind(&self, device: &Device, event: &EventName) -> EventName {
        let known = device.kinds.iter().any(|kind| kind.event == *event);
        if known || device.kinds.len() < self.settings.limits.kinds_per_source {
            return event.clone();
        }
        self.findings.raise(
            FindingCode::KindsFull,
            device.source.as_str(),
            &format!("{} sent one more kind: {event}", device.source),
        );
        EventName::new("other")
    }

    /// Adds the entry of an alarm and the values it changes, in the order in which subscribers see them.
    fn publish(
        &mut self,
        record: AlarmRecord,
        source_no: i64,
        recount: bool,
        at: Now,
        effects: &mut Effects,
    ) {
        let entry_no = self.next_no;
        let record = Arc::new(record);
        let event = Some(record.event.clone());
        let mut values: Vec<(What, Option<EventName>)> = Vec::new();
        if record.snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some()) {
            values.extend([(What::SnapshotInfo, event.clone()), (What::Snapshot, event.clone())]);
            values.extend([(What::SnapshotInfo, None), (What::Snapshot, None)]);
        }
        for (what, event) in values {
            let key = ValueKey { source_no, what, event };
            self.value(key, &record.source, ValueContent::Alarm(entry_no, Arc::clone(&record)), effects);
        }
        self.latest_alarm(entry_no, source_no, &record, effects);
        let mut text = |what, text: String| {
            let key = ValueKey { source_no, what, event: event.clone() };
            self.value(key, &record.source, ValueContent::Text(text), effects);
        };
        if record.phase == Phase::Start {
            text(What::State, "ON".into());
        }
        if let Some(count) = record.count.filter(|_| recount) {
            text(What::Count, count.to_string());
        }
        let key = ActivityKey { source: record.source.clone(), event: record.event.clone() };
        self.keep_activity(key, record.phase, effects);
        self.entry(Record::Alarm(record), source_no, at.mono, self.run, effects);
    }

    /// Sets the latest alarm of a source.
    pub(super) fn latest_alarm(
        &mut self,
        entry_no: i64,
        source_no: i64,
        alarm: &Arc<AlarmRecord>,
        effects: &mut Effects,
    ) {
        let key = ValueKey { source_no, what: What::Last, event: None };
        self.value(key, &alarm.source, ValueContent::Alarm(entry_no, Arc::clone(alarm)), effects);
    }

    /// Writes the activity of an alarm, if there is one.
    pub(super) fn keep_activity(&self, key: ActivityKey, phase: Phase, effects: &mut Effects) {
        let Some(ongoing) = self.activities.get(&key).cloned() else { return };
        if phase == Phase::Start || effects.state.activities.contains_key(&key) {
            effects.state.activities.insert(key, Some(ongoing));
        } else {
            effects.state.repeats.insert(key, ongoing);
        }
    }
}

/// Returns whether a device sent an alarm again after an outage.
fn is_late(alarm: &Alarm) -> bool {
    alarm.details.get("late").is_some_and(|late| late == true)
}

/// Updates the device from a report, and counts the alarm. Returns whether a published value changed.
fn refresh(
    device: &mut Device,
    alarm: &Alarm,
    admitted: &Admitted,
    submission: &Submission,
    resolved: &Resolved,
) -> bool {
    let shown = |device: &Device| {
        let (name, channel) = (device.reported_name.clone(), device.channel_name.clone());
        (name, channel, device.model.clone(), device.ip.clone(), device.hidden)
    };
    let before = shown(device);
    let reported = &alarm.device;
    device.count(device.seq + 1, submission.received_at);
    device.ip = reported.ip.clone().or_else(|| Some(submission.peer.to_canonical().to_string()));
    if admitted.announced {
        device.mac = admitted.identity.mac.or(device.mac);
        device.reported_name = reported.name.clone().or(device.reported_name.take());
        device.channel_name = reported.channel_name.clone().or(device.channel_name.take());
        device.model = reported.model.clone().or(device.model.take());
        device.hidden = false;
    }
    device.clock_offset_ms = resolved.clock_offset_ms.or(device.clock_offset_ms);
    before != shown(device)
}
