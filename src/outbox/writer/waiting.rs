//! Rows that follow from the log: how often and when a device was heard, the latest alarm of a source, the repeats of
//! an activity. Each costs a page of its own, so while alarms come fast they are written some time after their alarms,
//! all that changed at once. A start after a crash finds them by the log (see `store::forward`).

use std::time::Duration;

use tokio::time::Instant;

use crate::model::value::What;
use crate::outbox::effects::{Effects, ValueKey};
use crate::outbox::recent::REMEMBERED;

/// A commit takes them along when the last one that did is so long ago.
const APART: Duration = Duration::from_millis(250);
/// They are written so late at the latest.
const LATEST: Duration = Duration::from_millis(500);

/// What waits, and how far what is written goes.
#[derive(Debug)]
pub(crate) struct Waiting {
    rows: Effects,
    since: Option<Instant>,
    written: Option<Instant>,
    /// The next version of a value when they were written last.
    version: i64,
    /// The last entry they follow from then.
    no: i64,
}

impl Waiting {
    /// Nothing waits; what is written follows from the log up to `no`.
    pub(crate) fn new(next_version: i64, no: i64) -> Self {
        Self { rows: Effects::default(), since: None, written: None, version: next_version, no }
    }

    /// The last entry that what is written follows from: those after it are needed.
    pub(crate) fn written_until(&self) -> i64 {
        self.no
    }

    /// Whether the next commit takes them along: it is time, or memory would forget one of their values before the
    /// disk has it.
    pub(crate) fn is_time(&self, next_version: i64) -> bool {
        let many = i64::try_from(REMEMBERED).unwrap_or(i64::MAX) <= next_version - self.version;
        many || self.written.is_none_or(|written| APART <= written.elapsed())
    }

    /// When they are due without a commit that takes them along.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.since.map(|since| since + LATEST)
    }

    /// Whether they are due.
    pub(crate) fn due(&self) -> bool {
        self.wake().is_some_and(|due| due <= Instant::now())
    }

    /// Whether anything waits.
    pub(crate) fn any(&self) -> bool {
        self.since.is_some()
    }

    /// What waits, to be written before what comes after it.
    pub(crate) fn rows(&self) -> &Effects {
        &self.rows
    }

    /// A commit was written without them.
    pub(crate) fn add(&mut self, effects: &Effects) {
        for key in effects.activities.keys() {
            self.rows.repeats.remove(key);
        }
        for no in effects.devices.keys() {
            self.rows.heard.remove(no);
            self.rows.values.remove(&ValueKey { source_no: *no, what: What::Last, event: None });
        }
        self.rows.heard.extend(&effects.heard);
        let repeats = effects.repeats.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone()));
        self.rows.repeats.extend(repeats);
        let values = effects.values.iter().filter(|(key, _)| effects.may_wait(key));
        self.rows.values.extend(values.map(|(key, value)| (key.clone(), value.clone())));
        if !self.rows.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// All is on the disk.
    pub(crate) fn written(&mut self, next_version: i64, no: i64) {
        *self = Self { written: Some(Instant::now()), ..Self::new(next_version, no) };
    }

    /// What waits, for whoever keeps it now; that it is not written stays known.
    pub(crate) fn take(&mut self) -> Effects {
        self.since = None;
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::activity::{Key, Ongoing};
    use crate::model::testing::{at, person};
    use crate::outbox::effects::{Heard, Held, Value};

    const FORGOTTEN: i64 = REMEMBERED as i64;

    fn last(source_no: i64) -> ValueKey {
        ValueKey { source_no, what: What::Last, event: None }
    }

    /// One more alarm of two sources: what may wait of it, and a value that may not.
    fn alarms() -> Effects {
        let mut effects = Effects::default();
        let value = Value { version: 1, source: None, held: Held::Text(String::new()) };
        let value = Some(Arc::new(value));
        for no in [1, 2] {
            effects.heard.insert(no, Heard { seq: 7, alarms: 7, last_heard_ms: 7 });
            effects.values.insert(last(no), value.clone());
            effects.values.insert(ValueKey { what: What::State, ..last(no) }, value.clone());
        }
        effects
    }

    #[test]
    fn what_was_written_since_does_not_wait_any_more() {
        let mut waiting = Waiting::new(1, 0);
        waiting.add(&alarms());
        assert_eq!(waiting.rows().values.keys().collect::<Vec<_>>(), [&last(1), &last(2)]);
        let removed = Effects { devices: [(1, None)].into(), ..Effects::default() };
        waiting.add(&removed);
        assert_eq!(waiting.rows().values.keys().collect::<Vec<_>>(), [&last(2)]);
        assert_eq!(waiting.rows().heard.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn an_activity_that_ended_does_not_come_back() {
        let (mut waiting, mut effects) = (Waiting::new(1, 0), Effects::default());
        let (alarm, moment) = (person(), at("2026-10-05T08:25:32Z"));
        let key = Key { source: alarm.source, event: alarm.event };
        let ongoing = Ongoing {
            activity_id: alarm.id,
            started: moment,
            last: moment,
            hold_ms: 20_000,
            alarms: 2,
            count_max: None,
            count: None,
            best: None,
        };
        effects.repeats.insert(key.clone(), ongoing);
        waiting.add(&effects);
        assert!(waiting.rows().repeats.contains_key(&key));
        waiting.add(&Effects { activities: [(key, None)].into(), ..Effects::default() });
        assert!(waiting.rows().repeats.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_written_before_memory_forgets_them_and_after_half_a_second_at_the_latest() {
        let mut waiting = Waiting::new(1, 0);
        assert!(waiting.is_time(1), "the first commit takes along what the start found");
        waiting.written(1, 5);
        assert!(!waiting.is_time(FORGOTTEN) && waiting.is_time(FORGOTTEN + 1));
        waiting.add(&alarms());
        assert!(waiting.any() && !waiting.due() && !waiting.is_time(2));
        tokio::time::advance(APART).await;
        assert!(waiting.is_time(2) && !waiting.due());
        tokio::time::advance(LATEST - APART).await;
        assert!(waiting.due());
        assert_eq!(waiting.take().heard.len(), 2);
        assert!(!waiting.any() && waiting.rows().is_empty());
        assert_eq!(waiting.written_until(), 5, "what is after it is still needed, whoever keeps it");
    }
}
