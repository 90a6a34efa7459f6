//! Request rates per peer. They refuse requests of unknown peers; reports of cameras lose pictures, never alarms.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Number of remembered peers beyond which idle ones are forgotten.
const REMEMBERED: usize = 4_096;

/// Rate limit per peer that can change while it is in use.
#[derive(Debug, Default)]
pub(super) struct Rate {
    current: ArcSwap<Current>,
}

/// Rate in force; without a limiter there is none.
#[derive(Debug, Default)]
struct Current {
    per_second: u32,
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Rate {
    /// Counts one request of a peer; `false` if it exceeds the limit. 0 per second means no limit.
    pub(in crate::http) fn allows(&self, peer: IpAddr, per_second: u32) -> bool {
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
