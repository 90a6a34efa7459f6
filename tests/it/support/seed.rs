//! The seed of tests that choose at random: printed, and taken from the environment to repeat a run.

/// A small generator (splitmix64); the same seed gives the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// Takes the seed from `ALARMBUS_TEST_SEED`, else a random one, and prints it.
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("ALARMBUS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let mut bytes = [0_u8; 8];
            getrandom::fill(&mut bytes).expect("the system has random bytes");
            u64::from_le_bytes(bytes)
        });
        println!("ALARMBUS_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
