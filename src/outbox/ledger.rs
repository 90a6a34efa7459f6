//! The books: devices, numbers, activities. Turns what comes in into [`Effects`]; no I/O, no clock of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Submission;
use super::device::Device;
use super::effects::{Effects, Entry, Held, PictureRow, Value, ValueKey};
use super::settings::{Settings, shown};
use crate::activity::{Activities, Ended, Facts, Key, Now};
use crate::config::DeviceSettings;
use crate::findings::Findings;
use crate::model::clock::{Receipt, Resolved, resolve};
use crate::model::identity::{Identity, identify};
use crate::model::record::{
    ActivityPhase, ActivityRecord, AlarmRecord, BestSnapshot, DeviceRecord, SnapshotProblem, SnapshotRecord,
};
use crate::model::status::DeviceStatus;
use crate::model::value::What;
use crate::model::{Alarm, DeviceKind, EventName, Phase, Picture, Record, Source, bound};

/// No bridge ran before this; a clock that says so is not set yet, and no zone is learned from it.
const BUILT: i64 = 1_795_000_000;
/// How often an unchanged device value is renewed for its `last_heard`.
const RENEW: Duration = Duration::from_secs(60);

/// Devices, numbers and activities.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) settings: Arc<Settings>,
    pub(crate) findings: Findings,
    pub(crate) devices: HashMap<Source, Device>,
    pub(crate) activities: Activities,
    pub(crate) next_no: i64,
    pub(crate) next_version: i64,
    pub(crate) next_device: i64,
    /// This run of the process, for the monotonic receipt times of entries.
    pub(crate) run: i64,
    renewed: HashMap<i64, Duration>,
    newcomers: VecDeque<Duration>,
}

/// Who an alarm is of, made out and admitted.
struct Admitted {
    source: Source,
    settings: Option<DeviceSettings>,
    announced: bool,
}

impl Ledger {
    /// Empty books.
    pub(crate) fn new(settings: Arc<Settings>, findings: Findings, run: i64) -> Self {
        Self {
            settings,
            findings,
            devices: HashMap::new(),
            activities: Activities::default(),
            next_no: 1,
            next_version: 1,
            next_device: 1,
            run,
            renewed: HashMap::new(),
            newcomers: VecDeque::new(),
        }
    }

    /// Takes a report in; the identifiers of its alarms, in order.
    pub(crate) fn submit(
        &mut self,
        submission: &Submission,
        stored: &[Option<Uuid>],
        at: Now,
        effects: &mut Effects,
    ) -> Vec<Uuid> {
        let pictures = pictures(submission, stored, effects);
        let mut ids = Vec::with_capacity(submission.alarms.len());
        for alarm in &submission.alarms {
            let settings = Arc::clone(&self.settings);
            let identity = identify(&alarm.device, submission.peer, |key| settings.alias(key));
            let Some(admitted) = self.admit(&identity, alarm, at, effects) else { continue };
            let id = Uuid::now_v7();
            self.alarm(id, alarm, &admitted, &identity, submission, &pictures, at, effects);
            ids.push(id);
        }
        ids
    }

    /// Finds or makes the device of an alarm; `None` if its alarms are switched off.
    fn admit(
        &mut self,
        identity: &Identity,
        alarm: &Alarm,
        at: Now,
        effects: &mut Effects,
    ) -> Option<Admitted> {
        let settings =
            self.settings.device(&identity.source, identity.mac, identity.before.as_ref()).cloned();
        if settings.as_ref().and_then(|settings| settings.enabled) == Some(false) {
            return None;
        }
        if let Some(before) = identity.before.clone().filter(|before| self.devices.contains_key(before)) {
            self.remove(&before, effects);
        }
        if let Some(parent) = identity.parent.clone().filter(|parent| !self.devices.contains_key(parent)) {
            let of_box = Identity {
                source: parent,
                parent: None,
                mac: alarm.device.mac,
                kind: DeviceKind::Recorder,
                before: None,
            };
            if self.room(&of_box, at) {
                self.make(&of_box, alarm, at);
                self.announce(&of_box.source.clone(), effects);
            }
        }
        let announced = self.devices.contains_key(&identity.source) || self.room(identity, at);
        if !announced {
            let unlisted = Identity {
                source: Source::unlisted(),
                parent: None,
                mac: None,
                kind: DeviceKind::Camera,
                before: None,
            };
            if !self.devices.contains_key(&unlisted.source) {
                self.make(&unlisted, alarm, at);
            }
            return Some(Admitted { source: unlisted.source, settings: None, announced: false });
        }
        if !self.devices.contains_key(&identity.source) {
            self.make(identity, alarm, at);
        }
        Some(Admitted { source: identity.source.clone(), settings, announced: true })
    }

    /// Whether the bounds leave room for one more source. Channels of a known recorder do not count.
    fn room(&mut self, identity: &Identity, at: Now) -> bool {
        if identity.parent.as_ref().is_some_and(|parent| self.devices.contains_key(parent)) {
            return true;
        }
        while self
            .newcomers
            .front()
            .is_some_and(|first| Duration::from_secs(3_600) <= at.mono.saturating_sub(*first))
        {
            self.newcomers.pop_front();
        }
        let limits = &self.settings.limits;
        let room = self.devices.len() < limits.sources && self.newcomers.len() < limits.new_sources_per_hour;
        if room {
            self.newcomers.push_back(at.mono);
        } else {
            let detail = format!(
                "{} sources are known, {} of them new in this hour",
                self.devices.len(),
                self.newcomers.len()
            );
            self.findings.raise("sources_full", "unlisted", &detail);
        }
        room
    }

    /// Makes a device. Its numbers start at the time of day, so that they never run backward.
    fn make(&mut self, identity: &Identity, alarm: &Alarm, at: Now) {
        let device = Device {
            parent: identity.parent.clone(),
            mac: identity.mac,
            vendor: alarm.device.vendor.to_owned(),
            kind: identity.kind,
            channel: if identity.kind == DeviceKind::Recorder {
                None
            } else {
                alarm.device.channel.or(Some(1))
            },
            reported_name: alarm.device.name.clone(),
            channel_name: alarm.device.channel_name.clone(),
            hidden: false,
            ..Device::unheard(self.next_device, identity.source.clone(), at.wall)
        };
        self.next_device += 1;
        self.devices.insert(identity.source.clone(), device);
    }

    /// Commits one alarm of an admitted device.
    #[expect(clippy::too_many_arguments, reason = "each is a different part of one report")]
    fn alarm(
        &mut self,
        id: Uuid,
        alarm: &Alarm,
        admitted: &Admitted,
        identity: &Identity,
        submission: &Submission,
        pictures: &[SnapshotRecord],
        at: Now,
        effects: &mut Effects,
    ) {
        let settings = Arc::clone(&self.settings);
        let Some(mut device) = self.devices.remove(&admitted.source) else { return };
        let zone = settings.zone_of(
            &admitted.source,
            identity.mac,
            identity.before.as_ref(),
            submission.zone.as_ref(),
        );
        let receipt = Receipt {
            at: submission.received_at,
            zone: settings.bridge_zone.clone(),
            trusted: BUILT < at.wall.as_second(),
            max_skew: settings.max_skew,
        };
        let resolved = resolve(alarm.time_raw.as_deref(), &zone, &mut device.zone, &receipt);
        self.clock_finding(&device, &resolved, alarm);
        let event = self.bounded_kind(&device, &alarm.event);
        let changed = refresh(&mut device, alarm, identity, submission, &resolved, admitted);
        self.note_alarm(&mut device, alarm, submission.received_at);
        let wants =
            settings.snapshots && admitted.settings.as_ref().and_then(|of| of.snapshots) != Some(false);
        let snapshot = alarm.picture.filter(|_| wants).and_then(|index| pictures.get(index)).cloned();
        let has_picture = snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some());
        let new_kind = device.saw(&event, has_picture, alarm.count.is_some());
        let name = self.name_of(&device, admitted.settings.as_ref());
        let key = Key { source: admitted.source.clone(), event: event.clone() };
        let step = self.activities.alarm(
            &key,
            &Facts {
                mode: event.mode(),
                hold: settings.hold(&event, admitted.settings.as_ref()),
                activity_id: Uuid::now_v7(),
                at,
                count: alarm.count,
                snapshot: snapshot.clone().map(|snapshot| BestSnapshot { alarm: id, snapshot }),
            },
        );
        let mut record = AlarmRecord {
            id,
            seq: device.seq,
            event,
            event_raw: alarm.event_raw.clone(),
            phase: step.phase,
            repeat: step.repeat,
            activity_id: step.activity_id,
            source: admitted.source.clone(),
            device: device.record(name),
            time: resolved.time,
            time_raw: alarm.time_raw.clone(),
            time_source: resolved.source,
            received_at: submission.received_at,
            clock_offset_ms: resolved.clock_offset_ms,
            count: alarm.count,
            regions: alarm.regions.clone(),
            boxes: alarm.boxes.clone(),
            snapshot,
            extra: alarm.extra.clone(),
            truncated: alarm.truncated,
        };
        bound::bound(&mut record);
        let no = device.no;
        let heard = changed
            || new_kind
            || self.renewed.get(&no).is_none_or(|last| RENEW <= at.mono.saturating_sub(*last));
        self.devices.insert(admitted.source.clone(), device);
        if (new_kind || changed) && admitted.announced {
            self.announce(&admitted.source, effects);
        }
        self.publish(record, no, at, effects);
        if heard {
            self.renewed.insert(no, at.mono);
            self.device_value(&admitted.source, effects);
        }
        self.keep_device(&admitted.source, effects);
        if step.phase == Phase::Start {
            self.activity_record(&key, ActivityPhase::Start, None, at, self.run, effects);
        }
    }

    /// Counts an alarm, and says when a device that sends pictures sends none.
    fn note_alarm(&self, device: &mut Device, alarm: &Alarm, at: Timestamp) {
        let source = device.source.as_str();
        if 0 < device.alarms {
            device.habit.heard((at.as_millisecond() - device.last_heard_ms).max(0).unsigned_abs() / 1_000);
        }
        device.seq += 1;
        device.alarms += 1;
        device.last_heard_ms = at.as_millisecond();
        let pictured = alarm.picture.is_some();
        if device.pictured && !pictured {
            let detail =
                format!("{source} sent {} without a picture, and the one before had one", alarm.event);
            self.findings.raise("picture_missing", source, &detail);
        } else if pictured {
            self.findings.settle("picture_missing", source);
        }
        device.pictured = pictured;
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

    /// The name to show.
    pub(crate) fn name_of(&self, device: &Device, settings: Option<&DeviceSettings>) -> String {
        let parent = device.parent.as_ref().and_then(|parent| self.devices.get(parent)).map(|parent| {
            let settings = self.settings.device(&parent.source, parent.mac, None);
            parent.name(settings.and_then(|of| of.name.as_deref()), None)
        });
        device.name(settings.and_then(|of| of.name.as_deref()), parent.as_deref())
    }

    /// The entry of an alarm and the values it changes, in the order subscribers see them.
    fn publish(&mut self, record: AlarmRecord, source_no: i64, at: Now, effects: &mut Effects) {
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
        if let Some(count) = record.count.filter(|_| record.phase != Phase::Once) {
            text(What::Count, count.to_string());
        }
        let key = Key { source: record.source.clone(), event: record.event.clone() };
        if let Some(ongoing) = self.activities.get(&key) {
            effects.activities.insert(key, Some(ongoing.clone()));
        }
        self.entry(
            Record::Alarm(Box::new(Arc::unwrap_or_clone(record))),
            source_no,
            at.mono,
            self.run,
            effects,
        );
    }

    /// Adds a row to the log.
    pub(crate) fn entry(
        &mut self,
        record: Record,
        source_no: i64,
        mono: Duration,
        run: i64,
        effects: &mut Effects,
    ) {
        let body = serde_json::to_string(&record).unwrap_or_default();
        let mono_ms = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX);
        effects.entries.push(Arc::new(Entry {
            no: self.next_no,
            source_no,
            run,
            mono_ms,
            record,
            body,
            again: None,
        }));
        self.next_no += 1;
    }

    /// Changes a current value.
    pub(crate) fn value(&mut self, key: ValueKey, source: &Source, held: Held, effects: &mut Effects) {
        let source = (key.source_no != 0).then(|| source.clone());
        let value = Value { version: self.next_version, source, held };
        self.next_version += 1;
        effects.values.insert(key, Some(Arc::new(value)));
    }

    /// Ends what has run out.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        for ended in self.activities.expire(now) {
            // An end that lay before this run is late by the wall clock; the monotonic one cannot tell.
            let late = SignedDuration::from_secs(2) < now.wall.duration_since(ended.ended);
            let run = if late { 0 } else { self.run };
            self.end(&ended, now, run, effects);
        }
    }

    /// OFF, zero, and the end record.
    pub(crate) fn end(&mut self, ended: &Ended, now: Now, run: i64, effects: &mut Effects) {
        effects.activities.insert(ended.key.clone(), None);
        let Some(device) = self.devices.get(&ended.key.source) else { return };
        let (source_no, source) = (device.no, device.source.clone());
        let event = Some(ended.key.event.clone());
        self.value(
            ValueKey { source_no, what: What::State, event: event.clone() },
            &source,
            Held::Text("OFF".into()),
            effects,
        );
        if ended.activity.count_max.is_some() {
            self.value(
                ValueKey { source_no, what: What::Count, event },
                &source,
                Held::Text("0".into()),
                effects,
            );
        }
        self.activity_record(&ended.key, ActivityPhase::End, Some(ended), now, run, effects);
    }

    /// The start or end record of an activity.
    fn activity_record(
        &mut self,
        key: &Key,
        phase: ActivityPhase,
        ended: Option<&Ended>,
        at: Now,
        run: i64,
        effects: &mut Effects,
    ) {
        let Some(ongoing) = ended.map(|ended| &ended.activity).or_else(|| self.activities.get(key)).cloned()
        else {
            return;
        };
        let Some((device, source_no)) = self.device_record(&key.source) else { return };
        let record = ActivityRecord {
            id: Uuid::now_v7(),
            activity_id: ongoing.activity_id,
            event: key.event.clone(),
            source: key.source.clone(),
            device,
            phase,
            started: ongoing.started,
            ended: ended.map(|ended| ended.ended),
            alarms: ongoing.alarms,
            count_max: ongoing.count_max,
            snapshot: ongoing.best.map(|(_, best)| best),
        };
        self.entry(Record::Activity(Box::new(record)), source_no, at.mono, run, effects);
    }

    /// A device as records carry it, and its number.
    pub(crate) fn device_record(&self, source: &Source) -> Option<(DeviceRecord, i64)> {
        let device = self.devices.get(source)?;
        let settings = self.settings.device(source, device.mac, None);
        Some((device.record(self.name_of(device, settings)), device.no))
    }

    /// Writes a device's row.
    pub(crate) fn keep_device(&self, source: &Source, effects: &mut Effects) {
        if let Some(device) = self.devices.get(source) {
            effects.devices.insert(device.no, Some(device.clone()));
        }
    }

    /// Announces a device, and its row.
    pub(crate) fn announce(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source).filter(|device| !device.hidden) else { return };
        let settings = self.settings.device(source, device.mac, None).cloned();
        let mut card = device.card(self.name_of(device, settings.as_ref()), &shown(settings.as_ref()));
        card.device.ip = None;
        let key = ValueKey { source_no: device.no, what: What::Discovery, event: None };
        let text = serde_json::to_string(&card).unwrap_or_default();
        self.value(key, source, Held::Text(text), effects);
        self.keep_device(source, effects);
        self.device_value(source, effects);
    }

    /// Renews the `device` value.
    pub(crate) fn device_value(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source) else { return };
        let settings = self.settings.device(source, device.mac, None);
        let status = DeviceStatus::new(
            &device.record(self.name_of(device, settings)),
            source,
            device.first_heard,
            Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard),
            device.clock_offset_ms,
            device.available.as_ref(),
        );
        let key = ValueKey { source_no: device.no, what: What::Device, event: None };
        let text = serde_json::to_string(&status).unwrap_or_default();
        self.value(key, source, Held::Text(text), effects);
    }

    /// Everything the books know, for a database begun anew.
    pub(crate) fn restate(&mut self, effects: &mut Effects) {
        let sources: Vec<Source> = self.devices.keys().cloned().collect();
        for source in &sources {
            self.announce(source, effects);
            self.keep_device(source, effects);
        }
        let ongoing: Vec<_> =
            self.activities.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone())).collect();
        for (key, ongoing) in ongoing {
            if let Some(source_no) = self.devices.get(&key.source).map(|device| device.no) {
                let value = ValueKey { source_no, what: What::State, event: Some(key.event.clone()) };
                self.value(value, &key.source, Held::Text("ON".into()), effects);
            }
            effects.activities.insert(key, Some(ongoing));
        }
    }

    /// The number of a source; one that is not known gets a row that is not announced.
    pub(crate) fn known_or_kept(&mut self, source: &Source, at: Timestamp, effects: &mut Effects) -> i64 {
        if let Some(device) = self.devices.get(source) {
            return device.no;
        }
        let device = Device::unheard(self.next_device, source.clone(), at);
        let no = device.no;
        self.next_device += 1;
        self.devices.insert(source.clone(), device);
        self.keep_device(source, effects);
        no
    }

    /// Forgets a device: its values go, so that every sink empties what it had retained of it.
    pub(crate) fn remove(&mut self, source: &Source, effects: &mut Effects) -> bool {
        let Some(device) = self.devices.remove(source) else { return false };
        let gone: Vec<Key> =
            self.activities.iter().map(|(key, _)| key.clone()).filter(|key| key.source == *source).collect();
        self.activities.forget(source);
        effects.activities.extend(gone.into_iter().map(|key| (key, None)));
        effects.values.retain(|key, _| key.source_no != device.no);
        effects.devices.insert(device.no, None);
        self.renewed.remove(&device.no);
        true
    }
}

/// Takes over what the report says of the device; says whether anything shown changed.
fn refresh(
    device: &mut Device,
    alarm: &Alarm,
    identity: &Identity,
    submission: &Submission,
    resolved: &Resolved,
    admitted: &Admitted,
) -> bool {
    let before =
        (device.reported_name.clone(), device.channel_name.clone(), device.ip.clone(), device.hidden);
    let reported = &alarm.device;
    device.ip = reported.ip.clone().or_else(|| Some(submission.peer.to_canonical().to_string()));
    if admitted.announced {
        device.mac = identity.mac.or(device.mac);
        device.reported_name = reported.name.clone().or(device.reported_name.take());
        device.channel_name = reported.channel_name.clone().or(device.channel_name.take());
        device.hidden = false;
    }
    device.clock_offset_ms = resolved.clock_offset_ms.or(device.clock_offset_ms);
    before != (device.reported_name.clone(), device.channel_name.clone(), device.ip.clone(), device.hidden)
}

/// The pictures of a report as the log refers to them.
fn pictures(submission: &Submission, stored: &[Option<Uuid>], effects: &mut Effects) -> Vec<SnapshotRecord> {
    let kept = |(picture, id): (&Picture, &Option<Uuid>)| SnapshotRecord {
        picture: *id,
        bytes: picture.bytes,
        sha256: picture.sha256.clone(),
        width: picture.dimensions.map(|size| size.width),
        height: picture.dimensions.map(|size| size.height),
        problem: picture.problem.or(if id.is_none() { Some(SnapshotProblem::Dropped) } else { None }),
    };
    for (picture, id) in submission.pictures.iter().zip(stored) {
        effects.pictures.extend(id.map(|id| PictureRow {
            id,
            at: submission.received_at,
            bytes: picture.bytes,
        }));
    }
    submission.pictures.iter().zip(stored).map(kept).collect()
}
