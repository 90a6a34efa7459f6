//! Reproducible pseudorandom numbers: the same seed gives the same sequence.

use std::time::Duration;

/// The generator `SplitMix64`: small, and good enough for names and pauses.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next number of at least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }

    /// Returns the pause between two alarms of one activity: 1 to 7 s, median 3 s.
    pub fn pause(&mut self) -> Duration {
        let place = self.unit() * 2.0;
        Duration::from_secs_f64(if place < 1.0 { 1.0 + 2.0 * place } else { 3.0 + 4.0 * (place - 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn pauses_are_those_of_a_camera() {
        let mut random = Random::new(7);
        let mut pauses: Vec<f64> = (0..1_001).map(|_| random.pause().as_secs_f64()).collect();
        pauses.sort_by(f64::total_cmp);
        assert!(pauses[0] >= 1.0 && pauses[1_000] < 7.0);
        assert!((2.7..3.4).contains(&pauses[500]), "median {}", pauses[500]);
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        assert_eq!(Random::new(1).bits(), Random::new(1).bits());
        assert_ne!(Random::new(1).bits(), Random::new(2).bits());
    }
}
