//! Number of open connections, and the choice of one to close at the limit.
//!
//! The limits affect unknown peers, not cameras. At a limit the oldest connection without a complete request head is
//! closed, first of that peer, then of any; one kept open after a response is closed last. If there is none, the new
//! connection waits: the accept loop at the total limit, only that peer's new connection at a peer's limit, so that one
//! peer never delays others.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

/// Connections of one listener, under a limit that listeners may share.
#[derive(Debug)]
pub struct Connections {
    limits: Arc<ArcSwap<Limits>>,
    shared: Arc<Shared>,
    /// Index of this listener among those that share the limit.
    listener: usize,
    arrivals: Mutex<Arrivals>,
}

/// State of all listeners under one limit.
#[derive(Debug, Default)]
struct Shared {
    open: Mutex<Open>,
    freed: Notify,
    listeners: AtomicUsize,
}

/// Connections accepted since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrivals {
    /// Number of connections.
    pub count: u64,
    /// Time and peer of the latest one.
    pub last: Option<(Timestamp, IpAddr)>,
}

/// Open connections; numbers increase, so the first one is the oldest.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: BTreeMap<u64, Entry>,
    shares: HashMap<IpAddr, usize>,
}

/// State of one connection.
#[derive(Debug)]
struct Entry {
    listener: usize,
    peer: IpAddr,
    /// Set if it is counted for its peer; before that it waits for the peer's limit.
    entered: bool,
    /// Set if a complete request head arrived and has no response yet: such a connection is never closed to make
    /// room.
    head: bool,
    /// Set if one of its requests was answered; connections without any are closed before it.
    served: bool,
    evicted: CancellationToken,
}

/// Slot of a connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    peer: IpAddr,
    evicted: CancellationToken,
}

impl Connections {
    /// Creates it without connections. The limits are read at each accept, so that a reload takes effect.
    #[must_use]
    pub fn new(limits: Arc<ArcSwap<Limits>>) -> Arc<Self> {
        Self::of(limits, Arc::default())
    }

    /// Creates it for another listener under the same limit.
    #[must_use]
    pub fn beside(&self) -> Arc<Self> {
        Self::of(Arc::clone(&self.limits), Arc::clone(&self.shared))
    }

    fn of(limits: Arc<ArcSwap<Limits>>, shared: Arc<Shared>) -> Arc<Self> {
        let listener = shared.listeners.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { limits, shared, listener, arrivals: Mutex::default() })
    }

    /// Number of open connections of all listeners under the limit.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// Number of open connections of this listener.
    #[must_use]
    pub fn own(&self) -> usize {
        self.lock().all.values().filter(|entry| entry.listener == self.listener).count()
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        *self.arrivals.lock()
    }

    /// Closes the oldest connection without a complete head, of any peer; `false` if there is none.
    pub(super) fn make_room(&self) -> bool {
        let mut open = self.lock();
        let oldest = open.oldest(|_| true);
        if let Some(oldest) = oldest {
            open.evict(oldest);
        }
        oldest.is_some()
    }

    /// Takes a slot of the total limit; closes another connection for it, or waits.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> ConnectionSlot {
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
            let entry = Entry {
                listener,
                peer,
                entered: false,
                head: false,
                served: false,
                evicted: evicted.clone(),
            };
            open.all.insert(number, entry);
            Some(ConnectionSlot { connections: Arc::clone(self), number, peer, evicted })
        })
        .await
    }

    fn note(&self, peer: IpAddr) {
        let mut arrivals = self.arrivals.lock();
        *arrivals = Arrivals { count: arrivals.count + 1, last: Some((Timestamp::now(), peer)) };
    }

    /// Repeats the attempt until it succeeds, each time a slot is freed.
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
        self.shared.open.lock()
    }
}

impl Open {
    /// Oldest connection without a complete head among those selected, before those kept open after a response.
    fn oldest(&self, of: impl Fn(&Entry) -> bool) -> Option<u64> {
        let idle = self.all.iter().filter(|(_, entry)| !entry.head && of(entry));
        idle.min_by_key(|(number, entry)| (entry.served, **number)).map(|(&number, _)| number)
    }

    /// Closes a connection and frees its slot at once.
    fn evict(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            entry.evicted.cancel();
        }
    }

    /// Removes a connection from all counts.
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

impl ConnectionSlot {
    /// Takes a slot of the peer's limit; closes another connection of the peer for it, or waits.
    pub(in crate::http) async fn enter(&self) {
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

    /// Marks that a complete request head arrived: until its response the connection is never closed to make room.
    pub(super) fn head_complete(&self) {
        if let Some(entry) = self.connections.lock().all.get_mut(&self.number) {
            entry.head = true;
        }
    }

    /// Marks that the request was answered and the connection is kept open: it can be closed to make room again.
    pub(in crate::http) fn idle(&self) {
        if let Some(entry) = self.connections.lock().all.get_mut(&self.number) {
            (entry.head, entry.served) = (false, true);
        }
        self.connections.shared.freed.notify_waiters();
    }

    /// Waits until the connection must close to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for ConnectionSlot {
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

    use super::{ConnectionSlot, Connections};
    use crate::config::Limits;

    fn connections(total: usize, per_peer: usize) -> Arc<Connections> {
        let limits = Limits { connections: total, connections_per_peer: per_peer, ..Limits::default() };
        Connections::new(Arc::new(ArcSwap::from_pointee(limits)))
    }

    async fn place(connections: &Arc<Connections>, peer: u8) -> ConnectionSlot {
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
    async fn one_kept_open_makes_room_after_those_that_sent_nothing() {
        let all = connections(3, 8);
        let (kept, busy, silent) = (place(&all, 1).await, place(&all, 2).await, place(&all, 3).await);
        kept.head_complete();
        busy.head_complete();
        kept.idle();
        let fourth = place(&all, 4).await;
        assert!(silent.evicted.is_cancelled() && !kept.evicted.is_cancelled());
        fourth.head_complete();
        let fifth = all.admit(IpAddr::from([10, 0, 0, 5])).now_or_never().expect("there is room");
        fifth.head_complete();
        assert!(kept.evicted.is_cancelled());
        let mut sixth = Box::pin(all.admit(IpAddr::from([10, 0, 0, 6])));
        assert!(sixth.as_mut().now_or_never().is_none(), "all are busy: it waits");
        busy.idle();
        assert!(
            sixth.as_mut().now_or_never().is_some() && busy.evicted.is_cancelled(),
            "until one is answered"
        );
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
