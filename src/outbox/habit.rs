//! How often a device is heard, so that its silence can be told from a quiet day.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Pauses shorter than this belong to one visit.
const PAUSE: u64 = 60;
/// So many pauses have to be known.
const KNOWN: u64 = 20;
/// Silence against a habit is not remarkable before this, whatever the habit.
pub const LEAST: Duration = Duration::from_secs(6 * 3_600);

/// The pauses of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habit {
    /// The longest pause lately, in seconds; fades with each pause that is shorter.
    pub longest: u64,
    /// Pauses so far.
    pub pauses: u64,
}

impl Habit {
    /// Takes note of an alarm that came so many seconds after the one before.
    pub fn heard(&mut self, after: u64) {
        if PAUSE <= after {
            self.pauses += 1;
            self.longest = after.max(self.longest - self.longest / 50);
        }
    }

    /// From when on silence goes against the habit; none while no habit is known.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        (KNOWN <= self.pauses).then(|| LEAST.max(Duration::from_secs(self.longest.saturating_mul(3))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Habit;

    #[test]
    fn silence_is_measured_by_the_longest_pause_lately() {
        let mut habit = Habit::default();
        habit.heard(100_000);
        for _ in 0..18 {
            habit.heard(3);
            habit.heard(4_000);
        }
        assert_eq!(habit.limit(), None);
        habit.heard(4_000);
        assert!(habit.limit().unwrap() > Duration::from_secs(150_000));
        for _ in 0..300 {
            habit.heard(4_000);
        }
        assert_eq!(habit.limit(), Some(Duration::from_secs(6 * 3_600)));
    }
}
