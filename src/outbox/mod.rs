//! The outbox: what is promised to a camera is kept here until a broker has it.
//!
//! One writer thread owns the database and the books (devices, numbers, activities); every change goes through it,
//! and all requests that wait share one commit. Relays and pages read through their own connections, and from memory
//! as long as they keep up. Files in the storage folder: `outbox.db` (see [`schema`]), `pictures/`, `reserve`, `lock`.
//!
//! While the disk refuses writes, the same changes are kept in memory, relays find them there, and answers say
//! `durable: false`; when it takes writes again, memory is written first, in order, in one transaction.
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

mod command;
pub mod device;
mod effects;
pub mod habit;
mod heard;
pub mod history;
mod ledger;
mod open;
pub mod parking;
mod pictures;
mod position;
mod preview;
mod reader;
mod recent;
mod recover;
mod replay;
mod retention;
mod rewind;
mod salvage;
pub mod schema;
pub mod settings;
mod shared;
mod shown;
mod space;
mod store;
mod submission;
pub mod timeline;
mod writer;

pub use command::{DeviceChange, ParkedVerb, Parking, SinkChange};
pub use effects::{Entry, Held, Value, ValueKey};
pub use heard::Heard;
pub use open::OpenError;
pub use position::Position;
pub use preview::{Preview, preview};
pub use reader::{Left, Reader, RetainedTopic};
pub use recover::{RecoverError, Recovered, recover};
pub use rewind::RewindError;
pub use settings::Settings;
pub use shared::{Counts, Tip};
pub use submission::{Appended, Closed, RawRequest, Submission};

use crate::activity::Now;
use crate::findings::Findings;
use crate::metrics::OutboxMetrics;
use crate::model::Picture;
use crate::model::value::What;
use command::Command;
use effects::Effects;
use ledger::Ledger;
use shared::Shared;
use submission::request_row;

/// Pictures of a report with more bytes are stored one report after the other.
const LARGE: usize = 1 << 20;
/// Who wants to see what is new waits no longer for it.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(250);
/// Commands that may wait for the writer.
const QUEUE: usize = 4_096;

/// A handle to the writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    folder: Arc<Path>,
    run: i64,
    start: Instant,
    fresh: bool,
}

impl Outbox {
    /// Opens the outbox in the storage folder for the sinks named, and starts its writer.
    ///
    /// A folder that cannot be written is no error: alarms are then held in memory, and that is a finding.
    ///
    /// # Errors
    /// When a newer build wrote it, or another process uses it.
    pub fn open(settings: Arc<Settings>, findings: Findings, sinks: &[&str]) -> Result<Self, OpenError> {
        let folder: Arc<Path> = settings.storage.path.as_path().into();
        let lock = open::lock(&folder)?;
        let start = Instant::now();
        let run = Timestamp::now().as_microsecond().max(1);
        let mut ledger = Ledger::new(Arc::clone(&settings), findings.clone(), run);
        let open::Found { mut disk, mut saved, fresh } = open::open_store(&folder, &findings)?;
        disk.lock = lock;
        let unwritable = disk.connection.is_none();
        let now = Now { mono: start.elapsed(), wall: Timestamp::now() };
        let (behind, written) = (std::mem::take(&mut saved.behind), saved.written);
        let positions = open::take_books(&mut ledger, saved, now, sinks);
        let known = positions.iter().filter_map(|(name, at)| Some((name.clone(), at.clone()?))).collect();
        let shared = Arc::new(Shared::new(&folder, findings, &ledger, known));
        if let Some(counts) = disk.connection.as_ref().and_then(|connection| parking::counts(connection).ok())
        {
            shared.note_parked(counts);
        }
        shared.pin(unwritable);
        // Written with the first commit; readers need not wait for that.
        shared.publish_values(&behind, &ledger);
        let (sender, commands) = mpsc::channel(QUEUE);
        let writer = writer::Writer {
            folder: folder.to_path_buf(),
            waiting: writer::Waiting::new(ledger.next_version, written),
            disk,
            ledger,
            shared: Arc::clone(&shared),
            commands,
            start,
            lazy: Effects { sinks: positions, ..behind },
            lazy_since: Some(start),
            unwritten: unwritable.then(Effects::default),
            captures: writer::Captures::new(),
            housekeeping: retention::Housekeeping::new(),
        };
        open::spawn(writer)?;
        // They may have changed since the last run.
        if sender.try_send(Command::Configure(settings)).is_err() {
            tracing::debug!("the writer ended at once");
        }
        Ok(Self { commands: sender, shared, folder, run, start, fresh })
    }

    /// Commits a report and says under which identifiers. Returns once it is on disk.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn append(&self, submission: Submission) -> Result<Appended, Closed> {
        let stored = self.store_pictures(&submission.pictures).await;
        let (reply, answer) = oneshot::channel();
        let command = Command::Submit { submission: Box::new(submission), stored, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Puts the pictures of a report on disk, before the commit that refers to them.
    async fn store_pictures(&self, pictures: &[Picture]) -> Vec<Option<Uuid>> {
        if pictures.iter().all(|picture| picture.problem.is_some()) {
            return vec![None; pictures.len()];
        }
        let data: Vec<Option<Bytes>> =
            pictures.iter().map(|p| p.problem.is_none().then(|| p.data.clone())).collect();
        let store = self.shared.pictures.clone();
        let bytes: usize = data.iter().flatten().map(Bytes::len).sum();
        // Semaphores are never closed; without a turn it would only be slower.
        let large = if LARGE < bytes { self.shared.storing_large.acquire().await.ok() } else { None };
        let turn = self.shared.storing.acquire().await;
        let stored =
            tokio::task::spawn_blocking(move || data.into_iter().map(|data| store.store(&data?)).collect());
        let stored = stored.await.unwrap_or_else(|_| vec![None; pictures.len()]);
        drop((turn, large));
        let lost = pictures.iter().zip(&stored).filter(|(p, id)| p.problem.is_none() && id.is_none()).count();
        if 0 < lost {
            let detail = format!("memory is full while the disk refuses writes; pictures dropped: {lost}");
            self.shared.findings.raise("memory_dropped", "storage", &detail);
        }
        stored
    }

    /// Keeps a request that made no alarm (wrong body, refused peer) for the Requests page.
    pub fn record(&self, id: Uuid, at: Timestamp, peer: IpAddr, request: RawRequest) {
        let row = request_row(id, at, peer, request, Vec::new());
        if self.commands.try_send(Command::Record(Box::new(row))).is_err() {
            tracing::debug!("the writer is busy; a request is not kept for the Requests page");
        }
    }

    /// A reader of its own.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.folder.to_path_buf(), Arc::clone(&self.shared))
    }

    /// How far log and values have come.
    #[must_use]
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.shared.tip()
    }

    /// Where a sink stands.
    #[must_use]
    pub fn position(&self, sink: &str) -> Position {
        self.shared.positions().remove(sink).unwrap_or_default()
    }

    /// The earliest number a sink's backlog may begin at, where bounds have raised it.
    #[must_use]
    pub fn floor(&self, sink: &str) -> i64 {
        self.shared.floor(sink)
    }

    /// The database is new (or was set aside): a broker may hold states that nobody here knows.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.fresh
    }

    /// Whether commits reach the disk.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.shared.durable()
    }

    /// What there is and what came since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Whether the writer is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Commands that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Rounds the writer has made; while it stands still with commands waiting, the disk hangs.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.shared.rounds()
    }

    /// What it counts; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> OutboxMetrics {
        self.shared.metrics.clone()
    }

    /// This run of the process, as entries note it.
    #[must_use]
    pub fn run(&self) -> i64 {
        self.run
    }

    /// Milliseconds of this run, as entries note them.
    #[must_use]
    pub fn mono_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Tells where a sink stands and what it has retained and refused; written with the next commit.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn sink(&self, change: SinkChange) -> Result<(), Closed> {
        self.commands.send(Command::Sink(change)).await.map_err(|_| Closed)
    }

    /// Changes something about devices; says whether there was something to change.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn device(&self, change: DeviceChange) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Device { change, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Sets one of the bridge's own values (`info`, `health`).
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn bridge(&self, what: What, text: String) -> Result<(), Closed> {
        self.commands.send(Command::Bridge { what, text }).await.map_err(|_| Closed)
    }

    /// Takes new settings over.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn configure(&self, settings: Arc<Settings>) -> Result<(), Closed> {
        self.commands.send(Command::Configure(settings)).await.map_err(|_| Closed)
    }

    /// Returns when everything said before is committed.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn flush(&self) -> Result<(), Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Flush(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Waits a little until what readers see is as new as the last answer to a camera.
    pub async fn settled(&self) {
        if self.shared.behind() {
            // A disk that hangs, or a bridge that stops, is shown as it is.
            drop(tokio::time::timeout(SETTLED, self.flush()).await);
        }
    }

    /// Ends when the writer has ended: after [`stop`](Self::stop), or by a mistake of ours.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Commits what is there and ends the writer.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Stop(reply)).await.is_ok() {
            // The writer may be gone already; then there is nothing to wait for.
            drop(answer.await);
        }
        // With the writer, the lock on the folder is gone.
        self.commands.closed().await;
    }
}
