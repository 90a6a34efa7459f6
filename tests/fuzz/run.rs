//! Runs one target over its corpus and mutations of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::mutate::{Random, mutated};

/// Mutations of a run that is not given a time.
const FEW: u64 = 2_000;
/// No input may take longer, even on a busy machine and without optimization.
const SLOW: Duration = Duration::from_secs(15);

/// A target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: Vec<Vec<u8>>,
    /// What mutations put in: what the format is made of.
    pub(crate) words: &'static [&'static [u8]],
    /// The longest input.
    pub(crate) longest: usize,
    /// Fails by a panic.
    pub(crate) check: fn(&[u8]),
}

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed given, or one of the clock.
fn seed() -> u64 {
    let of_clock = || u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
    number("ALARMBUS_FUZZ_SEED").unwrap_or_else(of_clock)
}

/// Replays the corpus, then mutates it for the time given.
pub(crate) fn run(target: &Target) {
    assert!(!target.corpus.is_empty(), "{} has no corpus", target.name);
    for input in &target.corpus {
        one(target, input);
    }
    let seconds = number("ALARMBUS_FUZZ_SECONDS").map(Duration::from_secs);
    let (seed, begun, mut done) = (seed(), Instant::now(), 0_u64);
    let mut random = Random::new(seed);
    println!("{}: seed {seed}, {} inputs", target.name, target.corpus.len());
    while seconds.map_or(done < FEW, |seconds| begun.elapsed() < seconds) {
        one(target, &mutated(&mut random, &target.corpus, target.words, target.longest));
        done += 1;
    }
    println!("{}: {done} mutations in {} s, none failed", target.name, begun.elapsed().as_secs());
}

/// One input; one that fails, or takes too long, is kept.
fn one(target: &Target, input: &[u8]) {
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let slow = SLOW < begun.elapsed();
    if result.is_err() || slow {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        fs::write(&kept, input).expect("the input can be kept");
        println!("{}: this input fails: {}", target.name, kept.display());
    }
    assert!(!slow, "{}: it took {:?}", target.name, begun.elapsed());
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}
