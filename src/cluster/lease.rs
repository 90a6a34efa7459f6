//! The leases: who decides and publishes. They save work and fence nothing; that is done by the readers of the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, UpdateErrorKind};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::link::JetStreamLink;
use super::survey::Shared;

/// Time before its end from which on a lease counts as expired.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2);
/// Interval of checks of another instance's lease.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Longest time that a lease waits for its partition, before it is given away.
const CLOSING: Duration = Duration::from_millis(500);
/// Time that a free lease is left to an instance that owns fewer.
const COURTESY: Duration = Duration::from_secs(2);
/// Number of leases for which an instance leaves to others what it gave up; twice as many at each further time.
const GIVEN_UP_LEASES: u32 = 4;
/// Number of doublings at most.
const MAX_DOUBLINGS: u32 = 6;

/// The value of a lease.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    v: u32,
    owner: String,
    since: String,
}

/// The lease of a partition as this instance has it.
#[derive(Debug, Default)]
pub(super) struct Lease {
    until: Mutex<Option<Instant>>,
    /// It is ours in the bucket, as far as is known.
    held: AtomicBool,
    caught_up: AtomicBool,
    renounced: AtomicBool,
    /// It is to be given to an instance that owns fewer.
    surplus: AtomicBool,
    /// The partition is at work for its owner.
    working: AtomicBool,
    given_up: Mutex<GivenUp>,
}

/// A lease that was given up because a broker could not be reached.
#[derive(Debug, Default)]
struct GivenUp {
    /// Number of times since this instance last published.
    times: u32,
    /// Time until which it is left to others.
    until: Option<Instant>,
}

/// All leases.
#[derive(Debug)]
pub(super) struct Leases {
    period: Duration,
    leases: Vec<Lease>,
    leaving: AtomicBool,
    /// Wakes all that wait when the instance leaves.
    left: tokio::sync::Notify,
}

impl Lease {
    /// Returns whether this instance holds the lease now.
    pub(super) fn is_valid(&self) -> bool {
        let until = *self.until.lock();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Sets whether the log was read to its end.
    pub(super) fn caught_up(&self, is: bool) {
        self.caught_up.store(is, Ordering::Release);
    }

    /// Sets whether the partition is at work for its owner.
    pub(super) fn working(&self, is: bool) {
        self.working.store(is, Ordering::Release);
    }

    /// Returns whether the lease is this instance's in the bucket, as far as is known, though it may not be valid.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Gives the lease to others, since a broker cannot be reached from here.
    pub(super) fn give_up(&self, period: Duration) {
        let mut given_up = self.given_up.lock();
        let leases = GIVEN_UP_LEASES << given_up.times.min(MAX_DOUBLINGS);
        (given_up.times, given_up.until) = (given_up.times + 1, Some(Instant::now() + period * leases));
        self.surplus.store(true, Ordering::Release);
    }

    /// Notes that the partition is published from here.
    pub(super) fn publishes(&self) {
        *self.given_up.lock() = GivenUp::default();
    }

    /// Returns whether the lease is left to others because it was given up.
    fn is_given_up(&self) -> bool {
        self.given_up.lock().until.is_some_and(|until| Instant::now() < until)
    }

    /// Forgets the lease, when there is no connection to keep it.
    pub(super) fn drop_held(&self) {
        self.set(None);
        self.held.store(false, Ordering::Release);
        self.caught_up(false);
    }

    /// Waits until the partition has saved its positions.
    async fn closed(&self) {
        let until = Instant::now() + CLOSING;
        while self.working.load(Ordering::Acquire) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Releases the lease for good.
    pub(super) fn renounce(&self) {
        self.renounced.store(true, Ordering::Release);
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock() = until;
    }
}

impl Leases {
    /// None is held.
    pub(super) fn new(period: Duration, partitions: u64) -> Self {
        Self {
            period,
            leases: (0..partitions).map(|_| Lease::default()).collect(),
            leaving: AtomicBool::new(false),
            left: tokio::sync::Notify::new(),
        }
    }

    /// Each lease with the number of its partition.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, &Lease)> {
        (0_u64..).zip(&self.leases)
    }

    /// Longest time from a renewal to the end of a lease.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Partitions that this instance owns.
    pub(super) fn owned(&self) -> Vec<u64> {
        self.each().filter(|(_, lease)| lease.is_valid()).map(|(k, _)| k).collect()
    }

    /// Returns whether all logs were read to their ends.
    pub(super) fn is_caught_up(&self) -> bool {
        self.leases
            .iter()
            .all(|lease| lease.caught_up.load(Ordering::Acquire) && !lease.renounced.load(Ordering::Acquire))
    }

    /// Returns whether a lease is left to others because it was given up.
    pub(super) fn holds_back(&self) -> bool {
        self.leases.iter().any(Lease::is_given_up)
    }

    /// Returns whether this instance is leaving.
    pub(super) fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Gives the last owned one to an instance that owns fewer.
    pub(super) fn give_one(&self) {
        if let Some(lease) = self.leases.iter().rev().find(|lease| lease.is_valid()) {
            lease.surplus.store(true, Ordering::Release);
        }
    }

    /// Waits, not longer than until this instance leaves.
    pub(super) async fn pause(&self, time: Duration) {
        let left = self.left.notified();
        if !self.leaving() {
            drop(tokio::time::timeout(time, left).await);
        }
    }

    /// Gives all away, within a second.
    pub(super) async fn give_away(&self) {
        let until = Instant::now() + Duration::from_secs(1);
        self.leaving.store(true, Ordering::Release);
        self.left.notify_waiters();
        while self.leases.iter().any(|lease| lease.held.load(Ordering::Acquire)) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Gets the lease of a partition when it is free, and renews it.
    pub(super) async fn keep(
        &self,
        (k, lease): (u64, &Lease),
        name: &str,
        link: &JetStreamLink,
        shared: &Shared,
    ) {
        let (key, since) = (format!("p.{k}"), crate::host::now().to_string());
        let value: Bytes =
            serde_json::to_vec(&Held { v: 1, owner: name.to_owned(), since }).unwrap_or_default().into();
        let mut turn = Turn { key, name, value, revision: None, free_since: None, link, shared };
        loop {
            let renounced = lease.renounced.load(Ordering::Acquire);
            let surplus = lease.surplus.swap(false, Ordering::AcqRel) && turn.revision.is_some();
            if self.leaving() || renounced || surplus {
                lease.set(None);
                lease.closed().await;
                turn.give_away().await;
                lease.held.store(false, Ordering::Release);
                if self.leaving() || renounced {
                    return std::future::pending().await;
                }
                self.pause(2 * COURTESY).await;
                continue;
            }
            let sent = Instant::now();
            match tokio::time::timeout(self.period / 4, self.step(lease, &mut turn)).await {
                Ok(Ok(held)) => {
                    turn.revision = held;
                    lease.held.store(held.is_some(), Ordering::Release);
                    lease.set(held.map(|_| sent + self.period.saturating_sub(EXPIRY_MARGIN)));
                }
                // If the answer is lost, the next check shows whether it was renewed; the time already granted stays.
                Ok(Err(())) | Err(_) => turn.revision = None,
            }
            let until =
                Instant::now() + if turn.revision.is_some() { self.period / 4 } else { CHECK_INTERVAL };
            let ends = || self.leaving() || lease.surplus.load(Ordering::Acquire);
            while Instant::now() < until && !ends() {
                self.pause(CHECK_INTERVAL / 5).await;
            }
        }
    }

    /// Time that a free lease is left to others: to those that reach the brokers, if this instance does not; if nobody
    /// takes it meanwhile, this instance does.
    fn courtesy(&self, lease: &Lease, turn: &Turn<'_>) -> Duration {
        if lease.is_given_up() {
            return self.period;
        }
        if turn.shared.reach.has_failed() {
            return self.period / 2;
        }
        let fewer = turn.shared.members.has_fewer(turn.name, self.owned().len(), self.period);
        if fewer { COURTESY } else { Duration::ZERO }
    }

    /// Renews, adopts or creates the lease. Returns its revision if this instance holds it.
    async fn step(&self, lease: &Lease, turn: &mut Turn<'_>) -> Result<Option<u64>, ()> {
        let (store, key, value) = (&turn.link.leases, &turn.key, turn.value.clone());
        if let Some(revision) = turn.revision {
            return match store.update(key, value, revision).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
                Err(_) => Err(()),
            };
        }
        let entry = store.entry(key).await.map_err(drop)?;
        if let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) {
            turn.free_since = None;
            let owner = serde_json::from_slice::<Held>(&entry.value).map(|held| held.owner);
            // Held by this instance: from before a restart, or by a renewal whose answer was lost.
            let own = owner.is_ok_and(|owner| owner == turn.name) && lease.caught_up.load(Ordering::Acquire);
            return if own {
                store.update(key, value, entry.revision).await.map(Some).map_err(drop)
            } else {
                Ok(None)
            };
        }
        if !lease.caught_up.load(Ordering::Acquire) {
            return Ok(None);
        }
        let since = *turn.free_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.courtesy(lease, turn) {
            return Ok(None);
        }
        Ok(store.create(key, value).await.ok())
    }
}

/// The keeping of a lease.
struct Turn<'a> {
    key: String,
    name: &'a str,
    value: Bytes,
    revision: Option<u64>,
    /// Time since which nobody has it.
    free_since: Option<Instant>,
    link: &'a JetStreamLink,
    shared: &'a Shared,
}

impl Turn<'_> {
    /// Deletes it, if it is ours.
    async fn give_away(&mut self) {
        let Some(revision) = self.revision.take() else { return };
        if self.link.leases.delete_expect_revision(&self.key, Some(revision)).await.is_ok() {
            tracing::info!("the lease {} is given away", self.key);
        }
    }
}
