//! Comparison of database and witness at a start, and counting the start in both: see [`lineage`](super::lineage).

use std::path::Path;

use super as database;
use super::lineage::{Age, DatabaseAtStart, DatabaseCard, judge};
use super::witness::{self, Marks, STEP, Witness, store};
use crate::findings::{FindingCode, Findings};
use crate::outbox::writer::Disk;

/// Code of the finding of a database that is older than what was published.
pub(crate) const OLDER: FindingCode = FindingCode::DatabaseOlder;
/// Code of the finding of a replaced database.
const FOREIGN: FindingCode = FindingCode::DatabaseForeign;

/// Database and state found at the start.
pub(crate) struct FoundStore {
    pub(crate) disk: Disk,
    pub(crate) saved: database::Saved,
    /// Set if no state was read: there is none, it is damaged, or it is older than what was published.
    pub(crate) fresh: bool,
    /// Set if a damaged database was set aside just now.
    pub(crate) aside: bool,
}

/// Compares the database with the witness, and moves numbers past those that may have been published. Then counts
/// this start, in the database first.
pub(crate) fn settle(folder: &Path, found: &mut FoundStore, run: i64, findings: &Findings) {
    let before = found_witness(folder, found);
    let known = (!found.fresh).then_some((&found.saved.card, found.saved.next_no - 1));
    let age = before.as_ref().map(|marks| judge(marks, known));
    if let (Some(marks), Some(age)) = (before.as_ref(), age.as_ref()) {
        continue_after(marks, age, found, findings);
    }
    let starts = found.saved.card.starts.max(before.map_or(0, |marks| marks.starts));
    let no = found.saved.next_no - 1;
    found.disk.origin = DatabaseAtStart { starts, no, run };
    let card = DatabaseCard { starts, ..found.saved.card.clone() };
    count_start(folder, found, card);
}

/// The witness, if there is a valid one.
fn found_witness(folder: &Path, found: &FoundStore) -> Option<Marks> {
    match witness::read(folder) {
        witness::WitnessFile::Sound(marks, _) => return Some(marks),
        // There is none before the first start, nor before the first one of this version.
        witness::WitnessFile::Absent if found.fresh || found.saved.card.starts == 0 => {}
        witness::WitnessFile::Absent => tracing::warn!(
            "the file `witness` of the storage folder is gone: whether the database is as new as it was left cannot be told; a new one is made"
        ),
        witness::WitnessFile::Damaged => tracing::warn!(
            "the file `witness` of the storage folder is damaged: whether the database is as new as it was left cannot be told; a new one is made"
        ),
        witness::WitnessFile::Unreadable(error) => tracing::warn!(
            "the file `witness` of the storage folder cannot be read ({error}): whether the database is as new as it was left cannot be told"
        ),
        witness::WitnessFile::Newer(version) => tracing::warn!(
            "the file `witness` of the storage folder was written by a newer alarmbus (version {version}) and is left alone: whether the database is as new as it was left cannot be told"
        ),
    }
    None
}

/// Raises the finding about the database, and moves its numbers past those that may have been used.
fn continue_after(marks: &Marks, age: &Age, found: &mut FoundStore, findings: &Findings) {
    let code = match age {
        Age::Sound => return,
        Age::Forgot => {
            tracing::warn!("alarms that only memory held when the bridge was ended are gone");
            None
        }
        // A damaged database that was set aside has its own finding, and so has a folder that cannot be read.
        Age::Older(_) if found.fresh && (found.aside || found.disk.connection.is_none()) => None,
        Age::Older(_) => Some(OLDER),
        Age::Foreign(_) => Some(FOREIGN),
    };
    if let (Some(code), Age::Older(why) | Age::Foreign(why)) = (code, age) {
        findings.raise(code, database::FILE, &format!("the database: {why}"));
    }
    let saved = &mut found.saved;
    if *age != Age::Forgot {
        // A broker may retain states that this database does not know.
        found.fresh = true;
        saved.card.seq_floor = saved.card.seq_floor.max(now_seconds());
    }
    saved.card.seq_floor = saved.card.seq_floor.max(marks.reserved_seq);
    saved.card.no_floor = saved.card.no_floor.max(marks.reserved_no);
    let end = saved.next_no - 1;
    saved.next_no = saved.next_no.max(saved.card.no_floor + 1);
    for (_, position) in &mut saved.sinks {
        // There is no entry between the last one and the next number.
        if position.log_low == end {
            position.log_low = saved.next_no - 1;
        }
    }
}

/// Unix time in seconds: the first `seq` of new sources.
pub(crate) fn now_seconds() -> u64 {
    u64::try_from(crate::host::now().as_second()).unwrap_or_default()
}

/// Writes this start into the database, and then into the witness. A database that cannot be written keeps the number
/// of the last start, and gets the rest with its first commit.
fn count_start(folder: &Path, found: &mut FoundStore, mut card: DatabaseCard) {
    let last = found.saved.next_no - 1;
    if let Some(connection) = found.disk.connection.as_mut() {
        let counted = DatabaseCard { starts: card.starts + 1, ..card.clone() };
        match database::write_card(connection, &counted) {
            Ok(()) => card = counted,
            Err(error) => tracing::debug!("this start is not counted: {error}"),
        }
    }
    let highest = found.saved.highest_seq().max(card.seq_floor);
    let counted = found.disk.origin.starts < card.starts;
    found.disk.card = card;
    if !counted {
        return;
    }
    let marks = Marks {
        store: store(&found.disk.card.store),
        starts: found.disk.card.starts,
        written: last,
        reserved_no: last + STEP,
        reserved_seq: highest.saturating_add(STEP.unsigned_abs()),
        from_memory: false,
    };
    match Witness::begin(folder, marks) {
        Ok(witness) => found.disk.witness = Some(witness),
        Err(error) => tracing::warn!("the file `witness` cannot be written: {error}"),
    }
}
