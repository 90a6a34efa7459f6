//! The writer's side of the disk: opening the database again, noticing that it is damaged, gone or another one, and
//! beginning anew with what the books and memory know.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::time::Instant;

use super::Writer;
use crate::outbox::effects::Effects;
use crate::outbox::open::lock;
use crate::outbox::store::{self, FileId};

/// A damaged file is set aside at most so often: a disk that damages each new one is a disk that refuses.
const ASIDE: Duration = Duration::from_secs(60);

/// The database as the writer has it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Open for writing.
    pub(crate) connection: Option<Connection>,
    /// The file behind it.
    pub(crate) file: Option<FileId>,
    /// Which database the books were read from, or last written to; none: they were begun without one.
    pub(crate) identity: Option<String>,
    /// Nobody else may write the folder as long as this is held.
    pub(crate) lock: Option<File>,
    /// The database is an empty one: it has to be told all that is known.
    pub(crate) empty: bool,
    /// A database was begun anew since this was looked at.
    pub(crate) begun: bool,
    /// When a file was set aside last.
    pub(crate) aside: Option<Instant>,
}

impl Writer {
    /// Writes to the disk. A file that is damaged, gone or not ours is set aside and a new one begun.
    /// `all`: with what follows from the log.
    pub(super) fn write(&mut self, effects: &mut Effects, all: bool) -> rusqlite::Result<()> {
        let result = self.write_once(effects, all);
        let why = match &result {
            Ok(()) if self.is_moved() => "its file was deleted or replaced".to_owned(),
            Err(error) if store::is_damage(error) && self.disk.connection.is_some() => error.to_string(),
            _ => return result,
        };
        self.set_aside(&why)?;
        self.write_once(effects, all)
    }

    fn write_once(&mut self, effects: &mut Effects, all: bool) -> rusqlite::Result<()> {
        if self.disk.connection.is_none() {
            self.reopen()?;
        }
        if self.disk.empty {
            return self.begin_anew(effects);
        }
        if all {
            self.note_written(effects);
        }
        let connection = self.disk.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        if !all {
            store::write_without_waiting(connection, effects)?;
            self.waiting.add(effects);
            return Ok(());
        }
        store::write(connection, &[self.waiting.rows(), effects])?;
        self.waiting.written(self.ledger.next_version, self.ledger.next_no - 1);
        Ok(())
    }

    /// Notes that what follows from the log is written up to its end.
    fn note_written(&self, effects: &mut Effects) {
        effects.notes.insert(store::WRITTEN.into(), (self.ledger.next_no - 1).to_string());
    }

    /// Whether another file lies where the database was, or none.
    fn is_moved(&self) -> bool {
        self.disk.file.is_some() && FileId::of(&self.folder) != self.disk.file
    }

    /// A reader found the file damaged: it is set aside, and the next write begins a new one. Says whether to write.
    pub(super) fn reader_found_damage(&mut self) -> bool {
        if self.unwritten.is_some() || self.disk.connection.is_none() {
            return false;
        }
        if let Err(error) = self.set_aside("a page cannot be read") {
            self.refused(&error);
        }
        true
    }

    /// Sets the file aside with its companions, or what is left of them, and says so.
    fn set_aside(&mut self, why: &str) -> rusqlite::Result<()> {
        if self.disk.aside.is_some_and(|last| last.elapsed() < ASIDE) && !self.is_moved() {
            return Err(store::refusal("it is damaged again, a moment after it was begun anew"));
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
        self.shared.findings.raise("database_set_aside", name.as_deref().unwrap_or(store::FILE), &detail);
    }

    /// Opens the database again. One that is not the one the books know is set aside.
    fn reopen(&mut self) -> rusqlite::Result<()> {
        if self.disk.lock.is_none() {
            self.disk.lock = lock(&self.folder).map_err(|error| store::refusal(&error.to_string()))?;
        }
        let mut opened = store::open(&self.folder).map_err(store::OpenError::into_sqlite)?;
        if !opened.empty && self.disk.identity.as_ref() != Some(&opened.identity) {
            drop(opened);
            let aside = store::set_aside(&self.folder).map_err(store::other)?;
            self.report_aside(
                aside.as_deref(),
                "it could not be read at the start, and is not the one in use",
            );
            opened = store::open(&self.folder).map_err(store::OpenError::into_sqlite)?;
        }
        // What a failed sync left in the log may not be on the disk: nothing is to be written behind it.
        opened.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let file = FileId::of(&self.folder);
        if !opened.empty && self.disk.file != file {
            self.shared.replaced();
        }
        // One that was begun and could not be told all is still to be told.
        self.disk.empty |= opened.empty;
        self.disk.file = file;
        self.disk.connection = Some(opened.connection);
        self.disk.identity = Some(opened.identity);
        Ok(())
    }

    /// Tells an empty database all that is known: devices, activities, positions, what memory has of log and values;
    /// and `effects` with it, all in one transaction. The books' values become part of `effects`.
    fn begin_anew(&mut self, effects: &mut Effects) -> rusqlite::Result<()> {
        let remembered = self.shared.remembered();
        let mut books = Effects::default();
        self.ledger.restate(&mut books);
        books.sinks =
            self.shared.positions().into_iter().map(|(sink, position)| (sink, Some(position))).collect();
        // Later than what the books say, as it was before.
        self.ledger.renumber_values(effects);
        for (key, value) in std::mem::take(&mut books.values) {
            effects.values.entry(key).or_insert(value);
        }
        self.note_written(effects);
        let connection = self.disk.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        store::write(connection, &[&remembered, &books, effects])?;
        self.waiting.written(self.ledger.next_version, self.ledger.next_no - 1);
        self.disk.empty = false;
        self.disk.begun = true;
        self.housekeeping.began_anew();
        self.shared.replaced();
        Ok(())
    }
}

/// Whether the disk is full, and not broken: then deleting helps.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull))
}
