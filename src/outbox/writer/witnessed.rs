//! The witness in the writer: numbers are reserved before they are used, and the last entry is noted after the
//! commit. See [`witness`].

use super::Writer;
use crate::outbox::effects::Effects;
use crate::outbox::store;
use crate::outbox::store::lineage::Mark;
use crate::outbox::store::settle::{OLDER, now_seconds};
use crate::outbox::store::witness::{self, Marks, STEP, Witness};

impl Writer {
    /// Reserves numbers ahead of those used so far, on the disk.
    pub(super) fn reserve(&mut self) {
        let Some(witness) = self.disk.witness.as_mut() else { return };
        let marks = witness.marks();
        let (no, seq) = (self.ledger.next_no - 1, self.ledger.highest_seq);
        let (half, step) = (STEP / 2, STEP.unsigned_abs());
        if no + half <= marks.reserved_no && seq + step / 2 <= marks.reserved_seq {
            return;
        }
        let reserved_no = marks.reserved_no.max(no + STEP);
        let reserved_seq = marks.reserved_seq.max(seq.saturating_add(step));
        if let Err(error) = witness.keep(Marks { reserved_no, reserved_seq, ..marks }) {
            self.lose_witness(&error);
        }
    }

    /// Notes that all entries so far are in the database. Called after the commit has returned.
    pub(super) fn witness_written(&mut self) {
        let marks = self.marks();
        if let Some(witness) = self.disk.witness.as_mut()
            && let Err(error) = witness.note(marks)
        {
            self.lose_witness(&error);
        }
        self.mark();
    }

    /// Notes that alarms were published that the database does not have.
    pub(super) fn witness_memory(&mut self) {
        let Some(witness) = self.disk.witness.as_mut() else { return };
        let marks = Marks { from_memory: true, ..witness.marks() };
        if marks == witness.marks() {
            return;
        }
        // Synced, because after a power cut nothing else shows that these numbers were used.
        if let Err(error) = witness.keep(marks) {
            self.lose_witness(&error);
        }
    }

    /// Makes a witness if there is none: it could not be written before, or was deleted.
    pub(super) fn renew_witness(&mut self) {
        let there = self.folder.join(witness::FILE).try_exists().unwrap_or(true);
        if self.unwritten.is_some() || self.disk.connection.is_none() || there && self.disk.witness.is_some()
        {
            return;
        }
        match Witness::begin(&self.folder, self.marks()) {
            Ok(witness) => self.disk.witness = Some(witness),
            Err(error) => tracing::debug!("the file `witness` cannot be written: {error}"),
        }
    }

    /// Syncs the witness at the end.
    pub(super) fn keep_witness(&mut self) {
        let Some(witness) = self.disk.witness.as_mut() else { return };
        if let Err(error) = witness.keep(witness.marks()) {
            tracing::debug!("the file `witness` cannot be synced: {error}");
        }
    }

    /// Content of the witness once everything is in the database.
    fn marks(&self) -> Marks {
        let (no, seq) = (self.ledger.next_no - 1, self.ledger.highest_seq);
        let reserved = self.disk.witness.as_ref().map(Witness::marks).unwrap_or_default();
        Marks {
            store: witness::store(&self.disk.card.store),
            starts: self.disk.card.starts,
            written: no,
            reserved_no: if reserved.reserved_no < no { no + STEP } else { reserved.reserved_no },
            reserved_seq: reserved.reserved_seq.max(seq.saturating_add(1)),
            from_memory: false,
        }
    }

    fn lose_witness(&mut self, error: &std::io::Error) {
        tracing::debug!("the file `witness` cannot be written: {error}");
        self.disk.witness = None;
    }

    /// Sets the mark that relays publish.
    pub(crate) fn mark(&self) {
        let step = STEP.unsigned_abs();
        // Without a witness, numbers are also reserved in steps, so that the mark is not published with every alarm.
        let ahead = (self.ledger.highest_seq / step + 2) * step;
        let seq = self.disk.witness.as_ref().map_or(ahead, |witness| witness.marks().reserved_seq);
        self.shared.set_mark(Mark {
            starts: self.disk.card.starts,
            run: self.disk.origin.run,
            no: self.ledger.next_no - 1,
            seq,
        });
    }

    /// Compares the mark that a broker retains. If it comes from a newer database, numbers continue after it, and a
    /// finding is raised. Returns whether it does.
    pub(super) fn seen(&mut self, mark: &Mark, effects: &mut Effects) -> bool {
        let Some(why) = self.disk.origin.is_behind(mark) else { return false };
        self.shared.findings.raise(OLDER, store::FILE, &format!("the database: {why}"));
        let floor = now_seconds().max(mark.seq.saturating_add(STEP.unsigned_abs()));
        self.ledger.raise_seq(floor);
        let card = &mut self.disk.card;
        card.seq_floor = self.ledger.seq_floor;
        card.starts = card.starts.max(mark.starts + 1);
        self.disk.origin.starts = card.starts;
        self.disk.card.removed_seq = self.ledger.removed_seq;
        self.disk.card.note(&mut effects.state);
        self.shared.is_older();
        true
    }
}
