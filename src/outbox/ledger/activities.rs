//! Starts and ends of activities, as values and as records.

use uuid::Uuid;

use super::Ledger;
use crate::activity::{Ended, Key, Now};
use crate::model::Record;
use crate::model::record::{ActivityPhase, ActivityRecord};
use crate::model::value::What;
use crate::outbox::effects::{Effects, Held, ValueKey};

impl Ledger {
    /// Ends what has run out.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        for ended in self.activities.expire(now) {
            // An end that lay before this run is late by the wall clock; the monotonic one cannot tell.
            let run = if ended.before { 0 } else { self.run };
            self.end(&ended, now, run, effects);
        }
    }

    /// OFF, zero, and the end record.
    pub(crate) fn end(&mut self, ended: &Ended, now: Now, run: i64, effects: &mut Effects) {
        effects.repeats.remove(&ended.key);
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
    pub(super) fn activity_record(
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
}
