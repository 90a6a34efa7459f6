//! The checkpoint: rows that follow from the log are written some time after it.
//!
//! An alarm changes three rows besides its entry and the values of its state: the counters of its device, the repeats
//! of its activity, and the value `last`, which refers to the entry. Each costs a page of the database with every
//! alarm. So while alarms come fast these rows are *deferred*: commits write entries without them, and a *checkpoint*,
//! part of a later commit, writes the latest state of all of them at once.
//!
//! * A commit is a checkpoint if the last one is [`CHECKPOINT_INTERVAL`] ago, if a command other than an alarm changes
//!   devices or activities, or if all rows are waited for (a flush, a stop).
//! * [`CHECKPOINT_MAX_DELAY`] after the first deferred row there is a checkpoint without an alarm, too.
//! * Each checkpoint writes the note [`NOTE`]: the number of the last entry that all rows follow from.
//! * After a crash the ledger takes the alarms behind that number in again, with the code that takes in a new alarm
//!   (`state::ledger::redo`). Retention deletes no entry behind it.
//! * Relays see deferred values in memory. Pages read rows, so they wait for a checkpoint first
//!   ([`Outbox::settled`](crate::outbox::Outbox::settled)).

use std::time::Duration;

use tokio::time::Instant;

use super::changes::StateChanges;
use super::value::ValueKey;
use crate::model::value::What;
use crate::outbox::log::recent::REMEMBERED;

/// Minimum time between two checkpoints that go with commits.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum delay before deferred rows are written.
const CHECKPOINT_MAX_DELAY: Duration = Duration::from_millis(500);
/// Name of the note with the number of the last entry that all rows follow from.
pub(crate) const NOTE: &str = "written";

/// Deferred rows, and the position of the last checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Counters, repeats and `last` values that are not written yet.
    deferred: StateChanges,
    /// Time at which the first of them was deferred.
    since: Option<Instant>,
    /// Time of the last checkpoint.
    last: Option<Instant>,
    /// The next version of a value at the last checkpoint.
    version: i64,
    /// The last entry that the rows of the last checkpoint follow from.
    no: i64,
}

impl Checkpoint {
    /// State with nothing deferred, where all rows follow from the log up to `no`.
    pub(crate) fn new(next_version: i64, no: i64) -> Self {
        Self { deferred: StateChanges::default(), since: None, last: None, version: next_version, no }
    }

    /// The last entry that the written rows follow from. The next start needs the entries after it.
    pub(crate) fn last_entry(&self) -> i64 {
        self.no
    }

    /// Returns whether the next commit is to be a checkpoint: the interval has passed, or memory would forget a
    /// deferred value that the disk does not have.
    pub(crate) fn goes_with_commit(&self, next_version: i64) -> bool {
        let many = i64::try_from(REMEMBERED).unwrap_or(i64::MAX) <= next_version - self.version;
        many || self.last.is_none_or(|last| CHECKPOINT_INTERVAL <= last.elapsed())
    }

    /// Time at which a checkpoint is due without a commit.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.since.map(|since| since + CHECKPOINT_MAX_DELAY)
    }

    /// Returns whether a checkpoint is due without a commit.
    pub(crate) fn is_due(&self) -> bool {
        self.wake().is_some_and(|due| due <= Instant::now())
    }

    /// Returns whether any row is deferred.
    pub(crate) fn has_deferred(&self) -> bool {
        self.since.is_some()
    }

    /// The deferred rows, to be written before later changes.
    pub(crate) fn deferred(&self) -> &StateChanges {
        &self.deferred
    }

    /// Notes a commit that was written without the rows that may be deferred.
    pub(crate) fn defer(&mut self, changes: &StateChanges) {
        self.deferred.forget_superseded(changes);
        for no in changes.devices.keys() {
            self.deferred.values.remove(&ValueKey { source_no: *no, what: What::Last, event: None });
        }
        self.deferred.counters.extend(&changes.counters);
        let repeats = changes.repeats.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone()));
        self.deferred.repeats.extend(repeats);
        let values = changes.values.iter().filter(|(key, _)| changes.may_defer(key));
        self.deferred.values.extend(values.map(|(key, value)| (key.clone(), value.clone())));
        if !self.deferred.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Notes that a checkpoint was written: all rows follow from the log up to `no`.
    pub(crate) fn written(&mut self, next_version: i64, no: i64) {
        *self = Self { last: Some(Instant::now()), ..Self::new(next_version, no) };
    }

    /// Hands the deferred rows to a caller that stores them. The number of the last entry does not change.
    pub(crate) fn take_deferred(&mut self) -> StateChanges {
        self.since = None;
        std::mem::take(&mut self.deferred)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::activity::{ActivityKey, Ongoing};
    use crate::model::testing::{at, person};
    use crate::outbox::state::changes::Counters;
    use crate::outbox::state::value::{Value, ValueContent};

    const FORGOTTEN: i64 = REMEMBERED as i64;

    fn last(source_no: i64) -> ValueKey {
        ValueKey { source_no, what: What::Last, event: None }
    }

    /// One more alarm of two sources: rows that may be deferred, and a value that may not.
    fn alarms() -> StateChanges {
        let mut changes = StateChanges::default();
        let value = Value { version: 1, source: None, held: ValueContent::Text(String::new()) };
        let value = Some(Arc::new(value));
        for no in [1, 2] {
            changes.counters.insert(no, Counters { seq: 7, alarms: 7, last_heard_ms: 7 });
            changes.values.insert(last(no), value.clone());
            changes.values.insert(ValueKey { what: What::State, ..last(no) }, value.clone());
        }
        changes
    }

    #[test]
    fn rows_written_since_are_not_deferred_any_more() {
        let mut checkpoint = Checkpoint::new(1, 0);
        checkpoint.defer(&alarms());
        assert_eq!(checkpoint.deferred().values.keys().collect::<Vec<_>>(), [&last(1), &last(2)]);
        let removed = StateChanges { devices: [(1, None)].into(), ..StateChanges::default() };
        checkpoint.defer(&removed);
        assert_eq!(checkpoint.deferred().values.keys().collect::<Vec<_>>(), [&last(2)]);
        assert_eq!(checkpoint.deferred().counters.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn an_activity_that_ended_does_not_come_back() {
        let (mut checkpoint, mut changes) = (Checkpoint::new(1, 0), StateChanges::default());
        let (alarm, moment) = (person(), at("2026-10-05T08:25:32Z"));
        let key = ActivityKey { source: alarm.source, event: alarm.event };
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
        changes.repeats.insert(key.clone(), ongoing);
        checkpoint.defer(&changes);
        assert!(checkpoint.deferred().repeats.contains_key(&key));
        checkpoint.defer(&StateChanges { activities: [(key, None)].into(), ..StateChanges::default() });
        assert!(checkpoint.deferred().repeats.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_checkpoint_comes_before_memory_forgets_values_and_within_half_a_second() {
        let mut checkpoint = Checkpoint::new(1, 0);
        assert!(checkpoint.goes_with_commit(1), "the first commit is a checkpoint");
        checkpoint.written(1, 5);
        assert!(!checkpoint.goes_with_commit(FORGOTTEN) && checkpoint.goes_with_commit(FORGOTTEN + 1));
        checkpoint.defer(&alarms());
        assert!(checkpoint.has_deferred() && !checkpoint.is_due() && !checkpoint.goes_with_commit(2));
        tokio::time::advance(CHECKPOINT_INTERVAL).await;
        assert!(checkpoint.goes_with_commit(2) && !checkpoint.is_due());
        tokio::time::advance(CHECKPOINT_MAX_DELAY - CHECKPOINT_INTERVAL).await;
        assert!(checkpoint.is_due());
        assert_eq!(checkpoint.take_deferred().counters.len(), 2);
        assert!(!checkpoint.has_deferred() && checkpoint.deferred().is_empty());
        assert_eq!(checkpoint.last_entry(), 5, "entries after it are still needed");
    }
}
