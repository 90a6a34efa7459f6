//! The value lane of a sink: current values that it has not acknowledged. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use crate::model::value::What;
use crate::outbox::ValueKey;

/// Number of changed pictures above which small values go first.
const FEW_PICTURES: usize = 32;

/// The value lane of a sink.
#[derive(Debug, Default)]
pub(crate) struct ValueLane {
    /// The last version added.
    seen: i64,
    /// Version of each value that waits to be sent.
    versions: HashMap<ValueKey, i64>,
    /// Small values that changed and are not sent, oldest change first.
    small: BTreeMap<i64, ValueKey>,
    /// Pictures and their information that changed and are not sent, oldest change first.
    heavy: BTreeMap<i64, ValueKey>,
    /// The versions in `heavy`, by source.
    heavy_of: HashMap<i64, BTreeSet<i64>>,
    /// Values to be sent while no other message is unacknowledged, since the broker may end the connection for them.
    alone: BTreeMap<i64, ValueKey>,
    /// Values not to be sent before a time, because the broker would end the connection for them.
    postponed: HashMap<ValueKey, Instant>,
    /// Versions that were sent and not acknowledged.
    in_flight: BTreeSet<i64>,
    /// Number of values on their way, by source.
    in_flight_of: HashMap<i64, usize>,
    /// Pictures that the broker lost; sent when nothing else is left, latest first.
    lost: BTreeMap<(Reverse<i64>, bool), ValueKey>,
}

impl ValueLane {
    /// Begins after a version.
    pub(crate) fn new(seen: i64) -> Self {
        Self { seen, ..Self::default() }
    }

    /// The last version added.
    pub(crate) fn seen(&self) -> i64 {
        self.seen
    }

    /// Skips to a version; no value changed before it.
    pub(crate) fn skip_to(&mut self, version: i64) {
        self.seen = self.seen.max(version);
    }

    /// Records the change of a value; its older version is no longer sent.
    pub(crate) fn changed(&mut self, key: ValueKey, version: i64) {
        self.seen = self.seen.max(version);
        self.insert(key, version);
    }

    /// Queues a value.
    pub(crate) fn insert(&mut self, key: ValueKey, version: i64) {
        if is_heavy(&key) && !self.lost.is_empty() {
            self.lost.retain(|_, lost| *lost != key);
        }
        self.replace(&key, version);
        if is_heavy(&key) {
            self.heavy_of.entry(key.source_no).or_default().insert(version);
            self.heavy.insert(version, key);
        } else {
            self.small.insert(version, key);
        }
    }

    /// Queues a value to be sent alone, when nothing else is left.
    pub(crate) fn insert_alone(&mut self, key: ValueKey, version: i64) {
        self.replace(&key, version);
        self.alone.insert(version, key);
    }

    /// Postpones a value until a time.
    pub(crate) fn postpone(&mut self, key: ValueKey, until: Instant) {
        self.postponed.insert(key, until);
    }

    /// Removes and returns the postponed values that are due.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<ValueKey> {
        let due: Vec<ValueKey> =
            self.postponed.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        due.iter().for_each(|key| {
            self.postponed.remove(key);
        });
        due
    }

    /// Time at which the next postponed value may be sent.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.postponed.values().min().copied()
    }

    /// The value to be sent next with no other message in flight: the one with fewest failures, then the oldest
    /// change. Returns its failures and its version.
    pub(crate) fn first_alone(&self, failures: impl Fn(&ValueKey) -> u32) -> Option<(u32, i64)> {
        self.alone.iter().map(|(version, key)| (failures(key), *version)).min()
    }

    /// Removes an older version from the queue.
    fn replace(&mut self, key: &ValueKey, version: i64) {
        self.postponed.remove(key);
        if let Some(old) = self.versions.insert(key.clone(), version) {
            self.small.remove(&old);
            self.alone.remove(&old);
            self.remove_heavy(key.source_no, old);
        }
    }

    /// Queues a value again, unless it has changed since.
    pub(crate) fn retry(&mut self, key: ValueKey, version: i64) {
        if !self.versions.contains_key(&key) {
            self.insert(key, version);
        }
    }

    /// Queues a picture that the broker lost.
    pub(crate) fn lost(&mut self, key: ValueKey, version: i64) {
        if !self.versions.contains_key(&key) {
            // The information of a picture has the version just before the picture's, and is sent just before it.
            let picture = key.what == What::Snapshot;
            self.lost.insert((Reverse(version + i64::from(!picture)), picture), key);
        }
    }

    /// The next value to send: oldest change first; while many pictures wait, small values go before them.
    pub(crate) fn next(&mut self) -> Option<ValueKey> {
        let first = |values: &BTreeMap<i64, ValueKey>| values.first_key_value().map(|(version, _)| *version);
        let heavy = if FEW_PICTURES < self.heavy.len() { None } else { first(&self.heavy) };
        self.take([first(&self.small), heavy].into_iter().flatten().min()?)
    }

    /// Returns the next picture, or its information, of one source or of any.
    pub(crate) fn next_heavy(&mut self, source_no: Option<i64>) -> Option<ValueKey> {
        let version = match source_no {
            Some(source_no) => *self.heavy_of.get(&source_no)?.first()?,
            None => *self.heavy.first_key_value()?.0,
        };
        self.take(version)
    }

    /// The next picture that the broker lost.
    pub(crate) fn next_lost(&mut self) -> Option<ValueKey> {
        self.lost.pop_first().map(|(_, key)| key)
    }

    /// Returns whether pictures the broker lost are still to be sent.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Removes and returns the value that is queued with this version.
    pub(crate) fn take(&mut self, version: i64) -> Option<ValueKey> {
        let key = match self.small.remove(&version).or_else(|| self.alone.remove(&version)) {
            Some(key) => key,
            None => {
                let key = self.heavy.get(&version)?.clone();
                self.remove_heavy(key.source_no, version);
                key
            }
        };
        self.versions.remove(&key);
        Some(key)
    }

    fn remove_heavy(&mut self, source_no: i64, version: i64) {
        if self.heavy.remove(&version).is_none() {
            return;
        }
        if let Some(versions) = self.heavy_of.get_mut(&source_no) {
            versions.remove(&version);
            if versions.is_empty() {
                self.heavy_of.remove(&source_no);
            }
        }
    }

    /// Records that a version was sent.
    pub(crate) fn sent(&mut self, key: &ValueKey, version: i64) {
        self.in_flight.insert(version);
        *self.in_flight_of.entry(key.source_no).or_default() += 1;
    }

    /// Records the receipt of a version, whatever its outcome.
    pub(crate) fn answered(&mut self, key: &ValueKey, version: i64) {
        self.in_flight.remove(&version);
        if let Some(count) = self.in_flight_of.get_mut(&key.source_no) {
            *count -= 1;
            if *count == 0 {
                self.in_flight_of.remove(&key.source_no);
            }
        }
    }

    /// Returns whether values of a source are on their way.
    pub(crate) fn busy(&self, source_no: i64) -> bool {
        self.in_flight_of.contains_key(&source_no)
    }

    /// Returns whether no value is queued or unacknowledged (except lost pictures).
    pub(crate) fn idle(&self) -> bool {
        [&self.small, &self.heavy, &self.alone].iter().all(|values| values.is_empty())
            && self.in_flight.is_empty()
    }

    /// Version up to which all values are acknowledged.
    pub(crate) fn low(&self) -> i64 {
        let pending = [&self.small, &self.heavy, &self.alone]
            .map(|values| values.first_key_value().map(|(version, _)| *version));
        let in_flight = self.in_flight.first().copied();
        pending.into_iter().flatten().chain(in_flight).min().map_or(self.seen, |first| first - 1)
    }
}

/// Returns whether a value is a picture or the information sent just before it.
pub(crate) fn is_heavy(key: &ValueKey) -> bool {
    matches!(key.what, What::Snapshot | What::SnapshotInfo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source_no: i64, what: What) -> ValueKey {
        ValueKey { source_no, what, event: None }
    }

    #[test]
    fn only_the_newest_version_is_sent() {
        let mut values = ValueLane::new(0);
        values.changed(key(1, What::Last), 1);
        values.changed(key(1, What::State), 2);
        values.changed(key(1, What::Last), 3);
        assert_eq!(values.low(), 1);
        let order: Vec<_> = std::iter::from_fn(|| values.next()).map(|key| key.what).collect();
        assert_eq!(order, [What::State, What::Last]);
        values.sent(&key(1, What::Last), 3);
        assert_eq!((values.low(), values.busy(1)), (2, true));
        values.answered(&key(1, What::Last), 3);
        assert_eq!((values.low(), values.idle()), (3, true));
    }

    #[test]
    fn a_value_with_fewest_failures_goes_first() {
        let mut values = ValueLane::new(0);
        values.insert_alone(key(1, What::Discovery), 1);
        values.insert_alone(key(1, What::Last), 2);
        values.insert_alone(key(2, What::Discovery), 3);
        values.insert_alone(key(2, What::Last), 4);
        assert_eq!(values.first_alone(|_| 0), Some((0, 1)));
        let failures =
            |key: &ValueKey| u32::from(key.what == What::Discovery) + u32::from(key.source_no == 1);
        assert_eq!(values.first_alone(failures), Some((0, 4)));
        assert_eq!(values.take(4), Some(key(2, What::Last)));
    }

    #[test]
    fn many_pictures_let_small_values_pass() {
        let mut values = ValueLane::new(0);
        for no in 1..=40 {
            values.changed(key(no, What::Snapshot), no);
        }
        values.changed(key(1, What::State), 41);
        assert_eq!(values.next(), Some(key(1, What::State)));
        assert_eq!(values.next(), None);
        assert_eq!(values.next_heavy(Some(7)), Some(key(7, What::Snapshot)));
    }
}
