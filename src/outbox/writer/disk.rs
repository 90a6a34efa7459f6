//! The database of the writer: reopening it, detecting that it is damaged, deleted or replaced, and beginning a new
//! one with the state in memory.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::time::Instant;

use super::Writer;
use crate::findings::FindingCode;
use crate::outbox::effects::Effects;
use crate::outbox::open::lock;
use crate::outbox::state::checkpoint;
use crate::outbox::store::lineage::{DatabaseAtStart, DatabaseCard};
use crate::outbox::store::witness::Witness;
use crate::outbox::store::{self, FileId};

/// Minimum time between two damaged files that are set aside. A disk that damages every new file counts as one that
/// refuses writes.
const ASIDE_INTERVAL: Duration = Duration::from_secs(60);

/// State of the database in the writer.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Connection for writing; `None` while the disk refuses writes.
    pub(crate) connection: Option<Connection>,
    /// The file of the connection.
    pub(crate) file: Option<FileId>,
    /// Identity of the database that the state was read from, or last written to; `None` if there was none.
    pub(crate) identity: Option<String>,
    /// Lock of the folder.
    pub(crate) lock: Option<File>,
    /// Set if the database is empty and needs the whole state.
    pub(crate) empty: bool,
    /// Set if a new database was begun since the last check.
    pub(crate) begun: bool,
    /// Identity of the store, and the number of this start.
    pub(crate) card: DatabaseCard,
    /// State of the database when this process opened it.
    pub(crate) origin: DatabaseAtStart,
    /// The witness beside it; `None` if it cannot be written.
    pub(crate) witness: Option<Witness>,
    /// Time at which a file was last set aside.
    pub(crate) aside: Option<Instant>,
}

impl Writer {
    /// Writes to the disk. A file that is damaged, deleted or replaced is set aside, and a new one begun.
    /// `checkpoint`: include the deferred rows.
    pub(super) fn write(&mut self, effects: &mut Effects, checkpoint: bool) -> rusqlite::Result<()> {
        let result = self.write_once(effects, checkpoint);
        let why = match &result {
            Ok(()) if self.is_moved() => "its file was deleted or replaced".to_owned(),
            Err(error) if store::is_damage(error) && self.disk.connection.is_some() => error.to_string(),
            _ => return result,
        };
        self.set_aside(&why)?;
        self.write_once(effects, checkpoint)
    }

    fn write_once(&mut self, effects: &mut Effects, checkpoint: bool) -> rusqlite::Result<()> {
        if self.disk.connection.is_none() {
            self.reopen()?;
        }
        if self.disk.empty {
            return self.begin_anew(effects);
        }
        if checkpoint {
            self.note_checkpoint(effects);
        }
        let connection = self.disk.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        if !checkpoint {
            store::write_deferring(connection, effects)?;
            self.checkpoint.defer(&effects.state);
            return Ok(());
        }
        store::write(connection, Some(self.checkpoint.deferred()), &[effects])?;
        self.checkpoint.written(self.ledger.next_version, self.ledger.next_no - 1);
        Ok(())
    }

    /// Notes that all rows follow from the log up to its end.
    fn note_checkpoint(&self, effects: &mut Effects) {
        effects.state.notes.insert(checkpoint::NOTE.into(), (self.ledger.next_no - 1).to_string());
    }

    /// Returns whether the file of the database was deleted or replaced.
    fn is_moved(&self) -> bool {
        self.disk.file.is_some() && FileId::of(&self.folder) != self.disk.file
    }

    /// Sets a file aside that a reader found damaged; the next write begins a new one. Returns whether a write is
    /// needed.
    pub(super) fn reader_found_damage(&mut self) -> bool {
        if self.unwritten.is_some() || self.disk.connection.is_none() {
            return false;
        }
        if let Err(error) = self.set_aside("a page cannot be read") {
            self.refused(&error);
        }
        true
    }

    /// Sets the file aside with its companion files, and raises a finding.
    fn set_aside(&mut self, why: &str) -> rusqlite::Result<()> {
        if self.disk.aside.is_some_and(|last| last.elapsed() < ASIDE_INTERVAL) && !self.is_moved() {
            return Err(store::refusal("it was damaged again shortly after it was created"));
        }
        self.disk.connection = None;
        self.disk.file = None;
        self.disk.aside = Some(Instant::now());
        let aside = store::set_aside(&self.folder).map_err(store::other)?;
        self.report_aside(aside.as_deref(), why);
        Ok(())
    }

    fn report_aside(&self, aside: Option<&Path>, why: &str) {
        let name = aside.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let detail = match &name {
            Some(name) => format!("the outbox was damaged ({why}) and is now {name}"),
            None => format!("the outbox is lost ({why}); a new one was begun with what memory holds"),
        };
        self.shared.findings.raise(
            FindingCode::DatabaseSetAside,
            name.as_deref().unwrap_or(store::FILE),
            &detail,
        );
    }

    /// Reopens the database. One that is not the same as before is set aside.
    fn reopen(&mut self) -> rusqlite::Result<()> {
        if self.disk.lock.is_none() {
            self.disk.lock = lock(&self.folder).map_err(|error| store::refusal(&error.to_string()))?;
        }
        let mut opened = store::open(&self.folder).map_err(store::StoreError::into_sqlite)?;
        if !opened.empty && self.disk.identity.as_ref() != Some(&opened.identity) {
            drop(opened);
            let aside = store::set_aside(&self.folder).map_err(store::other)?;
            self.report_aside(
                aside.as_deref(),
                "it could not be read at the start, and is not the one in use",
            );
            opened = store::open(&self.folder).map_err(store::StoreError::into_sqlite)?;
        }
        // Pages of a failed sync may not be on the disk, so nothing may be written after them.
        opened.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let file = FileId::of(&self.folder);
        if !opened.empty && self.disk.file != file {
            self.shared.replaced();
        }
        // The whole state is still to be written if that failed before.
        self.disk.empty |= opened.empty;
        self.disk.file = file;
        self.disk.connection = Some(opened.connection);
        self.disk.identity = Some(opened.identity);
        Ok(())
    }

    /// Writes the whole state to an empty database, in one transaction: devices, activities, positions, log and values
    /// in memory, and `effects`. The values of the ledger become part of `effects`.
    fn begin_anew(&mut self, effects: &mut Effects) -> rusqlite::Result<()> {
        let remembered = self.shared.remembered();
        let mut restated = Effects::default();
        if self.disk.card.store.is_empty() {
            self.disk.card.store = self.disk.identity.clone().unwrap_or_default();
        }
        self.disk.card.removed_seq = self.ledger.removed_seq;
        self.disk.card.note(&mut restated.state);
        self.ledger.write_whole_state(&mut restated);
        restated.delivery.positions =
            self.shared.positions().into_iter().map(|(sink, position)| (sink, Some(position))).collect();
        // They need versions later than those of the ledger, as before.
        self.ledger.renumber_values(effects);
        for (key, value) in std::mem::take(&mut restated.state.values) {
            effects.state.values.entry(key).or_insert(value);
        }
        self.note_checkpoint(effects);
        (restated.cluster.spool, restated.cluster.applied) = self.shared.spool.remembered();
        let connection = self.disk.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        store::write(connection, None, &[&remembered, &restated, effects])?;
        self.checkpoint.written(self.ledger.next_version, self.ledger.next_no - 1);
        self.disk.empty = false;
        self.disk.begun = true;
        self.housekeeping.began_anew();
        self.shared.replaced();
        Ok(())
    }
}

/// Returns whether the disk is full, so that deleting helps.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull))
}
