//! Memory shared by writer, relays and pages: the end of the log, delivery to each sink, and whether the disk takes
//! writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, Semaphore, watch};

use super::cluster::{Hashes, SpoolMemory};
use super::delivery::position::Position;
use super::delivery::sinks::SinkState;
use super::effects::Effects;
use super::log::pictures::Pictures;
use super::log::recent::RecentChanges;
use super::log::search::KeptCounts;
use super::state::ledger::Ledger;
use super::store::lineage::Mark;
use crate::findings::{FindingCode, Findings};
use crate::metrics::OutboxMetrics;
use crate::model::Record;

/// Number of pictures written at the same time.
const STORING: usize = 4;

/// Ends of log and values; relays wait for it to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tip {
    /// Last number of the log.
    pub no: i64,
    /// Last version of a value.
    pub version: i64,
    /// Counter that rises when values are removed, so that retained topics may have to be emptied.
    pub gone: u64,
    /// Counter that rises when the floor of a sink is raised, or its position is to move back.
    pub floors: u64,
    /// Counter that rises when the disk begins or ceases to refuse writes.
    pub turns: u64,
}

/// Counts of alarms and devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alarms committed since the start.
    pub alarms: u64,
    /// Known sources.
    pub devices: u64,
}

/// Memory shared by writer, relays and pages.
#[derive(Debug)]
pub(crate) struct SharedState {
    /// The end of the log and the latest values.
    recent: RwLock<RecentChanges>,
    /// Ends of log and values.
    tip: watch::Sender<Tip>,
    /// The pictures.
    pub(crate) pictures: Pictures,
    /// Counts of alarms that were made already.
    pub(crate) counts: KeptCounts,
    /// Permits for writing pictures. More writes at the same time need more threads and are not faster.
    pub(crate) storing: Semaphore,
    /// The permit for large reports: one at a time, so that small ones do not wait for the disk.
    pub(crate) storing_large: Semaphore,
    /// Findings of the outbox.
    pub(crate) findings: Findings,
    /// Set while commits reach the disk.
    durable: AtomicBool,
    /// Set while rows are deferred (see `state::checkpoint`).
    deferred: AtomicBool,
    /// Number of database files so far; readers reopen the file when it changes.
    generation: AtomicU64,
    /// Set when a reader found the file damaged.
    damaged: AtomicBool,
    /// Wakes the writer when `damaged` is set.
    damage_seen: Notify,
    /// In a cluster: hashes of the devices, for their partitions.
    pub(super) hashes: Option<Hashes>,
    /// Wakes the cluster's sender when a message was written to the spool.
    pub(super) spooled: Notify,
    /// In a cluster: the newest messages of the spool.
    pub(crate) spool: SpoolMemory,
    /// Delivery to each sink, by name.
    sinks: Mutex<BTreeMap<String, SinkState>>,
    /// Alarms committed since the start.
    alarms: AtomicU64,
    /// Known sources.
    devices: AtomicU64,
    /// Rounds of the writer.
    rounds: AtomicU64,
    /// End of the database, for brokers to retain.
    mark: Mutex<Option<Mark>>,
    /// Set when a broker has shown that the database is older than what was published.
    older: AtomicBool,
    /// Metrics of the outbox.
    pub(crate) metrics: OutboxMetrics,
}

impl SharedState {
    /// The state at the start, from what was read.
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
            deferred: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            damaged: AtomicBool::new(false),
            damage_seen: Notify::new(),
            hashes: ledger.settings.clustered.then(|| {
                let hashes = Hashes::default();
                hashes.learn(ledger.devices.values());
                hashes
            }),
            spooled: Notify::new(),
            spool: SpoolMemory::default(),
            counts: KeptCounts::default(),
            sinks: Mutex::new(positions.into_iter().map(SinkState::begin).collect()),
            alarms: AtomicU64::new(0),
            devices: AtomicU64::new(ledger.devices.len() as u64),
            rounds: AtomicU64::new(0),
            mark: Mutex::default(),
            older: AtomicBool::new(false),
            metrics: OutboxMetrics {
                ends_without_start: ledger.ends_without_start.clone(),
                ..OutboxMetrics::default()
            },
        }
    }

    /// Counts of alarms and devices.
    pub(crate) fn counts(&self) -> Counts {
        Counts { alarms: self.alarms.load(Ordering::Relaxed), devices: self.devices.load(Ordering::Relaxed) }
    }

    /// Counts a round of the writer.
    pub(crate) fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of rounds so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Ends of log and values, to wait for changes.
    pub(crate) fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// The end of the log and the latest values.
    pub(crate) fn recent(&self) -> RwLockReadGuard<'_, RecentChanges> {
        self.recent.read()
    }

    /// End of the database, for brokers to retain.
    pub(crate) fn mark(&self) -> Option<Mark> {
        *self.mark.lock()
    }

    /// Sets the end of the database.
    pub(crate) fn set_mark(&self, mark: Mark) {
        *self.mark.lock() = Some(mark);
    }

    /// Returns whether a broker has shown that the database is older than what was published.
    pub(crate) fn older(&self) -> bool {
        self.older.load(Ordering::Acquire)
    }

    /// Notes that a broker has shown that the database is older than what was published.
    pub(crate) fn is_older(&self) {
        self.older.store(true, Ordering::Release);
    }

    /// Returns whether commits reach the disk.
    pub(crate) fn durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    /// Returns whether rows are deferred.
    pub(crate) fn has_deferred(&self) -> bool {
        self.deferred.load(Ordering::Acquire)
    }

    /// Sets whether rows are deferred.
    pub(crate) fn note_deferred(&self, deferred: bool) {
        self.deferred.store(deferred, Ordering::Release);
    }

    /// Number of database files so far.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the database file was replaced.
    pub(crate) fn replaced(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins (`pinned`) or ends the time in which the disk refuses writes; in that time memory forgets nothing.
    pub(crate) fn pin(&self, pinned: bool) {
        self.durable.store(!pinned, Ordering::Release);
        {
            let mut recent = self.recent.write();
            recent.pinned = pinned;
            recent.forget();
        }
        // Values removed meanwhile leave the disk only now, and a relay that skipped unreadable entries can read them
        // now.
        self.tip.send_modify(|tip| {
            tip.gone += u64::from(!pinned);
            tip.turns += 1;
        });
    }

    /// Drops entries from memory for good, up to a number.
    pub(crate) fn drop_until(&self, no: i64) {
        self.recent.write().drop_until(no);
    }

    /// Rows in memory that a new database needs: entries that a sink has not acknowledged, and current values with the
    /// entries they refer to.
    pub(crate) fn remembered(&self) -> Effects {
        let delivered = self.delivered();
        self.recent().remembered(delivered)
    }

    /// Wakes the writer for a damaged file, unless the file was replaced since.
    pub(crate) fn report_damage(&self, generation: u64) {
        if generation == self.generation() && !self.damaged.swap(true, Ordering::AcqRel) {
            self.damage_seen.notify_one();
        }
    }

    /// Reports an entry of the database that cannot be read, and is skipped by a relay.
    pub(crate) fn skipped_entry(&self) -> impl Fn(i64, &serde_json::Error) + use<> {
        let findings = self.findings.clone();
        move |no, error| {
            let detail = format!("entry {no} cannot be read and is skipped: {error}");
            findings.raise(FindingCode::DatabaseEntryDamaged, &no.to_string(), &detail);
        }
    }

    /// Returns whether damage was reported since the last call.
    pub(crate) fn damage(&self) -> bool {
        self.damaged.swap(false, Ordering::AcqRel)
    }

    /// Returns when damage is reported.
    pub(crate) async fn damage_reported(&self) {
        self.damage_seen.notified().await;
    }

    /// Makes the changes of a commit visible to relays.
    pub(crate) fn publish(&self, effects: &Effects, ledger: &Ledger) {
        if let Some(hashes) = &self.hashes {
            hashes.learn(effects.state.devices.values().flatten());
        }
        self.recent.write().take(effects);
        self.count(effects, ledger);
        self.move_tip(effects, ledger);
    }

    /// Makes values with new versions visible to relays again.
    pub(crate) fn publish_values(&self, effects: &Effects, ledger: &Ledger) {
        self.recent.write().take_values(effects);
        self.move_tip(effects, ledger);
    }

    fn count(&self, effects: &Effects, ledger: &Ledger) {
        for entry in &effects.log.entries {
            if let Record::Alarm(alarm) = &entry.record {
                self.alarms.fetch_add(1, Ordering::Relaxed);
                self.metrics.alarms.count(&alarm.source, &alarm.event);
            }
        }
        self.devices.store(ledger.devices.len() as u64, Ordering::Relaxed);
    }

    fn move_tip(&self, effects: &Effects, ledger: &Ledger) {
        let gone = effects.state.values.values().any(Option::is_none)
            || effects.state.devices.values().any(Option::is_none);
        self.tip.send_if_modified(|tip| {
            let before = *tip;
            tip.no = ledger.next_no - 1;
            tip.version = ledger.next_version - 1;
            tip.gone += u64::from(gone);
            before != *tip
        });
    }

    /// Delivery state of all sinks.
    pub(super) fn sinks(&self) -> MutexGuard<'_, BTreeMap<String, SinkState>> {
        self.sinks.lock()
    }

    /// Wakes relays to check their floor and rewinds.
    pub(super) fn floors_changed(&self) {
        self.tip.send_modify(|tip| tip.floors += 1);
    }
}
