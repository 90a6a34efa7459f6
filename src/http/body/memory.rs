//! Memory for all request bodies. It is reserved for a body's announced length once its first bytes arrived, in the
//! order of the requests.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Divisor of the pool: one peer holds at most this share, unless it holds nothing yet.
const PEER_DIVISOR: u64 = 4;
/// Divisor of the pool: this share is for small bodies only, so that they do not wait behind large ones.
const SMALL_POOL_DIVISOR: u64 = 8;
/// Divisor of the pool: largest small body, enough for a report with an ordinary picture.
const SMALL_BODY_DIVISOR: u64 = 256;

/// Pool of memory; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct BodyMemory {
    pool: Arc<Mutex<Pool>>,
}

#[derive(Debug, Default)]
struct Pool {
    total: u64,
    /// Bytes in use of the common part.
    used: u64,
    /// Bytes in use of the part for small bodies.
    small: u64,
    peers: HashMap<IpAddr, u64>,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    peer: IpAddr,
    bytes: u64,
    part: Part,
    grant: oneshot::Sender<Reservation>,
}

/// Reserved bytes; dropping it returns them.
#[derive(Debug)]
pub(super) struct Reservation {
    memory: BodyMemory,
    peer: IpAddr,
    bytes: u64,
    part: Part,
}

/// Part of the pool that bytes are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Common,
    Small,
}

impl BodyMemory {
    /// Reserves bytes (at most `total`, the pool's current size) for a peer; waits for its turn.
    ///
    /// Requests are served in order; only a peer that already holds its share is passed over.
    pub(super) async fn reserve(&self, peer: IpAddr, bytes: u64, total: u64) -> Option<Reservation> {
        let (grant, granted) = oneshot::channel();
        {
            let mut pool = self.lock();
            pool.total = total;
            if pool.takes_small(peer, bytes) {
                pool.count(peer, bytes, Part::Small);
                return Some(Reservation { memory: self.clone(), peer, bytes, part: Part::Small });
            }
            let bytes = bytes.min(pool.common());
            pool.queue.push_back(Waiting { peer, bytes, part: Part::Common, grant });
        }
        self.hand_out();
        granted.await.ok()
    }

    /// Returns whether a body waits for memory.
    pub(super) fn is_wanted(&self) -> bool {
        self.lock().queue.iter().any(|waiting| !waiting.grant.is_closed())
    }

    /// Serves the queue as far as memory permits. Grants are sent outside the lock: one whose receiver is gone is
    /// returned at once.
    fn hand_out(&self) {
        loop {
            let Some(Waiting { peer, bytes, part, grant }) = self.lock().next() else { return };
            let reservation = Reservation { memory: self.clone(), peer, bytes, part };
            if let Err(unwanted) = grant.send(reservation) {
                drop(unwanted);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock()
    }
}

impl Pool {
    /// Size of the common part.
    fn common(&self) -> u64 {
        self.total - self.total / SMALL_POOL_DIVISOR
    }

    /// Returns whether a body is small, would have to wait, and fits into the part for small bodies.
    fn takes_small(&self, peer: IpAddr, bytes: u64) -> bool {
        let waits = !self.queue.is_empty() || self.common() < self.used + bytes;
        let held = self.peers.get(&peer).copied().unwrap_or_default();
        let part = self.total / SMALL_POOL_DIVISOR;
        waits
            && bytes <= self.total / SMALL_BODY_DIVISOR
            && self.small + bytes <= part
            && (held == 0 || held + bytes <= part / PEER_DIVISOR)
    }

    fn count(&mut self, peer: IpAddr, bytes: u64, part: Part) {
        match part {
            Part::Common => self.used += bytes,
            Part::Small => self.small += bytes,
        }
        *self.peers.entry(peer).or_default() += bytes;
    }

    /// Removes the next request that can be served from the queue and counts its bytes.
    fn next(&mut self) -> Option<Waiting> {
        let within_part = |waiting: &Waiting| {
            let held = self.peers.get(&waiting.peer).copied().unwrap_or_default();
            held == 0 || held + waiting.bytes <= self.total / PEER_DIVISOR
        };
        let turn = self.queue.iter().position(|waiting| waiting.grant.is_closed() || within_part(waiting))?;
        let fits = |waiting: &Waiting| self.used + waiting.bytes <= self.common() || self.used == 0;
        self.queue.get(turn).filter(|waiting| waiting.grant.is_closed() || fits(waiting))?;
        let waiting = self.queue.remove(turn)?;
        self.count(waiting.peer, waiting.bytes, waiting.part);
        Some(waiting)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        {
            let mut pool = self.memory.lock();
            match self.part {
                Part::Common => pool.used -= self.bytes,
                Part::Small => pool.small -= self.bytes,
            }
            if let Some(held) = pool.peers.get_mut(&self.peer) {
                *held -= self.bytes;
                if *held == 0 {
                    pool.peers.remove(&self.peer);
                }
            }
        }
        self.memory.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt as _;

    use super::BodyMemory;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test]
    async fn first_come_first_served() {
        let memory = BodyMemory::default();
        let one = memory.reserve(peer(1), 60, 100).await.unwrap();
        let mut big = Box::pin(memory.reserve(peer(2), 40, 100));
        assert!(big.as_mut().now_or_never().is_none());
        let mut small = Box::pin(memory.reserve(peer(3), 10, 100));
        assert!(small.as_mut().now_or_never().is_none(), "it came later");
        drop(one);
        assert!(big.as_mut().now_or_never().is_some());
        assert!(small.as_mut().now_or_never().is_some());
        assert_eq!(memory.lock().used, 0);
    }

    #[tokio::test]
    async fn a_peer_over_its_quarter_holds_up_nobody_else() {
        let memory = BodyMemory::default();
        let held = memory.reserve(peer(1), 40, 100).await.unwrap();
        let mut more = Box::pin(memory.reserve(peer(1), 10, 100));
        assert!(more.as_mut().now_or_never().is_none());
        assert!(memory.reserve(peer(2), 20, 100).now_or_never().is_some());
        drop(held);
        assert!(more.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_small_body_never_waits_behind_large_ones() {
        let memory = BodyMemory::default();
        let all = memory.reserve(peer(1), 1 << 20, 1 << 20).await.unwrap();
        let mut large = Box::pin(memory.reserve(peer(2), 1 << 19, 1 << 20));
        assert!(large.as_mut().now_or_never().is_none());
        let small = memory.reserve(peer(3), 1 << 12, 1 << 20).now_or_never();
        assert!(small.is_some(), "a camera is served");
        drop((small, all));
        assert!(large.as_mut().now_or_never().is_some());
        let pool = memory.lock();
        assert_eq!((pool.used, pool.small), (0, 0));
    }

    #[tokio::test]
    async fn one_that_gave_up_takes_nothing() {
        let memory = BodyMemory::default();
        let held = memory.reserve(peer(1), 100, 100).await.unwrap();
        let mut gone = Box::pin(memory.reserve(peer(2), 100, 100));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(memory.lock().peers.is_empty() && memory.lock().used == 0);
        assert!(memory.reserve(peer(3), 500, 100).now_or_never().is_some(), "never more than there is");
    }
}
