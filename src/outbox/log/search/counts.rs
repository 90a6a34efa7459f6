//! Counts of alarms that were made already. Numbers rise, so below the end of the log a range of numbers gets no more
//! alarms: its count stays until retention deletes in it. A page with a month of a million alarms would count them all
//! again otherwise.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::EventName;

/// Maximum number of counts kept; one more, and all are made again.
const MAX_KEPT: usize = 4_096;

/// Alarms that are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::outbox::log) struct Counted {
    /// Number of the source in the database; 0 for all.
    pub(super) source: i64,
    /// The kind; `None` for all.
    pub(super) event: Option<EventName>,
    /// First number.
    pub(super) from: i64,
    /// Number after the last one; `None` for the end of the log, which rises.
    pub(super) to: Option<i64>,
}

/// Counts of the database that is open.
#[derive(Debug, Default)]
pub(crate) struct KeptCounts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Database file that was counted.
    generation: u64,
    /// Number of deletions so far.
    deletions: u64,
    /// The number up to which was counted, and the count.
    counts: HashMap<Counted, (i64, u64)>,
}

/// State of a database when a count began; after a deletion, or for another file, its result is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox::log) struct Ticket {
    generation: u64,
    deletions: u64,
}

impl KeptCounts {
    /// Begins counts of a database file.
    pub(super) fn begin(&self, generation: u64) -> Ticket {
        let mut kept = self.0.lock();
        if kept.generation != generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        Ticket { generation, deletions: kept.deletions }
    }

    /// The count of alarms up to `to`. `count` counts those from a number to before `to`; what was counted before is
    /// not counted again.
    ///
    /// # Errors
    /// Those of `count`.
    pub(super) fn get<E>(
        &self,
        ticket: Ticket,
        counted: Counted,
        to: i64,
        count: impl FnOnce(i64) -> Result<u64, E>,
    ) -> Result<u64, E> {
        let before = self.0.lock().counts.get(&counted).copied().filter(|(until, _)| *until <= to);
        let (from, known) = before.unwrap_or((counted.from, 0));
        let total = if from == to { known } else { known + count(from)? };
        let mut kept = self.0.lock();
        if (kept.generation, kept.deletions) == (ticket.generation, ticket.deletions) {
            if MAX_KEPT <= kept.counts.len() {
                kept.counts.clear();
            }
            kept.counts.insert(counted, (to, total));
        }
        Ok(total)
    }

    /// Forgets the counts of alarms up to a number, of which some were deleted.
    pub(crate) fn forget(&self, through: i64) {
        let mut kept = self.0.lock();
        kept.deletions += 1;
        kept.counts.retain(|counted, _| through < counted.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(from: i64, to: Option<i64>) -> Counted {
        Counted { source: 0, event: None, from, to }
    }

    /// Counts one alarm for each number; returns the count and the number from which was counted.
    fn count(kept: &KeptCounts, ticket: Ticket, counted: &Counted, to: i64) -> (u64, Option<i64>) {
        let mut begun = None;
        let counter = |from: i64| {
            begun = Some(from);
            Ok::<u64, ()>((to - from).unsigned_abs())
        };
        (kept.get(ticket, counted.clone(), to, counter).unwrap(), begun)
    }

    #[test]
    fn only_new_alarms_are_counted_again() {
        let kept = KeptCounts::default();
        let ticket = kept.begin(0);
        let (past, open) = (all(10, Some(20)), all(20, None));
        assert_eq!(count(&kept, ticket, &past, 20), (10, Some(10)));
        assert_eq!(count(&kept, ticket, &past, 20), (10, None));
        assert_eq!(count(&kept, ticket, &open, 25), (5, Some(20)));
        assert_eq!(count(&kept, ticket, &open, 27), (7, Some(25)));
        assert_eq!(count(&kept, ticket, &Counted { source: 3, ..past }, 20), (10, Some(10)));
    }

    #[test]
    fn deletions_and_another_database_are_counted_again() {
        let kept = KeptCounts::default();
        let ticket = kept.begin(0);
        let (old, new) = (all(10, Some(20)), all(20, Some(30)));
        count(&kept, ticket, &old, 20);
        count(&kept, ticket, &new, 30);
        kept.forget(15);
        assert_eq!(count(&kept, ticket, &old, 20), (10, Some(10)));
        assert_eq!(count(&kept, ticket, &old, 20), (10, Some(10)), "it began before the deletion: not kept");
        assert_eq!(count(&kept, kept.begin(0), &new, 30), (10, None));
        assert_eq!(count(&kept, kept.begin(1), &new, 30), (10, Some(20)));
    }
}
