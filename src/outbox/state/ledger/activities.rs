//! Starts and ends of activities: values and records.

use jiff::Timestamp;
use uuid::Uuid;

use super::Ledger;
use crate::activity::{ActivityKey, EndedActivity, Now};
use crate::findings::FindingCode;
use crate::model::record::{ActivityPhase, ActivityRecord};
use crate::model::value::What;
use crate::model::{EventName, Record, Source};
use crate::outbox::effects::Effects;
use crate::outbox::state::value::{ValueContent, ValueKey};

/// Maximum number of ends remembered.
const MAX_ENDED: usize = 16_384;

impl Ledger {
    /// Ends activities whose hold is over.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        for ended in self.activities.expire(now) {
            // An end before this run has no time on the monotonic clock of this run.
            let run = if ended.before { 0 } else { self.run };
            self.end(&ended, now, run, effects);
        }
        self.expire_mutes(now.wall, effects);
    }

    /// Ends the activity whose end a device reports. A repeated end changes nothing; an end without a start is
    /// counted. A late one, with its time of receipt, ends no activity that has alarms after it, and is not counted.
    pub(super) fn ended_by_device(
        &mut self,
        source: &Source,
        event: EventName,
        (now, late): (Now, Option<Timestamp>),
        effects: &mut Effects,
    ) {
        let key = ActivityKey { source: source.clone(), event };
        if late.is_some_and(|at| self.activities.get(&key).is_none_or(|of| at < of.last)) {
            return;
        }
        if let Some(ended) = self.activities.clear(&key, now) {
            self.end(&ended, now, self.run, effects);
        } else if !self.over.contains(&key) {
            self.ends_without_start.inc();
            let detail = format!("{source} says that {} is over, and no start of it came", key.event);
            self.findings.raise(FindingCode::EndWithoutStart, source.as_str(), &detail);
        }
        self.note_over(key);
    }

    /// Remembers that an activity has ended.
    fn note_over(&mut self, key: ActivityKey) {
        if self.over.len() < MAX_ENDED {
            self.over.insert(key);
        }
    }

    /// Ends an activity: state OFF, count 0, and the end record.
    pub(crate) fn end(&mut self, ended: &EndedActivity, now: Now, run: i64, effects: &mut Effects) {
        effects.state.repeats.remove(&ended.key);
        self.note_over(ended.key.clone());
        effects.state.activities.insert(ended.key.clone(), None);
        let Some(device) = self.devices.get(&ended.key.source) else { return };
        let (source_no, source) = (device.no, device.source.clone());
        let event = Some(ended.key.event.clone());
        self.value(
            ValueKey { source_no, what: What::State, event: event.clone() },
            &source,
            ValueContent::Text("OFF".into()),
            effects,
        );
        if ended.activity.count_max.is_some() {
            self.value(
                ValueKey { source_no, what: What::Count, event },
                &source,
                ValueContent::Text("0".into()),
                effects,
            );
        }
        self.activity_record(&ended.key, ActivityPhase::End, Some(ended), now, run, effects);
    }

    /// The start or end record of an activity.
    pub(super) fn activity_record(
        &mut self,
        key: &ActivityKey,
        phase: ActivityPhase,
        ended: Option<&EndedActivity>,
        at: Now,
        run: i64,
        effects: &mut Effects,
    ) {
        let Some(ongoing) = ended.map(|ended| &ended.activity).or_else(|| self.activities.get(key)).cloned()
        else {
            return;
        };
        let Some((device, source_no)) = self.device_record(&key.source) else { return };
        let muted =
            self.devices.get(&key.source).is_some_and(|device| device.mutes.cover(&key.event, at.wall));
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
            muted,
        };
        self.entry(Record::Activity(Box::new(record)), source_no, at.mono, run, effects);
    }
}
