//! Position of a sink in log and values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Maximum number of sources remembered as ahead. Entries of others are sent again after a crash, with the same ids.
const AHEAD: usize = 10_000;

/// Position of a sink: everything up to `log_low` is acknowledged, and of each source in `ahead` everything up to
/// its number. (Order is kept per source, so the acknowledged numbers of one source are always a prefix.)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The low-water mark of the log lane.
    pub log_low: i64,
    /// Sources, by number, that are ahead of the low-water mark, each with the number acknowledged.
    pub ahead: BTreeMap<i64, i64>,
    /// The low-water mark of the value lane.
    pub value_low: i64,
    /// The token last acknowledged at `bridge/token`.
    pub token: Option<String>,
    /// Log messages delivered over all time.
    pub delivered: u64,
    /// Log messages dropped by the bounds of the backlog over all time.
    pub dropped: u64,
}

impl Position {
    /// Number up to which all entries of a source are acknowledged.
    #[must_use]
    pub fn of(&self, source: i64) -> i64 {
        self.ahead.get(&source).copied().unwrap_or(0).max(self.log_low)
    }

    /// Moves back: everything after a number is sent again.
    pub fn rewind(&mut self, low: i64) {
        self.log_low = self.log_low.min(low);
        self.ahead.clear();
    }

    /// Forgets sources that the low-water mark covers, and those past the bound.
    pub fn trim(&mut self) {
        let low = self.log_low;
        self.ahead.retain(|_, no| low < *no);
        while AHEAD < self.ahead.len() {
            self.ahead.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn a_source_stands_at_the_further_of_both_marks() {
        let mut position = Position { log_low: 10, ahead: [(1, 7), (2, 15)].into(), ..Position::default() };
        assert_eq!((position.of(1), position.of(2), position.of(3)), (10, 15, 10));
        position.trim();
        assert_eq!(position.ahead.len(), 1);
    }
}
