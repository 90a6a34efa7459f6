//! Changes to delivery in one commit.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::position::Position;
use crate::outbox::state::value::ValueKey;

/// Changes to positions, retained topics and parked messages.
#[derive(Debug, Default, Clone)]
pub(crate) struct DeliveryChanges {
    /// Changed positions, by sink; `None`: the sink is removed.
    pub(crate) positions: BTreeMap<String, Option<Position>>,
    /// Topics, by sink and topic, that a sink published retained for the first time, or emptied (`None`).
    pub(crate) retained: BTreeMap<(String, String), Option<ValueKey>>,
    /// Changes to the parked messages, in order.
    pub(crate) parked: Vec<ParkedChange>,
}

/// A change to the parked messages.
#[derive(Debug, Clone)]
pub(crate) enum ParkedChange {
    /// Parks an entry that the broker refuses.
    Add { sink: String, entry: i64, topic: String, code: String, reason: String, at: Timestamp },
    /// Removes a message that was delivered after all, dropped, or is sent again as a new entry.
    Remove(i64),
}

impl DeliveryChanges {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.retained.is_empty() && self.parked.is_empty()
    }

    /// Adds the changes of a later commit.
    pub(crate) fn merge(&mut self, later: Self) {
        self.positions.extend(later.positions);
        self.retained.extend(later.retained);
        self.parked.extend(later.parked);
    }
}
