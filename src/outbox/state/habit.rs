//! Pauses between alarms of a device, to detect unusual silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Minimum pause in seconds; shorter ones belong to one visit.
const MIN_PAUSE_SECONDS: u64 = 60;
/// Number of pauses from which on they are used.
const MIN_PAUSES: u64 = 20;
/// Minimum silence that can be unusual.
pub const MIN_SILENCE: Duration = Duration::from_secs(6 * 3_600);

/// The pauses of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habit {
    /// The longest recent pause, in seconds; it decreases with each shorter one.
    pub longest: u64,
    /// Number of pauses so far.
    pub pauses: u64,
}

impl Habit {
    /// Notes an alarm that came `after` seconds after the one before.
    pub fn note_alarm(&mut self, after: u64) {
        if MIN_PAUSE_SECONDS <= after {
            self.pauses += 1;
            self.longest = after.max(self.longest - self.longest / 50);
        }
    }

    /// Silence past which a device counts as unusually silent; `None` while too few pauses are known.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        (MIN_PAUSES <= self.pauses)
            .then(|| MIN_SILENCE.max(Duration::from_secs(self.longest.saturating_mul(3))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Habit;

    #[test]
    fn silence_is_measured_by_the_longest_pause_lately() {
        let mut habit = Habit::default();
        habit.note_alarm(100_000);
        for _ in 0..18 {
            habit.note_alarm(3);
            habit.note_alarm(4_000);
        }
        assert_eq!(habit.limit(), None);
        habit.note_alarm(4_000);
        assert!(habit.limit().unwrap() > Duration::from_secs(150_000));
        for _ in 0..300 {
            habit.note_alarm(4_000);
        }
        assert_eq!(habit.limit(), Some(Duration::from_secs(6 * 3_600)));
    }
}
