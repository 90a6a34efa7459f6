//! Pauses between attempts: doubling, with jitter, between two bounds.

use std::time::Duration;

/// The first pause.
const MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const MAX: Duration = Duration::from_secs(15);

/// How long to wait before the next attempt.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One more failure; the pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let doubled =
            MIN.saturating_mul(1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that many bridges do not come back at once.
        doubled / 2 + doubled.mul_f64(f64::from(random_byte()) / 512.0)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random byte; a constant one where the system has none to give.
fn random_byte() -> u8 {
    let mut byte = [128_u8];
    if getrandom::fill(&mut byte).is_err() {
        tracing::debug!("no randomness for jitter");
    }
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use super::{Backoff, MAX, MIN};

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause()).collect();
        assert!(MIN / 2 <= pauses[0] && pauses[0] <= MIN);
        assert!(pauses.iter().all(|pause| *pause <= MAX) && MAX / 2 <= pauses[11]);
    }
}
