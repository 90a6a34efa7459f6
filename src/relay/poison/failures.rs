//! Messages that ended a session before any acknowledgement. Such a loss proves nothing about the message, so the next
//! session begins with a message of another sort and another source: permissions depend on either.

use std::collections::HashMap;

use crate::model::value::What;
use crate::relay::flight::Flight;

/// Sort of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    /// A log message.
    Log,
    /// A current value.
    Value(What),
    /// A message of the bridge itself.
    Bridge,
}

/// Number of such sessions, by the first message sent.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// By sort of message.
    of_sort: HashMap<Sort, u32>,
    /// By source.
    of_source: HashMap<i64, u32>,
}

impl Failures {
    /// Records a session that ended with this message alone unacknowledged.
    pub(super) fn add(&mut self, flight: &Flight) {
        let (sort, source_no) = match flight {
            Flight::Log { source_no, .. } => (Sort::Log, *source_no),
            Flight::Value { key, .. } => (Sort::Value(key.what), key.source_no),
            Flight::Bridge { .. } => (Sort::Bridge, 0),
            Flight::Gone { .. } | Flight::Removed { .. } => return,
        };
        *self.of_sort.entry(sort).or_default() += 1;
        *self.of_source.entry(source_no).or_default() += 1;
    }

    /// Number of there that were of this sort, and of this source.
    pub(super) fn of(&self, sort: Sort, source_no: i64) -> u32 {
        let of_sort = self.of_sort.get(&sort).copied().unwrap_or_default();
        of_sort.saturating_add(self.of_source.get(&source_no).copied().unwrap_or_default())
    }

    /// Resets the counts at the end of the search.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::ValueKey;

    fn value(source_no: i64, what: What) -> Flight {
        let key = ValueKey { source_no, what, event: None };
        Flight::Value { key, version: 1, topic: "t".into(), picture: None, first: false }
    }

    #[test]
    fn another_sort_of_another_source_has_no_failures() {
        let mut failures = Failures::default();
        failures.add(&value(1, What::Discovery));
        assert_eq!(failures.of(Sort::Value(What::Discovery), 1), 2);
        assert_eq!(failures.of(Sort::Value(What::Discovery), 2), 1);
        assert_eq!(failures.of(Sort::Value(What::Last), 1), 1);
        assert_eq!([failures.of(Sort::Log, 2), failures.of(Sort::Bridge, 0)], [0, 0]);
        failures.clear();
        assert_eq!(failures.of(Sort::Value(What::Discovery), 1), 0);
    }
}
