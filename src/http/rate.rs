//! Request rates per peer. They refuse strangers; of a camera they cost pictures, never alarms.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Past so many peers remembered, those that were quiet are forgotten.
const REMEMBERED: usize = 4_096;

/// A rate per peer that may change while it is in use.
#[derive(Debug, Default)]
pub(super) struct Rate {
    current: ArcSwap<Current>,
}

/// The rate in force; without a limiter there is none.
#[derive(Debug, Default)]
struct Current {
    per_second: u32,
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Rate {
    /// Counts one request of a peer; `false` when it is one too many. 0 per second means no limit.
    pub(super) fn allows(&self, peer: IpAddr, per_second: u32) -> bool {
        let mut current = self.current.load_full();
        if current.per_second != per_second {
            let limiter = NonZeroU32::new(per_second).map(|rate| RateLimiter::keyed(Quota::per_second(rate)));
            current = Arc::new(Current { per_second, limiter });
            self.current.store(Arc::clone(&current));
        }
        let Some(limiter) = &current.limiter else { return true };
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        limiter.check_key(&peer).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use std::net::IpAddr;

    #[test]
    fn each_peer_has_its_own_rate() {
        let (rate, one, two) = (Rate::default(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!((0..50).filter(|_| rate.allows(one, 20)).count(), 20);
        assert!(rate.allows(two, 20));
        assert!((0..50).all(|_| rate.allows(one, 0)), "no limit");
    }
}
