//! Limit on wrong passwords and tokens per minute and network; beyond it no guess is checked.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// Wrong guesses per minute, enough for a person who mistypes.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Number of remembered networks beyond which those that may guess again are forgotten.
const REMEMBERED: usize = 10_000;

/// Counts guesses.
#[derive(Debug)]
pub(super) struct Throttle {
    guesses: RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { guesses: RateLimiter::keyed(Quota::per_minute(PER_MINUTE)) }
    }
}

impl Throttle {
    /// Counts a guess of a peer; `false` if it exceeds the limit.
    pub(super) fn may_guess(&self, peer: IpAddr) -> bool {
        if self.guesses.len() > REMEMBERED {
            self.guesses.retain_recent();
        }
        self.guesses.check_key(&network(peer)).is_ok()
    }
}

/// Network that a peer is counted under: an IPv6 host can use a whole /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Throttle;

    #[test]
    fn guessing_is_slow_and_a_network_counts_as_one() {
        let throttle = Throttle::default();
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!((0..50).filter(|_| throttle.may_guess(peer("192.0.2.1"))).count(), 10);
        assert!(throttle.may_guess(peer("192.0.2.2")));
        let many = (0..50).filter(|n| throttle.may_guess(peer(&format!("2001:db8::{n:x}")))).count();
        assert_eq!(many, 10);
        assert!(throttle.may_guess(peer("2001:db8:0:1::1")));
    }
}
