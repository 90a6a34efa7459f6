//! Changes to the state in one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::device::Device;
use super::value::{Value, ValueKey};
use crate::activity::{ActivityKey, Ongoing};
use crate::model::value::{Card, What};

/// Changes to devices, activities and current values.
#[derive(Debug, Default, Clone)]
pub(crate) struct StateChanges {
    /// Changed values; `None` for a removed one.
    pub(crate) values: BTreeMap<ValueKey, Option<Arc<Value>>>,
    /// Changed devices; `None`: removed.
    pub(crate) devices: BTreeMap<i64, Option<Device>>,
    /// Counters of devices of which nothing else changed.
    pub(crate) counters: BTreeMap<i64, Counters>,
    /// Activities that began, changed or (`None`) ended.
    pub(crate) activities: BTreeMap<ActivityKey, Option<Ongoing>>,
    /// Activities that only had a further alarm.
    pub(crate) repeats: BTreeMap<ActivityKey, Ongoing>,
    /// Small texts stored by name.
    pub(crate) notes: BTreeMap<String, String>,
    /// Announcements of removed devices. Kept in memory only.
    pub(crate) removed: Vec<Card>,
}

/// Counters of a device that change with every alarm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    /// Sequence number of the latest alarm.
    pub(crate) seq: u64,
    /// Number of alarms so far.
    pub(crate) alarms: u64,
    /// Time at which it was last heard, in milliseconds since 1970.
    pub(crate) last_heard_ms: i64,
}

impl From<&Device> for Counters {
    fn from(device: &Device) -> Self {
        Self { seq: device.seq, alarms: device.alarms, last_heard_ms: device.last_heard_ms }
    }
}

impl StateChanges {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.devices.is_empty()
            && self.counters.is_empty()
            && self.activities.is_empty()
            && self.repeats.is_empty()
            && self.notes.is_empty()
    }

    /// Adds the changes of a later commit.
    pub(crate) fn merge(&mut self, later: Self) {
        self.forget_superseded(&later);
        self.values.extend(later.values);
        self.devices.extend(later.devices);
        self.counters.extend(later.counters);
        self.activities.extend(later.activities);
        self.repeats.extend(later.repeats);
        self.notes.extend(later.notes);
        self.removed.extend(later.removed);
    }

    /// Forgets counters and repeats that a later change writes as part of a whole row.
    pub(crate) fn forget_superseded(&mut self, later: &Self) {
        for no in later.devices.keys() {
            self.counters.remove(no);
        }
        for key in later.activities.keys() {
            self.repeats.remove(key);
        }
    }

    /// Returns whether the row of a value may be deferred (see [`checkpoint`](super::checkpoint)), because the entry
    /// it refers to is enough to restore it: the latest alarm of a device that has a row.
    pub(crate) fn may_defer(&self, key: &ValueKey) -> bool {
        key.what == What::Last && !self.devices.contains_key(&key.source_no)
    }

    /// Rough size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len() * 1_024 + (self.devices.len() + self.activities.len() + self.repeats.len()) * 512
    }
}
