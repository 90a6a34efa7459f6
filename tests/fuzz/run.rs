//! Runs one target over its corpus and mutations of it.
//!
//! What came of an input guides the run in place of coverage, which the stable toolchain does not tell from inside:
//! an input with an outcome that none before it had joins the corpus, and is mutated in turn.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::mutate::{Random, mutated};

/// Mutations of a run that is not given a time.
const FEW: u64 = 2_000;
/// No input may take longer, even on a busy machine and without optimization.
const SLOW: Duration = Duration::from_secs(15);
/// So many inputs may join the corpus; past it the run only mutates.
const MOST_NEW: usize = 5_000;
/// Runs of a target that shortening one input may cost.
const SHORTENINGS: u32 = 2_000;

/// A target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: Vec<Vec<u8>>,
    /// What mutations put in: what the format is made of.
    pub(crate) words: &'static [&'static [u8]],
    /// The longest input.
    pub(crate) longest: usize,
    /// Fails by a panic; else says what came of it, in words of which there are not too many.
    pub(crate) check: fn(&[u8]) -> String,
}

/// What a run has seen.
struct Progress {
    corpus: Vec<Vec<u8>>,
    outcomes: HashSet<u64>,
    new: Vec<Vec<u8>>,
}

impl Progress {
    /// Whether nothing had this outcome before.
    fn is_new(&mut self, outcome: &str) -> bool {
        self.outcomes.insert(digest(outcome))
    }

    /// An input with an outcome of its own is mutated in turn.
    fn join(&mut self, input: Vec<u8>) {
        if self.new.len() < MOST_NEW {
            self.corpus.push(input.clone());
            self.new.push(input);
        }
    }
}

fn digest(outcome: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    hasher.finish()
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
    let mut progress = Progress { corpus: target.corpus.clone(), outcomes: HashSet::new(), new: Vec::new() };
    for input in &target.corpus {
        let outcome = one(target, input);
        progress.is_new(&outcome);
    }
    let seconds = number("ALARMBUS_FUZZ_SECONDS").map(Duration::from_secs);
    let (seed, begun, mut done) = (seed(), Instant::now(), 0_u64);
    let mut random = Random::new(seed);
    let known = progress.outcomes.len();
    println!("{}: seed {seed}, {} inputs, {known} outcomes", target.name, target.corpus.len());
    while seconds.map_or(done < FEW, |seconds| begun.elapsed() < seconds) {
        let input = mutated(&mut random, &progress.corpus, target.words, target.longest);
        let outcome = one(target, &input);
        if progress.is_new(&outcome) {
            progress.join(input);
        }
        done += 1;
    }
    let (took, new) = (begun.elapsed().as_secs(), progress.outcomes.len() - known);
    println!("{}: {done} mutations in {took} s, {new} new outcomes, none failed", target.name);
    if seconds.is_some() {
        keep(target, &progress.new);
    }
}

/// Keeps the inputs of a long run that showed something new, each as short as it can be with its outcome.
fn keep(target: &Target, inputs: &[Vec<u8>]) {
    let folder = kept(target, "new");
    fs::create_dir_all(&folder).expect("the folder can be made");
    for input in inputs {
        let short = shortest(target, input);
        fs::write(folder.join(format!("{:016x}", digest(&one(target, &short)))), short).expect("it is kept");
    }
    println!("{}: {} inputs are kept in {}", target.name, inputs.len(), folder.display());
}

/// The input without all that its outcome does not need: halves first, single bytes last.
fn shortest(target: &Target, input: &[u8]) -> Vec<u8> {
    let outcome = one(target, input);
    let (mut short, mut piece, mut runs) = (input.to_vec(), input.len() / 2, 0);
    while 0 < piece && runs < SHORTENINGS {
        let mut at = 0;
        while at < short.len() && runs < SHORTENINGS {
            let end = (at + piece).min(short.len());
            let without = [&short[..at], &short[end..]].concat();
            runs += 1;
            if one(target, &without) == outcome {
                short = without;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    short
}

/// Where inputs of a target are kept.
fn kept(target: &Target, what: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{what}", target.name))
}

/// One input, and what came of it; one that fails, or takes too long, is kept.
fn one(target: &Target, input: &[u8]) -> String {
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let slow = SLOW < begun.elapsed();
    if result.is_err() || slow {
        let kept = kept(target, "failed");
        fs::write(&kept, input).expect("the input can be kept");
        println!("{}: this input fails: {}", target.name, kept.display());
    }
    assert!(!slow, "{}: it took {:?}", target.name, begun.elapsed());
    result.unwrap_or_else(|panic| resume_unwind(panic))
}
