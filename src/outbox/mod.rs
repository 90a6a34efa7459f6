//! The outbox: alarms that were answered 200 are kept here until every sink has acknowledged them.
//!
//! # Constraints
//!
//! * An alarm is on the disk, synced, before its camera gets 200. While the disk refuses writes it is kept in memory, and
//!   the answer says `durable: false`.
//! * One thread, the writer, makes all changes. Relays, pages and commands read through connections of their own.
//! * Entries of one source are delivered in order. Numbers of entries, versions of values and the `seq` of a source only
//!   rise; so do numbers and `seq` over restarts, restored backups and lost databases.
//! * A position never passes an entry that its sink has not acknowledged, parked, or lost to a bound.
//! * Of a current value only the newest version is delivered.
//! * Disk and memory are bounded. Whatever a bound drops before it was delivered is a finding.
//!
//! # Layout on disk
//!
//! Files in the storage folder:
//!
//! | file | content |
//! |---|---|
//! | `outbox.db`, `outbox.db-wal`, `outbox.db-shm` | SQLite in WAL mode, each commit synced; tables: [`schema`] |
//! | `pictures/DAY/ID.jpg` | a file for each picture, in a folder for each day |
//! | `witness` | how far the database had come (`store::witness`) |
//! | `reserve` | 4 MiB that are freed on a full disk, since deleting needs space |
//! | `lock` | held by the process that writes |
//! | `outbox.db.corrupt-TIME` | a damaged database that was set aside |
//!
//! # Write
//!
//! 1. The pictures of a report are written as files and synced (`log::pictures`).
//! 2. The report goes to the queue of the writer, which takes all that is in it (`writer`).
//! 3. The ledger computes what each report changes (`state::ledger`). The result is plain data in three parts: log,
//!    state and delivery (`effects`).
//! 4. Numbers past those used so far are reserved in the witness, and one transaction writes all changes (`store`).
//!    Rows that follow from the log may be deferred to a later commit (`state::checkpoint`).
//! 5. Memory takes the changes over (`log::recent`), each report is answered, and the tip moves, which wakes relays.
//!
//! # Read
//!
//! A relay that keeps up reads the latest entries and values from memory, and the database only when it is behind.
//! Pages read the database. While the disk refuses writes, readers find in memory what it lacks. No reader holds a
//! transaction between two calls.
//!
//! # Delete
//!
//! Housekeeping (`log::retention`) runs in steps of some milliseconds between commits. It deletes entries that all
//! sinks have and that are past the bounds on history by age or bytes, with their pictures. Entries that a current
//! value or a parked message refers to stay. Past the bounds on the backlog, it raises the number at which a sink goes
//! on: what lies before it is dropped, with a finding, and counts as history from then on.
//!
//! # Recovery
//!
//! * After a crash: entries after the last checkpoint are taken in by the ledger again (`state::checkpoint`); picture
//!   files without a row are deleted; each sink goes on at its position, which is at most a second old.
//! * The disk refuses writes: changes are kept in memory and tried again each second; memory is written first, in order,
//!   in one transaction (`writer::memory`).
//! * The database is damaged, deleted or replaced: it is set aside, and a new one begins with what memory holds
//!   (`writer::disk`). [`recover`] delivers what a file set aside still has.
//! * The database is older than what was published: witness and brokers show it, and numbers go on behind those that
//!   were used (`store::lineage`).

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub mod cluster;
mod command;
mod delivery;
mod effects;
mod log;
mod open;
mod preview;
mod reader;
pub mod settings;
mod shared;
mod state;
mod store;
mod submission;
mod writer;

pub use command::{ClusterAction, DeliveryChange, DeviceChange, ParkedVerb, Parking, SinkChange};
pub use delivery::parking;
pub use delivery::position::Position;
pub use delivery::rewind::RewindError;
pub use log::entry::Entry;
pub use log::variants::NoVariant;
pub use log::{history, timeline};
pub use open::{Execution, OpenError};
pub use preview::{Preview, preview};
pub use reader::{Left, Reader, RetainedTopic};
pub use settings::WriterSettings;
pub use shared::{Counts, Tip};
pub use state::heard::Heard;
pub use state::value::{Value, ValueContent, ValueKey};
pub use state::{device, habit};
pub use store::lineage::Mark;
pub use store::recover::{RecoverError, RecoveryResult, recover};
pub use store::schema;
pub use submission::{Appended, Closed, RawRequest, Submission};

use crate::metrics::OutboxMetrics;
use crate::model::value::What;
use cluster::{Edge, Scope};
use command::Command;
use shared::SharedState;

/// Longest time a reader waits for deferred rows to be written.
const SETTLE_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(250);
/// A handle to the writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Queue of the writer.
    commands: mpsc::Sender<Command>,
    /// Memory shared by writer, relays and pages.
    shared: Arc<SharedState>,
    /// The storage folder.
    folder: Arc<Path>,
    /// Way to run the writer and to write pictures.
    execution: Execution,
    /// Run of the process: its start in microseconds since 1970.
    run: i64,
    /// Start of the process, the zero of the monotonic clock.
    start: Instant,
    /// Converts reports for the cluster, if there is one.
    edge: Arc<OnceLock<Arc<dyn Edge>>>,
    /// In a cluster: the partition that is read for.
    scope: Option<Scope>,
    /// Set if no state was read at the start, or it is older than what was published.
    fresh: bool,
}

impl Outbox {
    /// Opens a reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(self.folder.to_path_buf(), Arc::clone(&self.shared)).scoped(self.scope)
    }

    /// The same with readers for one partition.
    #[must_use]
    pub fn scoped(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// Ends of log and values, to wait for changes.
    #[must_use]
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.shared.tip()
    }

    /// Position of a sink.
    #[must_use]
    pub fn position(&self, sink: &str) -> Position {
        self.shared.positions().remove(sink).unwrap_or_default()
    }

    /// Number at which the backlog of a sink begins at the earliest, where bounds have raised it.
    #[must_use]
    pub fn floor(&self, sink: &str) -> i64 {
        self.shared.floor(sink)
    }

    /// Returns whether a broker may hold states that this database does not have: it is new, or was set aside, or is
    /// older than what was published.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.fresh || self.shared.older()
    }

    /// End of the database, for the broker to retain; `None` as long as nothing was written in this run.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.shared.mark()
    }

    /// Compares the mark that a broker retains. Returns whether it comes from a newer database than this one; then
    /// numbers continue after it.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn seen(&self, mark: Mark) -> Result<bool, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::CompareMark { mark, reply }).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Returns whether commits reach the disk.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.shared.durable()
    }

    /// Counts of alarms and devices.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Returns whether the writer runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Number of commands that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    /// Number of rounds of the writer. If it does not change while commands wait, the disk hangs.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.shared.rounds()
    }

    /// Metrics of the outbox; a cheap handle.
    #[must_use]
    pub fn metrics(&self) -> OutboxMetrics {
        self.shared.metrics.clone()
    }

    /// This run of the process, as it is stored with entries.
    #[must_use]
    pub fn run(&self) -> i64 {
        self.run
    }

    /// Milliseconds since the start, as they are stored with entries.
    #[must_use]
    pub fn mono_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Reports the position of a sink, and what it retained and refused. Written with the next commit.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn sink(&self, mut change: SinkChange) -> Result<(), Closed> {
        if let Some(edge) = self.edge.get().filter(|_| !change.parked.is_empty()) {
            change = self.park_everywhere(edge, change).await?;
        }
        self.commands.send(Command::Sink(change)).await.map_err(|_| Closed)
    }

    /// Changes a device. Returns whether there was something to change.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn device(&self, change: DeviceChange) -> Result<bool, Closed> {
        // What a broker retains is corrected by the instance that found it.
        let local = matches!(change, DeviceChange::FoundOn(..));
        if let Some(edge) = self.edge.get().filter(|_| !local) {
            return self.act(edge, ClusterAction::Device(change)).await;
        }
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

    /// Stores a small text by name, for [`Reader::note`].
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn note(&self, key: &'static str, text: String) -> Result<(), Closed> {
        self.commands.send(Command::Note { key, text }).await.map_err(|_| Closed)
    }

    /// Replaces the settings.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn configure(&self, settings: Arc<WriterSettings>) -> Result<(), Closed> {
        self.commands.send(Command::Configure(settings)).await.map_err(|_| Closed)
    }

    /// Returns once all earlier commands are committed, with all deferred rows.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn flush(&self) -> Result<(), Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Flush(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Waits briefly until readers see everything that was answered to cameras.
    pub async fn settled(&self) {
        if self.shared.has_deferred() {
            // If the disk hangs or the bridge stops, pages show what is readable now.
            drop(tokio::time::timeout(SETTLE_TIMEOUT, self.flush()).await);
        }
    }

    /// Returns when the writer has ended: after [`stop`](Self::stop), or by a panic.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Commits what is in memory and ends the writer.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Stop(reply)).await.is_ok() {
            // The writer may be gone already; then there is nothing to wait for.
            drop(answer.await);
        }
        // The lock on the folder is released with the writer.
        self.commands.closed().await;
    }
}
