//! What was committed lately, in memory: relays that keep up never read the disk, and while the disk refuses writes
//! this is where its alarms are found.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::effects::{Effects, Entry, Held, Value, ValueKey};
use super::reader::Left;
use crate::model::value::Card;
use crate::model::{Record, Source};

/// So many entries and values are remembered while the disk has them too.
pub(crate) const REMEMBERED: usize = 2_048;
/// So many changes of values are remembered, by key alone: a relay that keeps up is told from here what to send.
const CHANGES: usize = 16_384;
/// So many removed devices.
const REMOVED: usize = 256;

/// The end of the log and the latest values.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Arc<Entry>>,
    values: HashMap<ValueKey, Option<Arc<Value>>>,
    versions: BTreeMap<i64, ValueKey>,
    /// Which values changed lately, in order.
    changes: VecDeque<(i64, ValueKey)>,
    /// Sources that went away while the disk refuses writes, and still stand there.
    gone: HashSet<i64>,
    /// What was announced of devices removed lately.
    removed: VecDeque<Card>,
    /// The disk has not got them: nothing may be forgotten.
    pub(crate) pinned: bool,
}

impl Recent {
    /// Takes over what a commit changed.
    pub(crate) fn take(&mut self, effects: &Effects) {
        self.entries.extend(effects.entries.iter().cloned());
        self.take_values(effects);
    }

    /// Takes over what a commit changed of the values.
    pub(crate) fn take_values(&mut self, effects: &Effects) {
        self.note_changes(effects);
        for (key, value) in &effects.values {
            if let Some(old) = self.values.remove(key).flatten() {
                self.versions.remove(&old.version);
            }
            if let Some(value) = value {
                self.versions.insert(value.version, key.clone());
            }
            if value.is_some() || self.pinned {
                self.values.insert(key.clone(), value.clone());
            }
        }
        self.removed.extend(effects.removed.iter().cloned());
        while REMOVED < self.removed.len() {
            self.removed.pop_front();
        }
        for no in effects.devices.iter().filter_map(|(no, device)| device.is_none().then_some(*no)) {
            self.values.retain(|key, _| key.source_no != no);
            self.versions.retain(|_, key| key.source_no != no);
            self.gone.insert(no);
        }
        self.forget();
    }

    fn note_changes(&mut self, effects: &Effects) {
        // What memory was told before the disk is told again with it.
        let known = self.changes.back().map_or(0, |(version, _)| *version);
        let changed = effects.values.iter().filter_map(|(key, value)| Some((value.as_ref()?.version, key)));
        let mut changed: Vec<(i64, &ValueKey)> = changed.filter(|(version, _)| known < *version).collect();
        changed.sort_unstable_by_key(|(version, _)| *version);
        self.changes.extend(changed.into_iter().map(|(version, key)| (version, key.clone())));
        self.changes.drain(..self.changes.len().saturating_sub(CHANGES));
    }

    /// What was announced of a device removed lately.
    pub(crate) fn removed(&self, source: &Source) -> Option<Card> {
        self.removed.iter().rev().find(|card| card.source == *source).cloned()
    }

    /// What a new database needs of this: entries after a number, and the values with the entries they refer to.
    pub(crate) fn remembered(&self, delivered: i64) -> Effects {
        let mut effects = Effects::default();
        for (key, value) in self.values.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            if let Held::Alarm(no, alarm) = &value.held {
                let entry = self.entry(*no).unwrap_or_else(|| {
                    Arc::new(Entry::new(*no, key.source_no, Record::Alarm(Arc::clone(alarm))))
                });
                effects.entries.push(entry);
            }
            effects.values.insert(key.clone(), Some(Arc::clone(value)));
        }
        effects.entries.extend(self.tail(delivered).cloned());
        effects.entries.sort_by_key(|entry| entry.no);
        effects.entries.dedup_by_key(|entry| entry.no);
        let pictures = effects.entries.iter().filter_map(|entry| entry.picture_row());
        effects.pictures = pictures.collect();
        effects
    }

    /// Forgets the oldest, unless only memory has them.
    pub(crate) fn forget(&mut self) {
        if self.pinned {
            return;
        }
        self.values.retain(|_, value| value.is_some());
        self.gone.clear();
        while REMEMBERED < self.entries.len() {
            self.entries.pop_front();
        }
        while REMEMBERED < self.versions.len() {
            if let Some((_, key)) = self.versions.pop_first() {
                self.values.remove(&key);
            }
        }
    }

    /// Drops entries up to a number for good: memory is full and the disk refuses.
    pub(crate) fn drop_until(&mut self, no: i64) {
        let until = self.entries.partition_point(|entry| entry.no <= no);
        self.entries.drain(..until);
    }

    /// Whether nothing after a number is missing here.
    pub(crate) fn covers(&self, after: i64) -> bool {
        self.entries.front().is_some_and(|first| first.no <= after + 1)
    }

    /// Entries after a number, if none between is missing here.
    pub(crate) fn entries_after(&self, after: i64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.covers(after).then(|| self.tail(after).take(limit).cloned().collect())
    }

    /// The oldest number known here.
    pub(crate) fn first(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.no)
    }

    /// Entries of one source after a number, whether or not some between are missing here.
    pub(crate) fn entries_of(&self, source_no: i64, after: i64, limit: usize) -> Vec<Arc<Entry>> {
        self.tail(after).filter(|entry| entry.source_no == source_no).take(limit).cloned().collect()
    }

    /// An entry.
    pub(crate) fn entry(&self, no: i64) -> Option<Arc<Entry>> {
        self.tail(no - 1).next().filter(|entry| entry.no == no).cloned()
    }

    /// Which values changed after a version, if no change between is missing here; one that changed twice comes twice.
    pub(crate) fn changes_after(&self, after: i64) -> Option<Vec<(ValueKey, i64)>> {
        let (first, _) = self.changes.front()?;
        let from = self.changes.partition_point(|(version, _)| *version <= after);
        let changed = || self.changes.range(from..).map(|(version, key)| (key.clone(), *version)).collect();
        (*first <= after + 1).then(changed)
    }

    /// Which values changed after a version as far as they are known here, with the version of each.
    pub(crate) fn versions_after(&self, after: i64) -> impl Iterator<Item = (ValueKey, i64)> {
        self.versions.range(after + 1..).map(|(version, key)| (key.clone(), *version))
    }

    /// A value: `None` if it is not known here, `Some(None)` if it is known to be gone.
    pub(crate) fn value(&self, key: &ValueKey) -> Option<Option<Arc<Value>>> {
        self.values.get(key).cloned().or_else(|| self.gone.contains(&key.source_no).then_some(None))
    }

    /// The values of the sources from `from` to `to` as far as they are known here.
    pub(crate) fn values_within(&self, from: i64, to: i64) -> Vec<(ValueKey, Arc<Value>)> {
        let within = |key: &ValueKey| from <= key.source_no && key.source_no <= to;
        let known = self.values.iter().filter(|(key, _)| within(key));
        known.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
    }

    /// What each source has left after a number, in the order of the first of each.
    pub(crate) fn left_after(&self, after: i64) -> Vec<Left> {
        let mut left: BTreeMap<i64, Left> = BTreeMap::new();
        for entry in self.tail(after) {
            let (source_no, no) = (entry.source_no, entry.no);
            let of = left.entry(source_no).or_insert(Left { source_no, count: 0, first: no, last: no });
            of.count += 1;
            of.last = no;
        }
        let mut left: Vec<Left> = left.into_values().collect();
        left.sort_by_key(|left| left.first);
        left
    }

    /// Entries after a number, whether or not some between are missing here.
    pub(crate) fn tail(&self, after: i64) -> impl Iterator<Item = &Arc<Entry>> {
        let from = self.entries.partition_point(|entry| entry.no <= after);
        self.entries.range(from..)
    }
}
