//! Runs one target over its corpus and mutations of it.
//!
//! What came of an input guides the run in place of coverage, which the stable toolchain does not tell from inside:
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
/// No input may take longer, even on a busy machine and without optimization.
const SLOW: Duration = Duration::from_secs(15);
/// So many inputs may join the corpus; past it the run only mutates.
const MOST_NEW: usize = 1_000;
/// Runs of a target that shortening one input may cost.
const SHORTENINGS: u32 = 500;

/// A target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: Vec<Vec<u8>>,
    /// What mutations put in: what the format is made of.
    pub(crate) words: &'static [&'static [u8]],
    /// The longest input.
    pub(crate) longest: usize,
    /// Fails by a panic; else says what came of it, piece by piece, of which there are not too many.
    pub(crate) check: fn(&[u8]) -> Outcome,
}

/// What came of an input: what was understood of it, what was wrong with it.
pub(crate) type Outcome = BTreeSet<String>;

/// What a run has seen.
struct Progress {
    corpus: Vec<Vec<u8>>,
    seen: Outcome,
    /// What showed something new, and what that was.
    new: Vec<(Vec<u8>, String)>,
}

impl Progress {
    /// Takes what came of an input; the first piece of it that none before it had.
    fn take(&mut self, outcome: Outcome) -> Option<String> {
        let new = outcome.difference(&self.seen).next().cloned();
        self.seen.extend(outcome);
        new
    }

    /// An input that showed something new is mutated in turn.
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

/// Keeps the inputs of a long run that showed something new, each as short as it can be and still show it.
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

/// The input without all that it does not need to show something: halves first, single bytes last.
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

/// Where inputs of a target are kept.
fn kept(target: &Target, what: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{what}", target.name))
}

/// One input, and what came of it; one that fails, or takes too long, is kept.
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
