//! How many connections there are, and which one makes room when there are too many.
//!
//! Limits refuse strangers, not cameras: at a cap the oldest connection that has sent no complete request head is
//! closed (first of that peer, then of any). Only when there is none does somebody wait: for the total the accept
//! loop, for a peer's share that peer's new connection alone, so that one peer never holds up the others.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

/// The connections of one listener, under a cap that it may share with others.
#[derive(Debug)]
pub struct Connections {
    limits: Arc<ArcSwap<Limits>>,
    shared: Arc<Shared>,
    /// Which one of those that share.
    listener: usize,
    arrivals: Mutex<Arrivals>,
}

/// What listeners under one cap share.
#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    freed: Notify,
    listeners: AtomicUsize,
}

/// The connections that came since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrivals {
    /// How many.
    pub count: u64,
    /// When the latest one came, and from where.
    pub last: Option<(Timestamp, IpAddr)>,
}

/// What is open now; numbers grow with age, so the first is the oldest.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: BTreeMap<u64, Entry>,
    shares: HashMap<IpAddr, usize>,
}

/// One connection.
#[derive(Debug)]
struct Entry {
    listener: usize,
    peer: IpAddr,
    /// Counted in its peer's share; before that it waits for one.
    entered: bool,
    /// A complete request head came; from then on it is never closed to make room.
    head: bool,
    evicted: CancellationToken,
}

/// A connection's place. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    peer: IpAddr,
    evicted: CancellationToken,
}

impl Connections {
    /// None open yet. The limits are read at each arrival, so that a reload takes effect.
    #[must_use]
    pub fn new(limits: Arc<ArcSwap<Limits>>) -> Arc<Self> {
        Self::of(limits, Arc::default())
    }

    /// Those of another listener, under the same cap.
    #[must_use]
    pub fn beside(&self) -> Arc<Self> {
        Self::of(Arc::clone(&self.limits), Arc::clone(&self.shared))
    }

    fn of(limits: Arc<ArcSwap<Limits>>, shared: Arc<Shared>) -> Arc<Self> {
        let listener = shared.listeners.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { limits, shared, listener, arrivals: Mutex::default() })
    }

    /// How many there are, of all listeners that share the cap.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// How many this listener has.
    #[must_use]
    pub fn own(&self) -> usize {
        self.lock().all.values().filter(|entry| entry.listener == self.listener).count()
    }

    /// What came since the start.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the oldest connection without a complete head, of any peer; `false` when there is none.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.lock();
        let oldest = open.oldest(|_| true);
        if let Some(oldest) = oldest {
            open.evict(oldest);
        }
        oldest.is_some()
    }

    /// Takes a place under the total; closes another connection for it, or waits.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Place {
        self.note(peer);
        self.wait_for(|open, limits| {
            if open.all.len() >= limits.connections.max(1) {
                let oldest = open.oldest(|entry| entry.peer == peer).or_else(|| open.oldest(|_| true));
                open.evict(oldest?);
            }
            let number = open.next;
            open.next += 1;
            let evicted = CancellationToken::new();
            let listener = self.listener;
            let entry = Entry { listener, peer, entered: false, head: false, evicted: evicted.clone() };
            open.all.insert(number, entry);
            Some(Place { connections: Arc::clone(self), number, peer, evicted })
        })
        .await
    }

    fn note(&self, peer: IpAddr) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        *arrivals = Arrivals { count: arrivals.count + 1, last: Some((Timestamp::now(), peer)) };
    }

    /// Tries until it works, each time a place was freed.
    async fn wait_for<T>(&self, mut attempt: impl FnMut(&mut Open, &Limits) -> Option<T>) -> T {
        loop {
            let mut freed = std::pin::pin!(self.shared.freed.notified());
            freed.as_mut().enable();
            let got = attempt(&mut self.lock(), &self.limits.load());
            if let Some(got) = got {
                return got;
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The oldest connection without a complete head, of those asked for.
    fn oldest(&self, of: impl Fn(&Entry) -> bool) -> Option<u64> {
        self.all.iter().find(|(_, entry)| !entry.head && of(entry)).map(|(&number, _)| number)
    }

    /// Closes a connection; its place is free at once.
    fn evict(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            entry.evicted.cancel();
        }
    }

    /// Takes a connection out of all counts.
    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.all.remove(&number)?;
        if entry.entered
            && let Some(share) = self.shares.get_mut(&entry.peer)
        {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&entry.peer);
            }
        }
        Some(entry)
    }
}

impl Place {
    /// Takes a place in the peer's share; closes another connection of the peer for it, or waits.
    pub(super) async fn enter(&self) {
        let peer = self.peer;
        self.connections
            .wait_for(|open, limits| {
                let share = open.shares.get(&peer).copied().unwrap_or_default();
                if share >= limits.connections_per_peer.max(1) {
                    open.evict(open.oldest(|entry| entry.peer == peer && entry.entered)?);
                }
                if let Some(entry) = open.all.get_mut(&self.number) {
                    entry.entered = true;
                    *open.shares.entry(peer).or_default() += 1;
                }
                Some(())
            })
            .await;
    }

    /// A complete request head came: from now on this connection is never closed to make room.
    pub(super) fn head_complete(&self) {
        if let Some(entry) = self.connections.lock().all.get_mut(&self.number) {
            entry.head = true;
        }
    }

    /// Ends when the connection has to make room for another.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.number);
        self.connections.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use arc_swap::ArcSwap;
    use futures_util::FutureExt as _;

    use super::{Connections, Place};
    use crate::config::Limits;

    fn connections(total: usize, per_peer: usize) -> Arc<Connections> {
        let limits = Limits { connections: total, connections_per_peer: per_peer, ..Limits::default() };
        Connections::new(Arc::new(ArcSwap::from_pointee(limits)))
    }

    async fn place(connections: &Arc<Connections>, peer: u8) -> Place {
        let place = connections.admit(IpAddr::from([10, 0, 0, peer])).await;
        place.enter().await;
        place
    }

    #[tokio::test]
    async fn the_oldest_silent_one_of_the_peer_makes_room_then_of_any() {
        let all = connections(3, 8);
        let (stranger, talking, silent) = (place(&all, 9).await, place(&all, 1).await, place(&all, 1).await);
        talking.head_complete();
        let fourth = place(&all, 1).await;
        assert!(silent.evicted.is_cancelled() && !stranger.evicted.is_cancelled());
        fourth.head_complete();
        let fifth = place(&all, 1).await;
        assert!(stranger.evicted.is_cancelled() && !talking.evicted.is_cancelled());
        fifth.head_complete();
        assert_eq!(all.count(), 3);
        assert!(all.admit(IpAddr::from([10, 0, 0, 7])).now_or_never().is_none(), "none is silent: it waits");
        drop(talking);
        assert!(all.admit(IpAddr::from([10, 0, 0, 7])).now_or_never().is_some());
    }

    #[tokio::test]
    async fn listeners_share_the_cap_and_count_their_own() {
        let all = connections(2, 8);
        let beside = all.beside();
        let (first, second) = (place(&all, 1).await, place(&beside, 2).await);
        first.head_complete();
        second.head_complete();
        assert_eq!((all.count(), beside.count(), all.own(), beside.own()), (2, 2, 1, 1));
        assert_eq!((all.arrivals().count, beside.arrivals().count), (1, 1));
        assert!(
            beside.admit(IpAddr::from([10, 0, 0, 3])).now_or_never().is_none(),
            "none is silent: it waits"
        );
        drop(first);
        assert!(beside.admit(IpAddr::from([10, 0, 0, 3])).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_peer_at_its_cap_waits_alone() {
        let all = connections(10, 1);
        let first = place(&all, 1).await;
        first.head_complete();
        let second = all.admit(IpAddr::from([10, 0, 0, 1])).await;
        assert!(second.enter().now_or_never().is_none());
        let other = place(&all, 2).await;
        assert!(!other.evicted.is_cancelled());
        let waiting = tokio::spawn(async move {
            second.enter().await;
            second
        });
        tokio::task::yield_now().await;
        drop(first);
        drop(waiting.await.unwrap());
        drop(other);
        assert_eq!(all.count(), 0);
        assert!(all.lock().shares.is_empty());
    }
}
