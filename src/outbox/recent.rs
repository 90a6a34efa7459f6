//! What was committed lately, in memory: relays that keep up never read the disk, and while the disk refuses writes
//! this is where its alarms are found.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::effects::{Effects, Entry, Value, ValueKey};
use crate::model::Source;
use crate::model::value::Card;

/// So many entries and values are remembered while the disk has them too.
const REMEMBERED: usize = 2_048;
/// So many removed devices.
const REMOVED: usize = 256;

/// The end of the log and the latest values.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Arc<Entry>>,
    values: HashMap<ValueKey, Option<Arc<Value>>>,
    versions: BTreeMap<i64, ValueKey>,
    /// What was announced of devices removed lately.
    removed: VecDeque<Card>,
    /// The disk has not got them: nothing may be forgotten.
    pub(crate) pinned: bool,
}

impl Recent {
    /// Takes over what a commit changed.
    pub(crate) fn take(&mut self, effects: &Effects) {
        self.entries.extend(effects.entries.iter().cloned());
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
        }
        self.forget();
    }

    /// Forgets the oldest, unless only memory has them.
    pub(crate) fn forget(&mut self) {
        if self.pinned {
            return;
        }
        self.values.retain(|_, value| value.is_some());
        while REMEMBERED < self.entries.len() {
            self.entries.pop_front();
        }
        while REMEMBERED < self.versions.len() {
            if let Some((_, key)) = self.versions.pop_first() {
                self.values.remove(&key);
            }
        }
    }

    /// What was announced of a device removed lately.
    pub(crate) fn removed(&self, source: &Source) -> Option<Card> {
        self.removed.iter().rev().find(|card| card.source == *source).cloned()
    }

    /// Drops the oldest entry for good: memory is full and the disk refuses.
    pub(crate) fn drop_oldest(&mut self) -> Option<Arc<Entry>> {
        self.entries.pop_front()
    }

    /// Entries after a number, if none between is missing here.
    pub(crate) fn entries_after(&self, after: i64, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let first = self.entries.front()?.no;
        (first <= after + 1).then(|| self.tail(after).take(limit).cloned().collect())
    }

    /// The oldest entries known here.
    pub(crate) fn first_entries(&self, limit: usize) -> Vec<Arc<Entry>> {
        self.entries.iter().take(limit).cloned().collect()
    }

    /// Entries of one source after a number, whether or not some between are missing here.
    pub(crate) fn entries_of(&self, source_no: i64, after: i64, limit: usize) -> Vec<Arc<Entry>> {
        self.tail(after).filter(|entry| entry.source_no == source_no).take(limit).cloned().collect()
    }

    /// An entry.
    pub(crate) fn entry(&self, no: i64) -> Option<Arc<Entry>> {
        self.tail(no - 1).next().filter(|entry| entry.no == no).cloned()
    }

    /// Values changed after a version, if none between is missing here; latest state of each.
    pub(crate) fn values_after(&self, after: i64, limit: usize) -> Option<Vec<(ValueKey, Arc<Value>)>> {
        let (first, _) = self.versions.first_key_value()?;
        if after + 1 < *first && !self.pinned {
            return None;
        }
        let changed = self.versions.range(after + 1..).take(limit);
        Some(changed.filter_map(|(_, key)| Some((key.clone(), self.values.get(key)?.clone()?))).collect())
    }

    /// A value: `None` if it is not known here, `Some(None)` if it is known to be gone.
    pub(crate) fn value(&self, key: &ValueKey) -> Option<Option<Arc<Value>>> {
        self.values.get(key).cloned()
    }

    fn tail(&self, after: i64) -> impl Iterator<Item = &Arc<Entry>> {
        let from = self.entries.partition_point(|entry| entry.no <= after);
        self.entries.range(from..)
    }
}
