//! What writer, relays and pages share: the end of the log in memory, how far everybody is, and whether the disk
//! takes writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Notify, Semaphore, watch};

use super::effects::Effects;
use super::ledger::Ledger;
use super::pictures::Pictures;
use super::position::Position;
use super::recent::Recent;
use crate::findings::Findings;
use crate::metrics::OutboxMetrics;
use crate::model::Record;

/// So many pictures are written at once.
const STORING: usize = 4;

/// How far log and values have come; relays wait for it to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tip {
    /// The last number of the log.
    pub no: i64,
    /// The last version of a value.
    pub version: i64,
    /// Changes when values went away, so that retained topics may have to be emptied.
    pub gone: u64,
    /// Changes when a sink's floor was raised, or its position is to move back.
    pub floors: u64,
    /// Changes when the disk begins or ends to refuse writes.
    pub turns: u64,
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
    /// Turns for writing pictures: more at once only need more threads.
    pub(crate) storing: Semaphore,
    /// The turn for large ones: no more than one at a time holds up the disk for the others.
    pub(crate) storing_large: Semaphore,
    pub(crate) findings: Findings,
    durable: AtomicBool,
    /// Rows that follow from the log are not written yet.
    behind: AtomicBool,
    generation: AtomicU64,
    damaged: AtomicBool,
    damage_seen: Notify,
    positions: Mutex<BTreeMap<String, Position>>,
    parked: Mutex<BTreeMap<String, u64>>,
    floors: Mutex<BTreeMap<String, i64>>,
    pub(super) rewinds: Mutex<BTreeMap<String, (u64, i64)>>,
    alarms: AtomicU64,
    devices: AtomicU64,
    rounds: AtomicU64,
    pub(crate) metrics: OutboxMetrics,
}

impl Shared {
    /// At the start, from the books as they were read.
    pub(crate) fn new(
        folder: &Path,
        findings: Findings,
        ledger: &Ledger,
        positions: BTreeMap<String, Position>,
    ) -> Self {
        let tip = Tip { no: ledger.next_no - 1, version: ledger.next_version - 1, ..Tip::default() };
        Self {
            recent: RwLock::default(),
            tip: watch::Sender::new(tip),
            pictures: Pictures::new(folder),
            storing: Semaphore::new(STORING),
            storing_large: Semaphore::new(1),
            findings,
            durable: AtomicBool::new(true),
            behind: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            damage_seen: Notify::new(),
            positions: Mutex::new(positions),
            parked: Mutex::default(),
            floors: Mutex::default(),
            rewinds: Mutex::default(),
            alarms: AtomicU64::new(0),
            devices: AtomicU64::new(ledger.devices.len() as u64),
            rounds: AtomicU64::new(0),
            metrics: OutboxMetrics::default(),
        }
    }

    /// What there is and what came since the start.
    pub(crate) fn counts(&self) -> Counts {
        Counts { alarms: self.alarms.load(Ordering::Relaxed), devices: self.devices.load(Ordering::Relaxed) }
    }

    /// The writer begins a round.
    pub(crate) fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// How far log and values have come, to wait on.
    pub(crate) fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// The earliest number a sink's backlog may begin at, where bounds have raised it.
    pub(crate) fn floor(&self, sink: &str) -> i64 {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(sink).copied().unwrap_or(0)
    }

    /// The end of the log and the latest values, as memory has them.
    pub(crate) fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commits reach the disk.
    pub(crate) fn durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether rows that follow from the log are not written yet.
    pub(crate) fn behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Notes whether rows that follow from the log are not written yet.
    pub(crate) fn note_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Release);
    }

    /// Which database file this is: it grows when another one is begun.
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
        {
            let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
            recent.pinned = pinned;
            recent.forget();
        }
        // What went away meanwhile is gone from the disk only now; and who reads past a gap may read it now.
        self.tip.send_modify(|tip| {
            tip.gone += u64::from(!pinned);
            tip.turns += 1;
        });
    }

    /// Drops entries from memory for good, up to a number.
    pub(crate) fn drop_until(&self, no: i64) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).drop_until(no);
    }

    /// What memory has of log and values that a new database needs: what sinks have not got yet, and current values
    /// with the entries they refer to.
    pub(crate) fn remembered(&self) -> Effects {
        let delivered = self.delivered();
        self.recent().remembered(delivered)
    }

    /// A reader found the file damaged; the writer is told, unless it has begun another one since.
    pub(crate) fn report_damage(&self, generation: u64) {
        if generation == self.generation() && !self.damaged.swap(true, Ordering::AcqRel) {
            self.damage_seen.notify_one();
        }
    }

    /// Whether damage was reported since this was asked last.
    pub(crate) fn damage(&self) -> bool {
        self.damaged.swap(false, Ordering::AcqRel)
    }

    /// Ends when damage is reported.
    pub(crate) async fn damage_reported(&self) {
        self.damage_seen.notified().await;
    }

    /// Makes what a commit changed visible to relays.
    pub(crate) fn publish(&self, effects: &Effects, ledger: &Ledger) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).take(effects);
        self.count(effects, ledger);
        self.move_tip(effects, ledger);
    }

    /// Makes values visible again that have new versions.
    pub(crate) fn publish_values(&self, effects: &Effects, ledger: &Ledger) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).take_values(effects);
        self.move_tip(effects, ledger);
    }

    fn count(&self, effects: &Effects, ledger: &Ledger) {
        for entry in &effects.entries {
            if let Record::Alarm(alarm) = &entry.record {
                self.alarms.fetch_add(1, Ordering::Relaxed);
                self.metrics.alarms.count(&alarm.source, &alarm.event);
            }
        }
        self.devices.store(ledger.devices.len() as u64, Ordering::Relaxed);
    }

    fn move_tip(&self, effects: &Effects, ledger: &Ledger) {
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

    /// Where every sink stands.
    pub(crate) fn positions(&self) -> BTreeMap<String, Position> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes where a sink stands.
    pub(crate) fn position(&self, sink: &str, position: &Position) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.insert(sink.to_owned(), position.clone());
    }

    /// How many messages are parked for a sink.
    pub(crate) fn parked(&self, sink: &str) -> u64 {
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.get(sink).copied().unwrap_or(0)
    }

    /// Notes how many messages are parked for each sink.
    pub(crate) fn note_parked(&self, counts: BTreeMap<String, u64>) {
        *self.parked.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// The number up to which all sinks have everything.
    pub(crate) fn delivered(&self) -> i64 {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.values().map(|position| position.log_low).min().unwrap_or_else(|| self.tip.borrow().no)
    }

    /// The backlog of a sink is past its bound: it must go on from here.
    pub(crate) fn raise_floor(&self, sink: &str, floor: i64) {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner).insert(sink.to_owned(), floor);
        self.floors_changed();
    }

    /// Wakes relays to look where they may, or must, go on.
    pub(super) fn floors_changed(&self) {
        self.tip.send_modify(|tip| tip.floors += 1);
    }
}
