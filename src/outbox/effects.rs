//! Changes of one commit, as plain data: computed first and written second, so that a failed commit can be tried
//! again with the same data.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cluster::ClusterChanges;
use super::delivery::changes::DeliveryChanges;
use super::log::changes::{Forgotten, LogChanges};
use super::state::changes::StateChanges;
use super::state::value::{Value, ValueContent};

/// Everything one commit changes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Effects {
    /// Entries, pictures and requests.
    pub(crate) log: LogChanges,
    /// Devices, activities and current values.
    pub(crate) state: StateChanges,
    /// Positions, retained topics and parked messages.
    pub(crate) delivery: DeliveryChanges,
    /// Spool, and the position in the cluster's log.
    pub(crate) cluster: ClusterChanges,
}

impl Effects {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.is_empty() && self.state.is_empty() && self.delivery.is_empty() && self.cluster.is_empty()
    }

    /// Adds the changes of a later commit.
    pub(crate) fn merge(&mut self, later: Self) {
        self.log.merge(later.log);
        self.state.merge(later.state);
        self.delivery.merge(later.delivery);
        self.cluster.merge(later.cluster);
    }

    /// Rough size in memory, for the bound while the disk refuses writes.
    pub(crate) fn bytes(&self) -> usize {
        self.log.bytes() + self.state.bytes() + self.cluster.bytes()
    }

    /// Forgets the oldest entries until the rest takes at most `most` bytes. Entries that a current value refers to
    /// stay.
    pub(crate) fn forget_oldest(&mut self, most: usize, delivered: i64) -> Forgotten {
        let held = |value: &Option<Arc<Value>>| match value.as_deref() {
            Some(Value { held: ValueContent::Alarm(no, _), .. }) => Some(*no),
            _ => None,
        };
        let needed: BTreeSet<i64> = self.state.values.values().filter_map(held).collect();
        let excess = self.bytes().saturating_sub(most);
        self.log.forget_oldest(excess, &needed, delivered)
    }
}
