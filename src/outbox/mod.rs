//! The outbox: what is promised to a camera is kept here until a broker has it.
//!
//! One writer thread owns the database and the books (devices, numbers, activities); every change goes through it,
//! and all requests that wait share one commit. Relays and pages read through their own connections, and from memory
//! as long as they keep up. Files in the storage folder: `outbox.db` (see [`schema`]), `pictures/`, `reserve`, `lock`.
//!
//! While the disk refuses writes, the same changes are kept in memory, relays find them there, and answers say
//! `durable: false`; when it takes writes again, memory is written first, in order, in one transaction.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

mod command;
pub mod device;
mod effects;
pub mod history;
mod ledger;
pub mod pictures;
mod position;
mod reader;
mod recent;
mod replay;
mod retention;
pub mod schema;
pub mod settings;
mod store;
pub mod timeline;
mod writer;

pub use command::{DeviceChange, ParkedVerb, Parking, SinkChange};
pub use effects::{Entry, Held, Value, ValueKey};
pub use position::Position;
pub use reader::{Left, Reader, RetainedTopic};
pub use settings::Settings;

use crate::activity::{Activities, Now};
use crate::findings::Findings;
use crate::model::clock::ZoneSetting;
use crate::model::value::What;
use crate::model::{Alarm, Picture, Record};
use command::Command;
use effects::{Effects, RequestRow};
use ledger::Ledger;
use pictures::Pictures;
use recent::Recent;

/// Commands that may wait for the writer.
const QUEUE: usize = 4_096;

/// One report on its way into the log.
#[derive(Debug)]
pub struct Submission {
    /// UUIDv7 of the report.
    pub id: Uuid,
    /// When its last byte had come, by the wall clock.
    pub received_at: Timestamp,
    /// The same by the monotonic clock.
    pub received: Instant,
    /// Who sent it (behind a trusted proxy: the address it forwards for).
    pub peer: IpAddr,
    /// Name of the webhook it came to.
    pub webhook: String,
    /// The webhook's zone, where it has one.
    pub zone: Option<ZoneSetting>,
    /// The alarms, in order.
    pub alarms: Vec<Alarm>,
    /// The pictures they refer to.
    pub pictures: Vec<Picture>,
    /// The request itself for the Requests page; secrets already masked.
    pub request: Option<RawRequest>,
}

/// A request as it came, for the Requests page.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// Request line and headers, the secret path masked.
    pub head: String,
    /// The body, as far as it is kept.
    pub body: Bytes,
    /// The answer's status.
    pub status: u16,
    /// What became of it, in plain words.
    pub verdict: String,
}

/// What a commit answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The identifiers of the alarms, in order.
    pub ids: Vec<Uuid>,
    /// `false`: held in memory, because the disk refuses writes.
    pub durable: bool,
}

/// The writer is gone: the bridge is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge is stopping")]
pub struct Closed;

/// The outbox cannot be opened, and going on without would do harm.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer build.
    #[error(transparent)]
    Newer(#[from] schema::Newer),
    /// Another process has it.
    #[error(
        "another alarmbus uses the storage folder {0}: stop that one, or give this one another storage.path"
    )]
    InUse(String),
    /// The writer's thread cannot be made.
    #[error("the outbox cannot be started: {0}")]
    Thread(std::io::Error),
}

/// How far log and values have come; relays wait for it to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tip {
    /// The last number of the log.
    pub no: i64,
    /// The last version of a value.
    pub version: i64,
    /// Changes when values went away, so that retained topics may have to be emptied.
    pub gone: u64,
    /// Changes when a sink's floor was raised.
    pub floors: u64,
}

/// What there is and what came since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alarms committed since the start.
    pub alarms: u64,
    /// Sources known.
    pub devices: u64,
}

/// What writer, relays and pages share.
#[derive(Debug)]
pub(crate) struct Shared {
    recent: RwLock<Recent>,
    tip: watch::Sender<Tip>,
    pub(crate) pictures: Pictures,
    pub(crate) findings: Findings,
    durable: AtomicBool,
    generation: AtomicU64,
    positions: Mutex<BTreeMap<String, Position>>,
    floors: Mutex<BTreeMap<String, i64>>,
    alarms: AtomicU64,
    devices: AtomicU64,
}

/// A handle to the writer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    folder: Arc<Path>,
    run: i64,
    start: Instant,
    fresh: bool,
    /// Held as long as the outbox is open: nobody else may write the folder.
    _lock: Arc<Option<File>>,
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
        let lock = lock(&folder)?;
        let start = Instant::now();
        let run = Timestamp::now().as_microsecond().max(1);
        let mut ledger = Ledger::new(settings, findings.clone(), run);
        let (connection, saved, fresh) = open_store(&folder, &findings)?;
        let unwritable = connection.is_none();
        let now = Now { mono: start.elapsed(), wall: Timestamp::now() };
        let positions = take_books(&mut ledger, saved, now, sinks);
        let shared = Arc::new(Shared {
            recent: RwLock::default(),
            tip: watch::Sender::new(Tip {
                no: ledger.next_no - 1,
                version: ledger.next_version - 1,
                ..Tip::default()
            }),
            pictures: Pictures::new(&folder),
            findings,
            durable: AtomicBool::new(!unwritable),
            generation: AtomicU64::new(0),
            positions: Mutex::new(
                positions.iter().filter_map(|(name, at)| Some((name.clone(), at.clone()?))).collect(),
            ),
            floors: Mutex::default(),
            alarms: AtomicU64::new(0),
            devices: AtomicU64::new(ledger.devices.len() as u64),
        });
        shared.pin(unwritable);
        let (sender, commands) = mpsc::channel(QUEUE);
        let writer = writer::Writer {
            folder: folder.to_path_buf(),
            connection,
            ledger,
            shared: Arc::clone(&shared),
            commands,
            start,
            lazy: Effects { sinks: positions, ..Effects::default() },
            lazy_since: Some(start),
            unwritten: unwritable.then(Effects::default),
            housekeeping: retention::Housekeeping::new(),
        };
        spawn(writer)?;
        Ok(Self { commands: sender, shared, folder, run, start, fresh, _lock: Arc::new(lock) })
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
        let stored =
            tokio::task::spawn_blocking(move || data.into_iter().map(|data| store.store(&data?)).collect());
        stored.await.unwrap_or_else(|_| vec![None; pictures.len()])
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
        self.shared.tip.subscribe()
    }

    /// Where a sink stands.
    #[must_use]
    pub fn position(&self, sink: &str) -> Position {
        self.shared.positions().remove(sink).unwrap_or_default()
    }

    /// The earliest number a sink's backlog may begin at, where bounds have raised it.
    #[must_use]
    pub fn floor(&self, sink: &str) -> i64 {
        let floors = self.shared.floors.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(sink).copied().unwrap_or(0)
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
        Counts {
            alarms: self.shared.alarms.load(Ordering::Relaxed),
            devices: self.shared.devices.load(Ordering::Relaxed),
        }
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

    /// Commits what is there and ends the writer.
    pub async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Stop(reply)).await.is_ok() {
            // The writer may be gone already; then there is nothing to wait for.
            drop(answer.await);
        }
    }
}

impl Shared {
    pub(crate) fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The database file is another one now.
    pub(crate) fn replaced(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Nothing may be forgotten from memory, since the disk has not got it; or it may again.
    pub(crate) fn pin(&self, pinned: bool) {
        self.durable.store(!pinned, Ordering::Release);
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.pinned = pinned;
        recent.forget();
    }

    /// Drops the oldest entries from memory for good; how many there were.
    pub(crate) fn drop_oldest(&self, count: usize) -> u64 {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        (0..count).filter_map(|_| recent.drop_oldest()).count() as u64
    }

    /// Makes what a commit changed visible to relays.
    pub(crate) fn publish(&self, effects: &Effects, ledger: &Ledger) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).take(effects);
        let alarms = effects.entries.iter().filter(|entry| matches!(entry.record, Record::Alarm(_))).count();
        self.alarms.fetch_add(alarms as u64, Ordering::Relaxed);
        self.devices.store(ledger.devices.len() as u64, Ordering::Relaxed);
        let gone =
            effects.values.values().any(Option::is_none) || effects.devices.values().any(Option::is_none);
        self.tip.send_if_modified(|tip| {
            let before = *tip;
            tip.no = ledger.next_no - 1;
            tip.version = ledger.next_version - 1;
            tip.gone += u64::from(gone);
            before != *tip
        });
    }

    pub(crate) fn positions(&self) -> BTreeMap<String, Position> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes where a sink stands.
    pub(crate) fn position(&self, sink: &str, position: &Position) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.insert(sink.to_owned(), position.clone());
    }

    /// The number up to which all sinks have everything.
    pub(crate) fn delivered(&self) -> i64 {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.values().map(|position| position.log_low).min().unwrap_or_else(|| self.tip.borrow().no)
    }

    /// The backlog of a sink is past its bound: it must go on from here.
    pub(crate) fn raise_floor(&self, sink: &str, floor: i64) {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner).insert(sink.to_owned(), floor);
        self.tip.send_modify(|tip| tip.floors += 1);
    }
}

/// The row of a request.
pub(crate) fn request_row(
    id: Uuid,
    at: Timestamp,
    peer: IpAddr,
    request: RawRequest,
    alarms: Vec<Uuid>,
) -> RequestRow {
    let RawRequest { head, body, status, verdict } = request;
    RequestRow { id, at, peer: peer.to_canonical().to_string(), status, verdict, head, body, alarms }
}

/// Makes sure that nobody else writes the folder. One that cannot be written is dealt with later.
fn lock(folder: &Path) -> Result<Option<File>, OpenError> {
    use rustix::fs::{FlockOperation, flock};
    if let Err(error) = pictures::make_folder(folder) {
        tracing::debug!("the storage folder cannot be made: {error}");
    }
    let Ok(file) = File::options().create(true).truncate(false).write(true).open(folder.join("lock")) else {
        return Ok(None);
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(folder.display().to_string())),
        _ => Ok(Some(file)),
    }
}

/// Opens the database and reads the books; a damaged one is set aside, an unwritable folder is `None`.
fn open_store(
    folder: &Path,
    findings: &Findings,
) -> Result<(Option<rusqlite::Connection>, store::Saved, bool), OpenError> {
    let mut fresh = !folder.join(store::FILE).try_exists().unwrap_or(false);
    for _ in 0..2 {
        let error = match store::open(folder) {
            Ok(connection) => match store::load(&connection) {
                Ok(saved) => return Ok((Some(connection), saved, fresh)),
                Err(error) => store::OpenError::Sqlite(error),
            },
            Err(error) => error,
        };
        match error {
            store::OpenError::Newer(newer) => return Err(newer.into()),
            store::OpenError::Sqlite(error) if store::is_damage(&error) => {
                fresh = true;
                match store::set_aside(folder) {
                    Ok(aside) => {
                        let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        findings.raise(
                            "database_set_aside",
                            &name,
                            &format!("the outbox was damaged ({error}) and is now {name}"),
                        );
                    }
                    Err(error) => {
                        findings.raise(
                            "disk",
                            "storage",
                            &format!("the damaged outbox cannot be set aside: {error}"),
                        );
                        break;
                    }
                }
            }
            error => {
                findings.raise("disk", "storage", &format!("{error}; alarms are held in memory"));
                break;
            }
        }
    }
    Ok((None, store::Saved { next_no: 1, next_version: 1, next_device: 1, ..store::Saved::default() }, fresh))
}

/// Hands the books to the ledger; the positions to write: of the sinks named, new ones at the end of the log.
fn take_books(
    ledger: &mut Ledger,
    saved: store::Saved,
    now: Now,
    sinks: &[&str],
) -> BTreeMap<String, Option<Position>> {
    ledger.next_no = saved.next_no;
    ledger.next_version = saved.next_version;
    ledger.next_device = saved.next_device;
    ledger.activities = Activities::restore(saved.activities, now);
    ledger.devices = saved.devices.into_iter().map(|device| (device.source.clone(), device)).collect();
    let mut positions: BTreeMap<String, Option<Position>> =
        saved.sinks.into_iter().map(|(name, position)| (name, Some(position))).collect();
    for (name, position) in &mut positions {
        if !sinks.contains(&name.as_str()) {
            *position = None;
        }
    }
    for sink in sinks {
        let end = || Some(Position { log_low: saved.next_no - 1, ..Position::default() });
        positions.entry((*sink).to_owned()).or_insert_with(end);
    }
    positions
}

/// Runs the writer on a thread of its own.
fn spawn(writer: writer::Writer) -> Result<(), OpenError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
    let run = move || runtime.block_on(writer.run());
    std::thread::Builder::new().name("outbox".into()).spawn(run).map(drop).map_err(OpenError::Thread)
}
