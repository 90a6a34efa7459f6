//! One alarm on its way into the log: its time, its kind, its place in an activity, and the values it changes.

use std::sync::Arc;

use uuid::Uuid;

use super::admission::Admitted;
use super::{BUILT, Ledger, RENEW};
use crate::activity::{Facts, Key, Now, Step};
use crate::model::clock::{Receipt, Resolved, resolve};
use crate::model::record::{ActivityPhase, AlarmRecord, BestSnapshot, SnapshotProblem, SnapshotRecord};
use crate::model::value::What;
use crate::model::{Alarm, EventName, Phase, Record, bound, request_id};
use crate::outbox::Submission;
use crate::outbox::device::Device;
use crate::outbox::effects::{Effects, Held, ValueKey};

/// What the alarms of one report share.
pub(super) struct Report<'a> {
    pub(super) submission: &'a Submission,
    pub(super) pictures: &'a [SnapshotRecord],
    pub(super) at: Now,
    /// How many of its alarms were taken in before this one.
    pub(super) before: usize,
}

/// What an alarm changes besides the log.
#[derive(Debug, Clone, Copy)]
struct Changes {
    /// Something that is shown of the device.
    shown: bool,
    /// The number of objects.
    recount: bool,
}

impl Ledger {
    /// Commits one alarm of an admitted device; its identifier.
    pub(super) fn alarm(
        &mut self,
        alarm: Alarm,
        admitted: &Admitted,
        report: &Report<'_>,
        effects: &mut Effects,
    ) -> Option<Uuid> {
        let mut device = self.devices.remove(&admitted.source)?;
        let resolved = self.time_of(&alarm, admitted, report, &mut device);
        let event = self.bounded_kind(&device, &alarm.event);
        let snapshot = self.snapshot_of(&alarm, admitted, report);
        let changed = refresh(&mut device, &alarm, admitted, report.submission, &resolved);
        let has_picture = snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some());
        let changed = device.saw(&event, has_picture, alarm.count.is_some()) || changed;
        let id = request_id::alarm(report.submission.id, report.before);
        let key = Key { source: admitted.source.clone(), event: event.clone() };
        let best = snapshot.clone().map(|snapshot| BestSnapshot { alarm: id, snapshot });
        let step = self.step(&key, admitted, report.at, alarm.count, best);
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
            snapshot,
            extra: alarm.extra,
            truncated: alarm.truncated,
        };
        bound::bound(&mut record);
        self.devices.insert(admitted.source.clone(), device);
        let changes = Changes { shown: changed, recount: step.recount };
        self.take_in(record, &key, changes, admitted, report.at, effects);
        Some(id)
    }

    /// The record's entry and values, and what else changes with it.
    fn take_in(
        &mut self,
        record: AlarmRecord,
        key: &Key,
        changes: Changes,
        admitted: &Admitted,
        at: Now,
        effects: &mut Effects,
    ) {
        let Some(no) = self.devices.get(&admitted.source).map(|device| device.no) else { return };
        let starts = record.phase == Phase::Start;
        if changes.shown && admitted.announced {
            self.announce(&admitted.source, effects);
        }
        self.publish(record, no, changes.recount, at, effects);
        let stale = |last: &std::time::Duration| RENEW <= at.mono.saturating_sub(*last);
        if changes.shown || self.renewed.get(&no).is_none_or(stale) {
            self.renewed.insert(no, at.mono);
            self.device_value(&admitted.source, effects);
            self.keep_device(&admitted.source, effects);
        } else {
            self.keep_heard(&admitted.source, effects);
        }
        if starts {
            self.activity_record(key, ActivityPhase::Start, None, at, self.run, effects);
        }
    }

    /// When it was, by the device's clock if that can be believed.
    fn time_of(
        &self,
        alarm: &Alarm,
        admitted: &Admitted,
        report: &Report<'_>,
        device: &mut Device,
    ) -> Resolved {
        let identity = &admitted.identity;
        let zone = self.settings.zone_of(
            &admitted.source,
            identity.before.as_ref(),
            report.submission.zone.as_ref(),
        );
        let receipt = Receipt {
            at: report.submission.received_at,
            zone: self.settings.bridge_zone.clone(),
            trusted: BUILT < report.at.wall.as_second(),
            max_skew: self.settings.max_skew,
        };
        let resolved = resolve(alarm.time_raw.as_deref(), &zone, &mut device.zone, &receipt);
        self.clock_finding(device, &resolved, alarm);
        self.picture_finding(device, alarm);
        resolved
    }

    /// Says when a device that sends pictures sends none.
    fn picture_finding(&self, device: &mut Device, alarm: &Alarm) {
        let (source, pictured) = (device.source.as_str(), alarm.picture.is_some());
        if pictured {
            self.findings.settle("picture_missing", source);
        } else if device.pictured {
            let detail =
                format!("{source} sent {} without a picture, and the one before had one", alarm.event);
            self.findings.raise("picture_missing", source, &detail);
        }
        device.pictured = pictured;
    }

    /// Its picture, where pictures of this device are wanted.
    fn snapshot_of(&self, alarm: &Alarm, admitted: &Admitted, report: &Report<'_>) -> Option<SnapshotRecord> {
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

    /// Its place in its activity.
    fn step(
        &mut self,
        key: &Key,
        admitted: &Admitted,
        at: Now,
        count: Option<u32>,
        snapshot: Option<BestSnapshot>,
    ) -> Step {
        let facts = Facts {
            mode: key.event.mode(),
            hold: self.settings.hold(&key.event, admitted.settings.as_ref()),
            activity_id: Uuid::now_v7(),
            at,
            count,
            snapshot,
        };
        self.activities.alarm(key, &facts)
    }

    /// Says once what is wrong with a device's clock, and takes it back when it is well.
    fn clock_finding(&self, device: &Device, resolved: &Resolved, alarm: &Alarm) {
        let subject = device.source.as_str();
        if resolved.misfit {
            let offset = resolved.clock_offset_ms.unwrap_or(0) / 1_000;
            let raw = alarm.time_raw.as_deref().unwrap_or("");
            self.findings.raise(
                "device_clock",
                subject,
                &format!("{subject} says {raw:?}, {offset} s off in the zone it is read in"),
            );
        } else if resolved.clock_offset_ms.is_some() {
            self.findings.settle("device_clock", subject);
        }
    }

    /// The kind, or `other` past the bound on kinds of one source.
    fn bounded_kind(&self, device: &Device, event: &EventName) -> EventName {
        let known = device.kinds.iter().any(|kind| kind.event == *event);
        if known || device.kinds.len() < self.settings.limits.kinds_per_source {
            return event.clone();
        }
        self.findings.raise(
            "kinds_full",
            device.source.as_str(),
            &format!("{} sent one more kind: {event}", device.source),
        );
        EventName::new("other")
    }

    /// The entry of an alarm and the values it changes, in the order subscribers see them.
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
        values.push((What::Last, None));
        for (what, event) in values {
            let key = ValueKey { source_no, what, event };
            self.value(key, &record.source, Held::Alarm(entry_no, Arc::clone(&record)), effects);
        }
        let mut text = |what, text: String| {
            let key = ValueKey { source_no, what, event: event.clone() };
            self.value(key, &record.source, Held::Text(text), effects);
        };
        if record.phase == Phase::Start {
            text(What::State, "ON".into());
        }
        if let Some(count) = record.count.filter(|_| recount) {
            text(What::Count, count.to_string());
        }
        let key = Key { source: record.source.clone(), event: record.event.clone() };
        if let Some(ongoing) = self.activities.get(&key) {
            if record.phase == Phase::Start || effects.activities.contains_key(&key) {
                effects.activities.insert(key, Some(ongoing.clone()));
            } else {
                effects.repeats.insert(key, ongoing.clone());
            }
        }
        self.entry(Record::Alarm(record), source_no, at.mono, self.run, effects);
    }
}

/// Takes over what the report says of the device, and counts it; says whether anything shown changed.
fn refresh(
    device: &mut Device,
    alarm: &Alarm,
    admitted: &Admitted,
    submission: &Submission,
    resolved: &Resolved,
) -> bool {
    let shown = |device: &Device| {
        (device.reported_name.clone(), device.channel_name.clone(), device.ip.clone(), device.hidden)
    };
    let before = shown(device);
    let reported = &alarm.device;
    if 0 < device.alarms {
        let pause = submission.received_at.as_millisecond() - device.last_heard_ms;
        device.habit.heard(pause.max(0).unsigned_abs() / 1_000);
    }
    device.seq += 1;
    device.alarms += 1;
    device.last_heard_ms = submission.received_at.as_millisecond();
    device.ip = reported.ip.clone().or_else(|| Some(submission.peer.to_canonical().to_string()));
    if admitted.announced {
        device.mac = admitted.identity.mac.or(device.mac);
        device.reported_name = reported.name.clone().or(device.reported_name.take());
        device.channel_name = reported.channel_name.clone().or(device.channel_name.take());
        device.hidden = false;
    }
    device.clock_offset_ms = resolved.clock_offset_ms.or(device.clock_offset_ms);
    before != shown(device)
}
