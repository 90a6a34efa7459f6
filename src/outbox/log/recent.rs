//! Recent changes in memory, so that relays that keep up never read the disk, and alarms can be read while the disk
//! refuses writes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::entry::Entry;
use crate::model::value::Card;
use crate::model::{Record, Source};
use crate::outbox::effects::Effects;
use crate::outbox::reader::Left;
use crate::outbox::state::value::{Value, ValueContent, ValueKey};

/// Maximum number of entries, and of values, kept in memory that are on disk too.
pub(crate) const REMEMBERED: usize = 2_048;
/// Maximum number of value changes remembered by key alone; from them a relay that keeps up knows what to send.
const CHANGES: usize = 16_384;
/// Number of removed devices that are remembered.
const REMOVED: usize = 256;

/// The end of the log and the latest values.
#[derive(Debug, Default)]
pub(crate) struct RecentChanges {
    /// The latest entries, in order.
    entries: VecDeque<Arc<Entry>>,
    /// The latest values; `None`: removed.
    values: HashMap<ValueKey, Option<Arc<Value>>>,
    /// Keys of `values` by version.
    versions: BTreeMap<i64, ValueKey>,
    /// Recent changes of values, in order.
    changes: VecDeque<(i64, ValueKey)>,
    /// Sources removed while the disk refuses writes, whose rows are still there.
    gone: HashSet<i64>,
    /// Announcements of devices that were removed recently.
    removed: VecDeque<Card>,
    /// Forget nothing, since the disk does not have it.
    pub(crate) pinned: bool,
}

impl RecentChanges {
    /// Applies the changes of a commit.
    pub(crate) fn take(&mut self, effects: &Effects) {
        self.entries.extend(effects.log.entries.iter().cloned());
        self.take_values(effects);
    }

    /// Applies the changes of a commit to values.
    pub(crate) fn take_values(&mut self, effects: &Effects) {
        self.note_changes(effects);
        for (key, value) in &effects.state.values {
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
        self.removed.extend(effects.state.removed.iter().cloned());
        while REMOVED < self.removed.len() {
            self.removed.pop_front();
        }
        for no in effects.state.devices.iter().filter_map(|(no, device)| device.is_none().then_some(*no)) {
            self.values.retain(|key, _| key.source_no != no);
            self.versions.retain(|_, key| key.source_no != no);
            self.gone.insert(no);
        }
        self.forget();
    }

    fn note_changes(&mut self, effects: &Effects) {
        // Changes published before their commit are applied again with it.
        let known = self.changes.back().map_or(0, |(version, _)| *version);
        let changed =
            effects.state.values.iter().filter_map(|(key, value)| Some((value.as_ref()?.version, key)));
        let mut changed: Vec<(i64, &ValueKey)> = changed.filter(|(version, _)| known < *version).collect();
        changed.sort_unstable_by_key(|(version, _)| *version);
        self.changes.extend(changed.into_iter().map(|(version, key)| (version, key.clone())));
        self.changes.drain(..self.changes.len().saturating_sub(CHANGES));
    }

    /// Announcement of a device that was removed recently.
    pub(crate) fn removed(&self, source: &Source) -> Option<Card> {
        self.removed.iter().rev().find(|card| card.source == *source).cloned()
    }

    /// Rows that a new database needs: entries after a number, and the values with the entries they refer to.
    pub(crate) fn remembered(&self, delivered: i64) -> Effects {
        let mut effects = Effects::default();
        for (key, value) in self.values.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            if let ValueContent::Alarm(no, alarm) = &value.held {
                let entry = self.entry(*no).unwrap_or_else(|| {
                    Arc::new(Entry::new(*no, key.source_no, Record::Alarm(Arc::clone(alarm))))
                });
                effects.log.entries.push(entry);
            }
            effects.state.values.insert(key.clone(), Some(Arc::clone(value)));
        }
        effects.log.entries.extend(self.tail(delivered).cloned());
        effects.log.entries.sort_by_key(|entry| entry.no);
        effects.log.entries.dedup_by_key(|entry| entry.no);
        let pictures = effects.log.entries.iter().filter_map(|entry| entry.picture_row());
        effects.log.pictures = pictures.collect();
        effects
    }

    /// Forgets the oldest entries and values, unless only memory has them.
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

    /// Drops entries up to a number for good: memory is full and the disk refuses writes.
    pub(crate) fn drop_until(&mut self, no: i64) {
        let until = self.entries.partition_point(|entry| entry.no <= no);
        self.entries.drain(..until);
    }

    /// Returns whether every change after a number is in memory.
    pub(crate) fn covers(&self, after: i64) -> bool {
        self.entries.front().is_some_and(|first| first.no <= after + 1)
    }

    /// Entries after a number, if all of them are in memory.
    pub(crate) fn entries_after(&self, after: i64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.covers(after).then(|| self.tail(after).take(limit).cloned().collect())
    }

    /// The oldest number in memory.
    pub(crate) fn first(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.no)
    }

    /// Entries of one source after a number, as far as they are in memory.
    pub(crate) fn entries_of(&self, source_no: i64, after: i64, limit: usize) -> Vec<Arc<Entry>> {
        self.tail(after).filter(|entry| entry.source_no == source_no).take(limit).cloned().collect()
    }

    /// An entry.
    pub(crate) fn entry(&self, no: i64) -> Option<Arc<Entry>> {
        self.tail(no - 1).next().filter(|entry| entry.no == no).cloned()
    }

    /// Values that changed after a version, if all changes since are in memory. A value that changed twice is listed
    /// twice.
    pub(crate) fn changes_after(&self, after: i64) -> Option<Vec<(ValueKey, i64)>> {
        let (first, _) = self.changes.front()?;
        let from = self.changes.partition_point(|(version, _)| *version <= after);
        let changed = || self.changes.range(from..).map(|(version, key)| (key.clone(), *version)).collect();
        (*first <= after + 1).then(changed)
    }

    /// Values that changed after a version, as far as they are in memory, with the version of each.
    pub(crate) fn versions_after(&self, after: i64) -> impl Iterator<Item = (ValueKey, i64)> {
        self.versions.range(after + 1..).map(|(version, key)| (key.clone(), *version))
    }

    /// A value: `None` if memory does not know, `Some(None)` if it was removed.
    pub(crate) fn value(&self, key: &ValueKey) -> Option<Option<Arc<Value>>> {
        self.values.get(key).cloned().or_else(|| self.gone.contains(&key.source_no).then_some(None))
    }

    /// Values of the sources from `from` to `to`, as far as they are in memory.
    pub(crate) fn values_within(&self, from: i64, to: i64) -> Vec<(ValueKey, Arc<Value>)> {
        let within = |key: &ValueKey| from <= key.source_no && key.source_no <= to;
        let known = self.values.iter().filter(|(key, _)| within(key));
        known.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
    }

    /// Entries each source has after a number, in the order of the first of each.
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

    /// Entries after a number, as far as they are in memory.
    pub(crate) fn tail(&self, after: i64) -> impl Iterator<Item = &Arc<Entry>> {
        let from = self.entries.partition_point(|entry| entry.no <= after);
        self.entries.range(from..)
    }
}
