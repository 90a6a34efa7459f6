//! Opening an outbox: locks the folder, opens the database, restores the state, and starts the writer's thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::command::Command;
use super::delivery::parking;
use super::delivery::position::Position;
use super::effects::Effects;
use super::log::{pictures, retention};
use super::shared::SharedState;
use super::state::checkpoint::Checkpoint;
use super::state::ledger::Ledger;
use super::store::settle::{FoundStore, settle};
use super::store::{self, schema};
use super::writer::{self, Disk};
use super::{Outbox, WriterSettings};
use crate::activity::Now;
use crate::findings::{FindingCode, Findings};
use crate::host;

/// Error that prevents opening the outbox, since continuing would do harm.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database was written by a newer build.
    #[error(transparent)]
    Newer(#[from] schema::Newer),
    /// Another process uses the folder.
    #[error(
        "another alarmbus uses the storage folder {0}: stop that one, or give this one another storage.path"
    )]
    InUse(String),
    /// The writer's thread cannot be made.
    #[error("the outbox cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Maximum number of commands that wait for the writer.
const QUEUE: usize = 4_096;

impl Outbox {
    /// Opens the outbox in the storage folder for the sinks named, and starts its writer.
    ///
    /// If the folder cannot be written, alarms are held in memory and a finding is raised.
    ///
    /// # Errors
    /// When a newer build wrote it, or another process uses it.
    pub fn open(
        settings: Arc<WriterSettings>,
        findings: Findings,
        sinks: &[&str],
    ) -> Result<Self, OpenError> {
        Self::open_on(Execution::Threads, settings, findings, sinks)
    }

    /// Opens the outbox with a given way to run the writer.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        execution: Execution,
        settings: Arc<WriterSettings>,
        findings: Findings,
        sinks: &[&str],
    ) -> Result<Self, OpenError> {
        let folder: Arc<Path> = settings.storage.path.as_path().into();
        let lock = lock(&folder)?;
        let start = Instant::now();
        let run = host::now().as_microsecond().max(1);
        let mut ledger = Ledger::new(Arc::clone(&settings), findings.clone(), run);
        let FoundStore { mut disk, saved, fresh, .. } = open_store(&folder, run, &findings)?;
        disk.lock = lock;
        let unwritable = disk.connection.is_none();
        let now = Now { mono: start.elapsed(), wall: host::now() };
        let (checkpoint, (last_no, applied)) = (saved.checkpoint, saved.cluster.clone());
        let Restored { positions, redone: mut pending } = restore(&mut ledger, saved, now, sinks);
        let known = positions.iter().filter_map(|(name, at)| Some((name.clone(), at.clone()?))).collect();
        let shared = Arc::new(SharedState::new(&folder, findings, &ledger, known));
        shared.spool.restore(last_no, applied);
        if let Some(counts) = disk.connection.as_ref().and_then(|connection| parking::counts(connection).ok())
        {
            shared.note_parked(&counts);
        }
        shared.pin(unwritable);
        // These rows are written with the first commit: relays have the values at once, pages wait for the rows.
        shared.publish_values(&pending, &ledger);
        shared.note_deferred(!pending.state.is_empty());
        disk.card.note(&mut pending.state);
        pending.delivery.positions = positions;
        let (sender, commands) = mpsc::channel(QUEUE);
        let writer = writer::Writer {
            folder: folder.to_path_buf(),
            checkpoint: Checkpoint::new(ledger.next_version, checkpoint),
            disk,
            ledger,
            shared: Arc::clone(&shared),
            commands,
            start,
            pending,
            pending_since: Some(start),
            unwritten: unwritable.then(Effects::default),
            captures: writer::Captures::new(),
            housekeeping: retention::Housekeeping::new(),
        };
        if writer.disk.origin.starts < writer.disk.card.starts {
            writer.mark();
        }
        spawn(writer, execution)?;
        // Settings may have changed since the last run.
        if sender.try_send(Command::Configure(settings)).is_err() {
            tracing::debug!("the writer ended at once");
        }
        let edge = Arc::default();
        Ok(Self { commands: sender, shared, folder, execution, run, start, edge, scope: None, fresh })
    }
}

/// Locks the folder against a second process. `None`: the folder cannot be written.
pub(super) fn lock(folder: &Path) -> Result<Option<File>, OpenError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::{FlockOperation, flock};
    if let Err(error) = pictures::make_folder(folder) {
        tracing::debug!("the storage folder cannot be made: {error}");
    }
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let Ok(file) = options.open(folder.join("lock")) else { return Ok(None) };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(folder.display().to_string())),
        _ => Ok(Some(file)),
    }
}

/// Opens the database and reads the state. A damaged one is set aside. Where the folder cannot be written, the state is
/// read if possible, and there is no connection.
pub(super) fn open_store(folder: &Path, run: i64, findings: &Findings) -> Result<FoundStore, OpenError> {
    report_unrecovered(folder, findings);
    let mut found = find(folder, findings)?;
    settle(folder, &mut found, run, findings);
    Ok(found)
}

fn find(folder: &Path, findings: &Findings) -> Result<FoundStore, OpenError> {
    let mut aside = false;
    if let Err(error) = store::keep_lone_wal(folder) {
        tracing::debug!("the log of a lost database cannot be set aside: {error}");
    }
    for _ in 0..2 {
        let error = match store::open(folder) {
            Ok(opened) => match store::load(&opened.connection) {
                Ok(saved) => return Ok(FoundStore { aside, ..found_store(folder, opened, saved) }),
                Err(error) => store::StoreError::Sqlite(error),
            },
            Err(error) => error,
        };
        match error {
            store::StoreError::Newer(newer) => return Err(newer.into()),
            store::StoreError::Sqlite(error) if store::is_damage(&error) => {
                if !set_aside(folder, &error, findings) {
                    break;
                }
                aside = true;
            }
            error => {
                findings.raise(FindingCode::Disk, "storage", &format!("{error}; alarms are held in memory"));
                break;
            }
        }
    }
    Ok(read_only(folder))
}

/// Reports the databases that earlier processes set aside: their findings ended with the process.
fn report_unrecovered(folder: &Path, findings: &Findings) {
    for name in store::unrecovered(folder) {
        let detail = format!("{name} was set aside earlier; alarms in it that were not delivered wait there");
        findings.raise(FindingCode::DatabaseSetAside, &name, &detail);
    }
}

/// The state of a database that is open.
fn found_store(folder: &Path, opened: store::Opened, saved: store::Saved) -> FoundStore {
    let disk = Disk {
        connection: Some(opened.connection),
        file: store::FileId::of(folder),
        identity: Some(opened.identity),
        ..Disk::default()
    };
    FoundStore { disk, saved, fresh: opened.empty, aside: false }
}

/// The state of a database that cannot be written, if it can be read.
fn read_only(folder: &Path) -> FoundStore {
    let saved = store::open_for_reading(folder).and_then(|connection| store::load(&connection));
    let fresh = saved.is_err();
    let saved = saved.unwrap_or_else(|error| {
        tracing::warn!("the outbox cannot be read either ({error}): it is begun in memory");
        store::Saved { next_no: 1, next_version: 1, next_device: 1, ..store::Saved::default() }
    });
    let disk = Disk { identity: saved.identity.clone(), file: store::FileId::of(folder), ..Disk::default() };
    FoundStore { disk, saved, fresh, aside: false }
}

/// Sets a damaged database aside. Returns `false` if that fails.
fn set_aside(folder: &Path, error: &rusqlite::Error, findings: &Findings) -> bool {
    match store::set_aside(folder) {
        Ok(aside) => {
            let aside = aside.unwrap_or_else(|| folder.join(store::FILE));
            let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let detail = format!("the outbox was damaged ({error}) and is now {name}");
            findings.raise(FindingCode::DatabaseSetAside, &name, &detail);
            true
        }
        Err(error) => {
            findings.raise(
                FindingCode::Disk,
                "storage",
                &format!("the damaged outbox cannot be set aside: {error}"),
            );
            false
        }
    }
}

/// Changes that the writer has to write after the ledger was restored.
pub(super) struct Restored {
    /// Positions, by sink; `None` for a sink that is no longer configured.
    pub(super) positions: BTreeMap<String, Option<Position>>,
    /// Rows that follow from alarms after the last checkpoint.
    pub(super) redone: Effects,
}

/// Restores the ledger from what was read. New sinks begin at the end of the log.
pub(super) fn restore(ledger: &mut Ledger, mut saved: store::Saved, now: Now, sinks: &[&str]) -> Restored {
    let saved_positions = std::mem::take(&mut saved.sinks);
    let end_of_log = saved.next_no - 1;
    let redone = ledger.restore(saved, now);
    if !redone.is_empty() {
        tracing::info!("{} devices were brought up to the end of the log", redone.state.counters.len());
    }
    let mut positions: BTreeMap<String, Option<Position>> =
        saved_positions.into_iter().map(|(name, position)| (name, Some(position))).collect();
    for (name, position) in &mut positions {
        if !sinks.contains(&name.as_str()) {
            *position = None;
        }
    }
    for sink in sinks {
        let end = || Some(Position { log_low: end_of_log, ..Position::default() });
        positions.entry((*sink).to_owned()).or_insert_with(end);
    }
    Restored { positions, redone }
}

/// Way to run the writer and to write pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// On threads of their own, since they wait for the disk.
    Threads,
    /// As a task of the runtime that opens the outbox: one thread, so that a simulation can decide the order of
    /// everything.
    CurrentRuntime,
}

/// Runs the writer.
pub(super) fn spawn(writer: writer::Writer, execution: Execution) -> Result<(), OpenError> {
    if execution == Execution::CurrentRuntime {
        tokio::spawn(writer.run());
        return Ok(());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
    let run = move || runtime.block_on(writer.run());
    std::thread::Builder::new().name("outbox".into()).spawn(run).map(drop).map_err(OpenError::Thread)
}
