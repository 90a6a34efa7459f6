//! The value lane of one sink: which current values it has not had acknowledged. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::value::What;
use crate::outbox::ValueKey;

/// With more changed pictures than this, small values go first.
const FEW: usize = 32;

/// The value lane of a sink.
#[derive(Debug, Default)]
pub(crate) struct Values {
    seen: i64,
    versions: HashMap<ValueKey, i64>,
    /// Changed and not sent, oldest change first: what is small.
    small: BTreeMap<i64, ValueKey>,
    /// The same: pictures, and what belongs to one.
    heavy: BTreeMap<i64, ValueKey>,
    /// The versions in `heavy`, by source.
    heavy_of: HashMap<i64, BTreeSet<i64>>,
    /// Sent and not acknowledged.
    flying: BTreeSet<i64>,
    /// How many are on their way, by source.
    flying_of: HashMap<i64, usize>,
    /// Pictures a broker lost: latest first, when there is nothing else to do.
    lost: BTreeMap<(Reverse<i64>, bool), ValueKey>,
}

impl Values {
    /// Begins after a version.
    pub(crate) fn new(seen: i64) -> Self {
        Self { seen, ..Self::default() }
    }

    /// The last version taken in.
    pub(crate) fn seen(&self) -> i64 {
        self.seen
    }

    /// Moves on to a version, with nothing changed before it.
    pub(crate) fn skip_to(&mut self, version: i64) {
        self.seen = self.seen.max(version);
    }

    /// A value changed; what it was before no longer has to be sent.
    pub(crate) fn changed(&mut self, key: ValueKey, version: i64) {
        self.seen = self.seen.max(version);
        self.insert(key, version);
    }

    /// Has to be sent (again).
    pub(crate) fn insert(&mut self, key: ValueKey, version: i64) {
        if is_heavy(&key) && !self.lost.is_empty() {
            self.lost.retain(|_, lost| *lost != key);
        }
        if let Some(old) = self.versions.insert(key.clone(), version) {
            self.small.remove(&old);
            self.remove_heavy(key.source_no, old);
        }
        if is_heavy(&key) {
            self.heavy_of.entry(key.source_no).or_default().insert(version);
            self.heavy.insert(version, key);
        } else {
            self.small.insert(version, key);
        }
    }

    /// Has to be sent again, unless it changed since.
    pub(crate) fn retry(&mut self, key: ValueKey, version: i64) {
        if !self.versions.contains_key(&key) {
            self.insert(key, version);
        }
    }

    /// A picture the broker lost.
    pub(crate) fn lost(&mut self, key: ValueKey, version: i64) {
        if !self.versions.contains_key(&key) {
            // What belongs to a picture has the version just before it, and goes just before it.
            let picture = key.what == What::Snapshot;
            self.lost.insert((Reverse(version + i64::from(!picture)), picture), key);
        }
    }

    /// The next value to send: oldest change first; while many pictures wait, what is small goes before them.
    pub(crate) fn next(&mut self) -> Option<ValueKey> {
        let first = |values: &BTreeMap<i64, ValueKey>| values.first_key_value().map(|(version, _)| *version);
        let heavy = if FEW < self.heavy.len() { None } else { first(&self.heavy) };
        self.take([first(&self.small), heavy].into_iter().flatten().min()?)
    }

    /// The next picture (or what belongs to one) of a source, or of any.
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

    /// Whether pictures the broker lost are still to be sent.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    fn take(&mut self, version: i64) -> Option<ValueKey> {
        let key = match self.small.remove(&version) {
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

    /// A version is on its way.
    pub(crate) fn sent(&mut self, key: &ValueKey, version: i64) {
        self.flying.insert(version);
        *self.flying_of.entry(key.source_no).or_default() += 1;
    }

    /// A version on its way is dealt with, whatever became of it.
    pub(crate) fn landed(&mut self, key: &ValueKey, version: i64) {
        self.flying.remove(&version);
        if let Some(count) = self.flying_of.get_mut(&key.source_no) {
            *count -= 1;
            if *count == 0 {
                self.flying_of.remove(&key.source_no);
            }
        }
    }

    /// Whether values of a source are on their way.
    pub(crate) fn busy(&self, source_no: i64) -> bool {
        self.flying_of.contains_key(&source_no)
    }

    /// Nothing waits and nothing is on its way (pictures to be sent again aside).
    pub(crate) fn idle(&self) -> bool {
        self.small.is_empty() && self.heavy.is_empty() && self.flying.is_empty()
    }

    /// Every version up to here is acknowledged.
    pub(crate) fn low(&self) -> i64 {
        let pending =
            [&self.small, &self.heavy].map(|values| values.first_key_value().map(|(version, _)| *version));
        let flying = self.flying.first().copied();
        pending.into_iter().flatten().chain(flying).min().map_or(self.seen, |first| first - 1)
    }
}

/// Pictures, and what goes just before them.
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
        let mut values = Values::new(0);
        values.changed(key(1, What::Last), 1);
        values.changed(key(1, What::State), 2);
        values.changed(key(1, What::Last), 3);
        assert_eq!(values.low(), 1);
        let order: Vec<_> = std::iter::from_fn(|| values.next()).map(|key| key.what).collect();
        assert_eq!(order, [What::State, What::Last]);
        values.sent(&key(1, What::Last), 3);
        assert_eq!((values.low(), values.busy(1)), (2, true));
        values.landed(&key(1, What::Last), 3);
        assert_eq!((values.low(), values.idle()), (3, true));
    }

    #[test]
    fn many_pictures_let_small_values_pass() {
        let mut values = Values::new(0);
        for no in 1..=40 {
            values.changed(key(no, What::Snapshot), no);
        }
        values.changed(key(1, What::State), 41);
        assert_eq!(values.next(), Some(key(1, What::State)));
        assert_eq!(values.next(), None);
        assert_eq!(values.next_heavy(Some(7)), Some(key(7, What::Snapshot)));
    }
}
