//! Wall clock and random numbers of the host.
//!
//! Outbox, relay and findings take both from here only, so that a simulation can derive them from one seed. Monotonic
//! time comes from tokio, which can be paused.

use std::cell::RefCell;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

thread_local! {
    static SIMULATED: RefCell<Option<Simulated>> = const { RefCell::new(None) };
}

/// Wall clock that advances with tokio's clock, and a random number generator.
#[derive(Debug)]
struct Simulated {
    /// Wall clock time at the start of the simulation.
    epoch: Timestamp,
    /// Tokio time at the same moment.
    start: Instant,
    /// State of the generator (xorshift; never 0).
    state: u64,
}

/// Current wall clock time.
#[must_use]
pub fn now() -> Timestamp {
    SIMULATED.with_borrow(|simulated| match simulated {
        None => Timestamp::now(),
        Some(Simulated { epoch, start, .. }) => {
            let passed = SignedDuration::try_from(start.elapsed()).unwrap_or_default();
            epoch.checked_add(passed).unwrap_or(*epoch)
        }
    })
}

/// Random byte; always 128 if the system provides no randomness.
#[must_use]
pub fn random_byte() -> u8 {
    SIMULATED.with_borrow_mut(|simulated| match simulated {
        None => {
            let mut byte = [128_u8];
            if getrandom::fill(&mut byte).is_err() {
                tracing::debug!("no random numbers for jitter");
            }
            let [byte] = byte;
            byte
        }
        Some(Simulated { state, .. }) => {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            state.to_le_bytes()[3]
        }
    })
}

/// Replaces the wall clock and random numbers of this thread: the clock shows `epoch` now and advances with tokio's
/// clock, random numbers follow from `seed`. For simulations only.
pub fn simulate(epoch: Timestamp, seed: u64) {
    SIMULATED.set(Some(Simulated { epoch, start: Instant::now(), state: seed | 1 }));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_host_follows_the_paused_clock_and_the_seed() {
        let epoch = Timestamp::from_second(1_800_000_000).unwrap();
        let bytes = |seed| {
            simulate(epoch, seed);
            [random_byte(), random_byte(), random_byte()]
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(now(), epoch + SignedDuration::from_secs(5));
        SIMULATED.set(None);
    }
}
