//! Activities: devices repeat an alarm every few seconds and send no end. This state machine groups the repeats into
//! one activity and determines its end. Pure: the time is passed in as [`Now`], and results are returned as values.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::record::{AlarmRecord, BestSnapshot};
use crate::model::{EventName, Mode, Phase, Source};

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Time since the start of the process; the only clock used while running.
    pub mono: Duration,
    /// The wall clock, for published times and for restarts.
    pub wall: Timestamp,
}

/// One kind of one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActivityKey {
    /// The source.
    pub source: Source,
    /// The kind.
    pub event: EventName,
}

/// An ongoing activity, as it is stored over restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ongoing {
    /// Its identifier, the same in all its alarms.
    pub activity_id: Uuid,
    /// Receipt of the first alarm.
    pub started: Timestamp,
    /// Receipt of the last alarm.
    pub last: Timestamp,
    /// Hold after the last alarm, in milliseconds.
    pub hold_ms: u64,
    /// Its alarms so far.
    pub alarms: u64,
    /// The highest number of objects in one alarm.
    pub count_max: Option<u32>,
    /// The number of objects in the latest alarm that had one.
    pub count: Option<u32>,
    /// The best picture with its count: highest count, then earliest.
    pub best: Option<(u32, BestSnapshot)>,
}

impl Ongoing {
    /// The hold.
    fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    /// Adds an alarm: its receipt time, number of objects and picture.
    fn add_alarm(&mut self, at: Timestamp, count: Option<u32>, picture: Option<&BestSnapshot>) {
        self.alarms += 1;
        self.last = at;
        self.count_max = self.count_max.max(count);
        self.count = count.or(self.count);
        self.keep_best(count.unwrap_or(0), picture);
    }

    /// Keeps the better picture: a higher count; at the same count the one that was first.
    fn keep_best(&mut self, count: u32, picture: Option<&BestSnapshot>) {
        let Some(picture) = picture.filter(|best| best.snapshot.problem.is_none()) else { return };
        if self.best.as_ref().is_none_or(|(best, _)| *best < count) {
            self.best = Some((count, picture.clone()));
        }
    }

    /// Time at which it ends if no further alarm arrives.
    #[must_use]
    pub fn would_end(&self) -> Timestamp {
        let hold = SignedDuration::try_from(self.hold()).unwrap_or(SignedDuration::MAX);
        self.last.checked_add(hold).unwrap_or(self.last)
    }
}

/// Data of an alarm that affect its activity.
#[derive(Debug, Clone)]
pub struct AlarmFacts {
    /// Mode of the kind: activity, moment or fault.
    pub mode: Mode,
    /// The hold of this kind on this device.
    pub hold: Duration,
    /// Identifier for the activity, should this alarm begin one.
    pub activity_id: Uuid,
    /// Time of receipt, by both clocks.
    pub at: Now,
    /// Number of objects.
    pub count: Option<u32>,
    /// Its picture.
    pub snapshot: Option<BestSnapshot>,
}

/// Place of an alarm in its activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityStep {
    /// Start, update or once.
    pub phase: Phase,
    /// Number of alarms of the activity before it.
    pub repeat: u64,
    /// The activity; none for a moment.
    pub activity_id: Option<Uuid>,
    /// Set if the number of objects differs from the one before.
    pub recount: bool,
}

/// An ended activity.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedActivity {
    /// Source and kind.
    pub key: ActivityKey,
    /// Its last state.
    pub activity: Ongoing,
    /// Time of its end.
    pub ended: Timestamp,
    /// Set if it ended while the process was not running, and the end was noticed at the start.
    pub before: bool,
}

/// All ongoing activities with their timers.
#[derive(Debug, Default, Clone)]
pub struct Activities {
    ongoing: HashMap<ActivityKey, (Ongoing, Duration)>,
    timers: BTreeSet<(Duration, ActivityKey)>,
    /// Activities whose hold ran out before this process began.
    overdue: BTreeSet<ActivityKey>,
}

impl Activities {
    /// Restores activities after a restart. The remaining hold is clamp(last + hold - now, 0, hold), so a clock that
    /// was set back cannot keep an activity ON for ever.
    #[must_use]
    pub fn restore(saved: Vec<(ActivityKey, Ongoing)>, now: Now) -> Self {
        let mut this = Self::default();
        for (key, ongoing) in saved {
            this.resume(key, ongoing, now);
        }
        this
    }

    /// Replays an alarm that was committed before a restart, unless its activity already includes it or has ended.
    /// Returns whether the activity changed.
    pub fn redo(&mut self, key: &ActivityKey, alarm: &AlarmRecord, now: Now) -> bool {
        let lacks = |ongoing: &Ongoing| {
            Some(ongoing.activity_id) == alarm.activity_id && ongoing.alarms <= alarm.repeat
        };
        if !self.get(key).is_some_and(lacks) {
            return false;
        }
        let Some((mut ongoing, _)) = self.take(key) else { return false };
        let picture = alarm.snapshot.clone().map(|snapshot| BestSnapshot { alarm: alarm.id, snapshot });
        ongoing.add_alarm(alarm.received_at, alarm.count, picture.as_ref());
        self.resume(key.clone(), ongoing, now);
        true
    }

    /// Adds an alarm and returns its place in its activity. Call [`expire`](Self::expire) first.
    pub fn alarm(&mut self, key: &ActivityKey, facts: &AlarmFacts) -> ActivityStep {
        if facts.mode == Mode::Moment {
            return ActivityStep { phase: Phase::Once, repeat: 0, activity_id: None, recount: false };
        }
        let until = facts.at.mono + facts.hold;
        let (mut ongoing, old_until) = self.take(key).unwrap_or_else(|| (begin(facts), until));
        ongoing.hold_ms = u64::try_from(facts.hold.as_millis()).unwrap_or(u64::MAX);
        let recount = facts.count.is_some() && ongoing.count != facts.count;
        ongoing.add_alarm(facts.at.wall, facts.count, facts.snapshot.as_ref());
        let step = ActivityStep {
            phase: if ongoing.alarms == 1 { Phase::Start } else { Phase::Update },
            repeat: ongoing.alarms - 1,
            activity_id: Some(ongoing.activity_id),
            recount,
        };
        // Two reports may be committed in another order than they arrived; the timer must not go back.
        self.put(key.clone(), ongoing, until.max(old_until));
        step
    }

    /// Ends the activities whose hold has run out, in the order of their ends.
    pub fn expire(&mut self, now: Now) -> Vec<EndedActivity> {
        let mut ended = Vec::new();
        while let Some((until, key)) = self.timers.first().cloned() {
            if now.mono < until {
                break;
            }
            let before = self.overdue.contains(&key);
            if let Some((activity, _)) = self.take(&key) {
                ended.push(EndedActivity { ended: activity.would_end(), key, activity, before });
            }
        }
        ended
    }

    /// Ends an activity by hand.
    pub fn clear(&mut self, key: &ActivityKey, now: Now) -> Option<EndedActivity> {
        let (activity, _) = self.take(key)?;
        Some(EndedActivity { key: key.clone(), activity, ended: now.wall, before: false })
    }

    /// Removes all activities of a source without an end.
    pub fn forget(&mut self, source: &Source) {
        self.retain(|of| of != source);
    }

    /// Removes all activities of sources that do not fit, without an end.
    pub fn retain(&mut self, fits: impl Fn(&Source) -> bool) {
        let keys: Vec<ActivityKey> = self.ongoing.keys().filter(|key| !fits(&key.source)).cloned().collect();
        for key in keys {
            self.take(&key);
        }
    }

    /// Returns an ongoing activity.
    #[must_use]
    pub fn get(&self, key: &ActivityKey) -> Option<&Ongoing> {
        self.ongoing.get(key).map(|(ongoing, _)| ongoing)
    }

    /// Sets the state of an activity as another instance determined it; `None`: the activity has ended.
    pub fn replace(&mut self, key: &ActivityKey, ongoing: Option<Ongoing>, now: Now) {
        self.take(key);
        if let Some(ongoing) = ongoing {
            self.resume(key.clone(), ongoing, now);
        }
    }

    /// Iterates over all ongoing activities.
    pub fn iter(&self) -> impl Iterator<Item = (&ActivityKey, &Ongoing)> {
        self.ongoing.iter().map(|(key, (ongoing, _))| (key, ongoing))
    }

    /// Time at which the next hold runs out.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// Sets all timers by the wall clock, for a ledger with a monotonic clock of its own. An end may be in the past.
    pub fn rebase(&mut self, now: Now) {
        self.timers.clear();
        for (key, (ongoing, _)) in std::mem::take(&mut self.ongoing) {
            let left = ongoing.would_end().duration_since(now.wall);
            let ahead = Duration::try_from(left).unwrap_or(Duration::ZERO).min(ongoing.hold());
            let ago = Duration::try_from(-left).unwrap_or(Duration::ZERO);
            self.put(key, ongoing, (now.mono + ahead).saturating_sub(ago));
        }
    }

    /// Resumes an activity from before a restart.
    fn resume(&mut self, key: ActivityKey, ongoing: Ongoing, now: Now) {
        let left = ongoing.would_end().duration_since(now.wall);
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO).min(ongoing.hold());
        if left.is_zero() {
            self.overdue.insert(key.clone());
        }
        self.put(key, ongoing, now.mono + left);
    }

    fn put(&mut self, key: ActivityKey, ongoing: Ongoing, until: Duration) {
        self.timers.insert((until, key.clone()));
        self.ongoing.insert(key, (ongoing, until));
    }

    fn take(&mut self, key: &ActivityKey) -> Option<(Ongoing, Duration)> {
        let (ongoing, until) = self.ongoing.remove(key)?;
        self.timers.remove(&(until, key.clone()));
        self.overdue.remove(key);
        Some((ongoing, until))
    }
}

/// A new activity, before its first alarm is counted.
fn begin(facts: &AlarmFacts) -> Ongoing {
    Ongoing {
        activity_id: facts.activity_id,
        started: facts.at.wall,
        last: facts.at.wall,
        hold_ms: 0,
        alarms: 0,
        count_max: None,
        count: None,
        best: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64) -> Now {
        Now {
            mono: Duration::from_millis(ms),
            wall: Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(ms).unwrap()).unwrap(),
        }
    }

    fn key() -> ActivityKey {
        ActivityKey { source: Source::from_known("98ba5f8b1003").unwrap(), event: EventName::new("person") }
    }

    fn facts(ms: u64, mode: Mode) -> AlarmFacts {
        AlarmFacts {
            mode,
            hold: Duration::from_secs(20),
            activity_id: Uuid::now_v7(),
            at: now(ms),
            count: Some(1),
            snapshot: None,
        }
    }

    #[test]
    fn repeats_within_the_hold_are_one_activity() {
        let mut all = Activities::default();
        let first = all.alarm(&key(), &facts(0, Mode::Activity));
        let second = all.alarm(&key(), &facts(15_000, Mode::Activity));
        assert_eq!(
            (first.phase, first.repeat, second.phase, second.repeat),
            (Phase::Start, 0, Phase::Update, 1)
        );
        assert_eq!(first.activity_id, second.activity_id);
        assert!(all.expire(now(34_999)).is_empty());
        let ended = all.expire(now(35_000));
        assert_eq!((ended.len(), ended[0].activity.alarms, ended[0].ended), (1, 2, now(35_000).wall));
        assert_eq!(all.alarm(&key(), &facts(36_000, Mode::Activity)).phase, Phase::Start);
    }

    #[test]
    fn a_count_is_another_one_only_when_it_changes() {
        let mut all = Activities::default();
        let mut with = |ms, count| {
            all.expire(now(ms));
            all.alarm(&key(), &AlarmFacts { count, ..facts(ms, Mode::Activity) }).recount
        };
        assert!(with(0, Some(2)));
        assert!(!with(1_000, Some(2)) && !with(2_000, None) && !with(3_000, Some(2)));
        assert!(with(4_000, Some(1)));
        assert!(with(60_000, Some(1)), "it was 0 in between");
    }

    #[test]
    fn a_moment_has_no_activity() {
        let mut all = Activities::default();
        let step = all.alarm(&key(), &facts(0, Mode::Moment));
        assert_eq!((step.phase, step.activity_id, all.next()), (Phase::Once, None, None));
    }

    #[test]
    fn a_restart_within_the_hold_goes_on_and_after_it_ends_in_the_past() {
        let mut before = Activities::default();
        before.alarm(&key(), &facts(0, Mode::Activity));
        let saved: Vec<_> = before.iter().map(|(k, o)| (k.clone(), o.clone())).collect();
        let again = |wall_ms: u64| Now { mono: Duration::from_millis(5), wall: now(wall_ms).wall };
        let mut within = Activities::restore(saved.clone(), again(8_000));
        assert_eq!(within.next(), Some(Duration::from_millis(12_005)));
        assert_eq!(within.alarm(&key(), &facts(9_000, Mode::Activity)).phase, Phase::Update);
        let mut after = Activities::restore(saved, again(90_000));
        let ended = after.expire(again(90_000));
        assert_eq!((ended[0].ended, ended[0].before), (now(20_000).wall, true));
    }

    #[test]
    fn a_clock_set_back_cannot_hold_it_longer_than_the_hold() {
        let mut before = Activities::default();
        before.alarm(&key(), &facts(3_600_000, Mode::Activity));
        let saved: Vec<_> = before.iter().map(|(k, o)| (k.clone(), o.clone())).collect();
        let restored = Activities::restore(saved, Now { mono: Duration::ZERO, wall: now(0).wall });
        assert_eq!(restored.next(), Some(Duration::from_secs(20)));
    }

    #[test]
    fn the_best_picture_has_the_highest_count_then_comes_first() {
        use crate::model::record::SnapshotRecord;
        let picture = |n: u128| BestSnapshot {
            alarm: Uuid::from_u128(n),
            snapshot: SnapshotRecord {
                picture: None,
                bytes: 1,
                sha256: None,
                width: None,
                height: None,
                problem: None,
            },
        };
        let mut all = Activities::default();
        for (n, count) in [(1, 1), (2, 3), (3, 3), (4, 2)] {
            let facts =
                AlarmFacts { count: Some(count), snapshot: Some(picture(n)), ..facts(0, Mode::Activity) };
            all.alarm(&key(), &facts);
        }
        let best = all.get(&key()).unwrap().best.as_ref().unwrap();
        assert_eq!((best.0, best.1.alarm), (3, Uuid::from_u128(2)));
    }
}
