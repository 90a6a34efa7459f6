//! Comparison of the database with what was published from it. Pure.
//!
//! Two places outside the database record its end: the [witness](super::witness) beside it, and the broker, where the
//! [`Mark`] is retained as a part of `bridge/token`. A restored copy of the whole folder has an old witness too,
//! which agrees with the old database; then the mark shows it.
//!
//! Each start has a number, one more than the last; it is in the database and synced before anything is published. So
//! a mark of a later start than the database knows of was published from a newer database, and so was one of the last
//! start with a higher entry. A mark names only entries that are on the disk: after a kill or a power cut the
//! database is never behind it.
//!
//! A database that is behind is used as it is. Numbers continue after everything that may have been published:
//! entries past the reservation of the witness; `seq` of every source past that reservation, or the mark's, and past
//! the Unix time in seconds. `seq_floor` is stored, so that a source first heard later begins past it too.

use std::fmt;
use std::str::FromStr;

use super::witness::{Marks, store};

/// Identity and counters of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DatabaseCard {
    /// Identity of the store: that of its first database, kept by databases that are made from memory after it.
    pub(crate) store: String,
    /// Number of starts of the store.
    pub(crate) starts: i64,
    /// Maximum `seq` that may have been used; every source continues after it.
    pub(crate) seq_floor: u64,
    /// Highest `seq` of removed devices; a new device begins after it.
    pub(crate) removed_seq: u64,
    /// Maximum number of an entry that may have been used; entries continue after it.
    pub(crate) no_floor: i64,
}

/// Age of a database, judged by its witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Age {
    /// It is as new as when the last process ended.
    Sound,
    /// Alarms that only memory held are lost; they had been answered with `durable: false`.
    Forgot,
    /// It is older than when the last process ended; with the reason.
    Older(String),
    /// It is another database; with the reason.
    Foreign(String),
}

/// Compares a database with the witness. `database`: its card and its last entry; `None`: there was none, or an empty
/// one.
pub(crate) fn judge(witness: &Marks, database: Option<(&DatabaseCard, i64)>) -> Age {
    let Some((card, last)) = database else {
        return Age::Older(format!("it is missing or empty, and had {} entries", witness.written));
    };
    if store(&card.store) != witness.store {
        return Age::Foreign("it is not the one that was used here before".into());
    }
    if last < witness.written {
        return Age::Older(format!("it ends with entry {last}, and entry {} was written", witness.written));
    }
    if card.starts < witness.starts {
        let (known, starts) = (card.starts, witness.starts);
        return Age::Older(format!("it knows of start {known}, and start {starts} was the last"));
    }
    if witness.from_memory { Age::Forgot } else { Age::Sound }
}

/// End of the database at a publication, as the broker retains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Number of the start.
    pub(crate) starts: i64,
    /// Run of the process, to tell apart two with the same number of starts.
    pub(crate) run: i64,
    /// Last entry on the disk.
    pub(crate) no: i64,
    /// Highest `seq` that may have been used.
    pub(crate) seq: u64,
}

impl Mark {
    /// Returns whether the other mark has another start, or other numbers that may have been used.
    pub(crate) fn is_of_other_numbers(&self, other: &Self) -> bool {
        (self.starts, self.seq) != (other.starts, other.seq)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.starts, self.run, self.no, self.seq)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(());
        let number = |text: &str| text.parse::<i64>().map_err(drop);
        let mark = Self {
            starts: number(part()?)?,
            run: number(part()?)?,
            no: number(part()?)?,
            seq: part()?.parse().map_err(drop)?,
        };
        // Others may write the topic: numbers that leave no room for ours are ignored.
        let all =
            (0..1 << 32).contains(&mark.starts) && (0..1 << 53).contains(&mark.no) && mark.seq < 1 << 48;
        (all && parts.next().is_none()).then_some(mark).ok_or(())
    }
}

/// State of the database at this start, to compare marks with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DatabaseAtStart {
    /// Number of starts recorded in it.
    pub(crate) starts: i64,
    /// Its last entry.
    pub(crate) no: i64,
    /// Run of this process.
    pub(crate) run: i64,
}

impl DatabaseAtStart {
    /// Reason why a mark shows that the database is older than what was published; `None` if it does not.
    pub(crate) fn is_behind(&self, mark: &Mark) -> Option<String> {
        if mark.run == self.run || mark.starts < self.starts {
            return None;
        }
        if mark.starts == self.starts {
            let (no, published) = (self.no, mark.no);
            return (no < published)
                .then(|| format!("it ended with entry {no}, and the broker has seen entry {published}"));
        }
        let (known, seen) = (self.starts, mark.starts);
        Some(format!("it knew of {known} starts, and the broker has seen start {seen}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(starts: i64) -> DatabaseCard {
        DatabaseCard { store: "one".into(), starts, ..DatabaseCard::default() }
    }

    fn witness() -> Marks {
        Marks { store: store("one"), starts: 7, written: 100, ..Marks::default() }
    }

    #[test]
    fn a_database_as_new_as_its_witness_or_newer_is_sound() {
        for (starts, last) in [(7, 100), (7, 101), (8, 100), (8, 50_000)] {
            assert_eq!(judge(&witness(), Some((&card(starts), last))), Age::Sound);
        }
        let from_memory = Marks { from_memory: true, ..witness() };
        assert_eq!(judge(&from_memory, Some((&card(7), 100))), Age::Forgot);
    }

    #[test]
    fn an_older_one_another_one_and_none_are_told_apart() {
        for database in [None, Some((&card(7), 99)), Some((&card(6), 100))] {
            assert!(matches!(judge(&witness(), database), Age::Older(_)), "{database:?}");
        }
        let other = DatabaseCard { store: "two".into(), ..card(9) };
        assert!(matches!(judge(&witness(), Some((&other, 900))), Age::Foreign(_)));
    }

    fn mark(starts: i64, run: i64, no: i64) -> Mark {
        Mark { starts, run, no, seq: 1_795_000_000 }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        let mark = mark(3, 1_795_000_000_000_000, 42);
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for text in [
            "",
            "1-2-3",
            "1-2-3-4-5",
            "a-2-3-4",
            "1-2-3--4",
            "1-2-9223372036854775807-4",
            "1-2-3-281474976710656",
            "-1-2-3-4",
        ] {
            assert_eq!(text.parse::<Mark>(), Err(()), "{text}");
        }
    }

    #[test]
    fn only_a_mark_of_a_newer_database_shows_that_this_one_is_behind() {
        let origin = DatabaseAtStart { starts: 7, no: 100, run: 77 };
        for sound in [mark(7, 66, 100), mark(6, 55, 900), mark(8, 77, 150), mark(7, 66, 3)] {
            assert_eq!(origin.is_behind(&sound), None, "{sound}");
        }
        for newer in [mark(7, 66, 101), mark(8, 88, 100), mark(8, 88, 3), mark(9, 88, 100)] {
            assert!(origin.is_behind(&newer).is_some(), "{newer}");
        }
    }
}
