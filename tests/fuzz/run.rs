//! Runs one target over its corpus and mutations of it.
//!
//! Features of outcomes guide the run in place of coverage, which the stable toolchain does not report at run time:
//! an input that shows something no other has shown joins the corpus, and is mutated in turn.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::mutate::{Random, mutated};

/// Mutations of a run that is not given a time.
const FEW: u64 = 2_000;
/// Maximum duration for one input, even on a busy machine and without optimization.
const SLOW: Duration = Duration::from_secs(15);
/// Maximum number of inputs that join the corpus; past it the run only mutates.
const MOST_NEW: usize = 1_000;
/// Maximum number of runs for shortening one input.
const SHORTENINGS: u32 = 500;

/// A target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: Vec<Vec<u8>>,
    /// Words that mutations insert: tokens of the format.
    pub(crate) words: &'static [&'static [u8]],
    /// The longest input.
    pub(crate) longest: usize,
    /// Check of an input: panics on failure; otherwise returns the features of the outcome, whose number is limited.
    pub(crate) check: fn(&[u8]) -> Outcome,
}

/// Features of the outcome of an input.
pub(crate) type Outcome = BTreeSet<String>;

/// State of a run.
struct Progress {
    corpus: Vec<Vec<u8>>,
    seen: Outcome,
    /// Inputs with a new feature, and the feature.
    new: Vec<(Vec<u8>, String)>,
}

impl Progress {
    /// Adds the outcome of an input; returns its first new feature.
    fn take(&mut self, outcome: Outcome) -> Option<String> {
        let new = outcome.difference(&self.seen).next().cloned();
        self.seen.extend(outcome);
        new
    }

    /// Adds an input with a new feature to those that are mutated.
    fn join(&mut self, input: Vec<u8>, new: String) {
        if self.new.len() < MOST_NEW {
            self.corpus.push(input.clone());
            self.new.push((input, new));
        }
    }
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
    let mut progress = Progress { corpus: target.corpus.clone(), seen: Outcome::new(), new: Vec::new() };
    for input in &target.corpus {
        progress.take(one(target, input));
    }
    let seconds = number("ALARMBUS_FUZZ_SECONDS").map(Duration::from_secs);
    let (seed, begun, mut done) = (seed(), Instant::now(), 0_u64);
    let mut random = Random::new(seed);
    let known = progress.seen.len();
    println!("{}: seed {seed}, {} inputs show {known} things", target.name, target.corpus.len());
    while seconds.map_or(done < FEW, |seconds| begun.elapsed() < seconds) {
        let input = mutated(&mut random, &progress.corpus, target.words, target.longest);
        if let Some(new) = progress.take(one(target, &input)) {
            progress.join(input, new);
        }
        done += 1;
    }
    let (took, new) = (begun.elapsed().as_secs(), progress.seen.len() - known);
    println!("{}: {done} mutations in {took} s show {new} more, none failed", target.name);
    if seconds.is_some() {
        keep(target, &progress.new);
    }
}

/// Saves the inputs of a long run that had a new feature, each shortened as far as it keeps the feature.
fn keep(target: &Target, inputs: &[(Vec<u8>, String)]) {
    let folder = kept(target, "new");
    fs::create_dir_all(&folder).expect("the folder can be made");
    for (number, (input, new)) in inputs.iter().enumerate() {
        let words: String = new.chars().filter(|sign| sign.is_ascii_alphanumeric() || *sign == ' ').collect();
        let name = format!("{number:03}-{}", words.trim().replace(' ', "-"));
        fs::write(folder.join(name), shortest(target, input, new)).expect("it is kept");
    }
    println!("{}: {} inputs are kept in {}", target.name, inputs.len(), folder.display());
}

/// Shortens an input while it has a feature: removes halves first, single bytes last.
fn shortest(target: &Target, input: &[u8], shown: &str) -> Vec<u8> {
    let (mut short, mut piece, mut runs) = (input.to_vec(), input.len() / 2, 0);
    while 0 < piece && runs < SHORTENINGS {
        let mut at = 0;
        while at < short.len() && runs < SHORTENINGS {
            let end = (at + piece).min(short.len());
            let without = [&short[..at], &short[end..]].concat();
            runs += 1;
            if one(target, &without).contains(shown) {
                short = without;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    short
}

/// Folder for saved inputs of a target.
fn kept(target: &Target, what: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{what}", target.name))
}

/// Runs one input and returns its outcome; one that fails or takes too long is saved.
fn one(target: &Target, input: &[u8]) -> Outcome {
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
