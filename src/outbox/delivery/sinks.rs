//! Delivery to each sink as memory has it, shared by the writer, relays and pages.

use std::collections::BTreeMap;

use super::position::Position;
use crate::outbox::shared::SharedState;

/// Delivery to one sink.
#[derive(Debug, Default)]
pub(crate) struct SinkState {
    /// Its position; `None` for a sink that is not configured.
    pub(crate) position: Option<Position>,
    /// Number of messages parked for it.
    pub(crate) parked: u64,
    /// Number up to which its backlog was dropped by the bounds; 0 if it was not.
    pub(crate) floor: i64,
    /// The last rewind requested.
    pub(crate) rewind: PendingRewind,
}

/// A position moved back by hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PendingRewind {
    /// Number of rewinds so far, this one included.
    pub(crate) count: u64,
    /// Number after which everything is to be sent again.
    pub(crate) low: i64,
}

impl SinkState {
    /// The state at the start, from the position that was read.
    pub(crate) fn begin((name, position): (String, Position)) -> (String, Self) {
        (name, Self { position: Some(position), ..Self::default() })
    }
}

impl SharedState {
    /// The position of every sink.
    pub(crate) fn positions(&self) -> BTreeMap<String, Position> {
        let sinks = self.sinks();
        let positions = sinks.iter().map(|(name, state)| Some((name.clone(), state.position.clone()?)));
        positions.flatten().collect()
    }

    /// Sets the position of a sink.
    pub(crate) fn position(&self, sink: &str, position: &Position) {
        self.sinks().entry(sink.to_owned()).or_default().position = Some(position.clone());
    }

    /// Number up to which all sinks have acknowledged everything.
    pub(crate) fn delivered(&self) -> i64 {
        let lows = |state: &SinkState| state.position.as_ref().map(|position| position.log_low);
        let lowest = self.sinks().values().filter_map(lows).min();
        lowest.unwrap_or_else(|| self.tip().borrow().no)
    }

    /// Number of messages parked for a sink.
    pub(crate) fn parked(&self, sink: &str) -> u64 {
        self.sinks().get(sink).map_or(0, |state| state.parked)
    }

    /// Sets the number of messages parked for each sink.
    pub(crate) fn note_parked(&self, counts: &BTreeMap<String, u64>) {
        let mut sinks = self.sinks();
        sinks.values_mut().for_each(|state| state.parked = 0);
        for (sink, count) in counts {
            sinks.entry(sink.clone()).or_default().parked = *count;
        }
    }

    /// Number up to which the backlog of a sink was dropped by the bounds; 0 if it was not.
    pub(crate) fn floor(&self, sink: &str) -> i64 {
        self.sinks().get(sink).map_or(0, |state| state.floor)
    }

    /// Drops the backlog of a sink up to a number, because it exceeded its bound.
    pub(crate) fn raise_floor(&self, sink: &str, floor: i64) {
        self.sinks().entry(sink.to_owned()).or_default().floor = floor;
        self.floors_changed();
    }
}
