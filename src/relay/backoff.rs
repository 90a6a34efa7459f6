//! Pauses between connection attempts: doubled after each failure, with jitter, between two bounds.

use std::time::Duration;

use crate::host;

/// The first pause.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Pause before the next attempt.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure. Returns the pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let doubled = MIN_PAUSE
            .saturating_mul(1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX))
            .min(MAX_PAUSE);
        self.failures = self.failures.saturating_add(1);
        // Jitter: between half and the whole pause, so that several bridges do not reconnect at the same moment.
        doubled / 2 + doubled.mul_f64(f64::from(host::random_byte()) / 512.0)
    }

    /// Resets the pause after a successful attempt.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, MAX_PAUSE, MIN_PAUSE};

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause()).collect();
        assert!(MIN_PAUSE / 2 <= pauses[0] && pauses[0] <= MIN_PAUSE);
        assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE) && MAX_PAUSE / 2 <= pauses[11]);
    }
}
