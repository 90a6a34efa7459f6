//! The simulation: the real writer, store, relays and their rules, over a disk, a clock and a broker that one seed
//! decides. Thousands of seeds, each some seconds or minutes of a bridge's life with faults in it; after each, a small
//! model says whether anything was lost, doubled, out of order, or stays as it should not.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test with a main of its own: what cannot be is a failure, and failures are printed"
)]

mod broker;
mod camera;
mod disk;
mod files;
mod model;
mod plan;
mod planted;
mod random;
mod received;
mod shorten;
mod topics;
mod world;

use std::env;
use std::fs;
use std::panic;
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use disk::Disk;
use model::Broken;
use plan::Step;
use tokio::time::Instant;

/// Seeds of a run inside the tests; about two minutes on two cores.
const SEEDS: u64 = 3_000;
/// Maximum number of failures of one process that are reported in full.
const REPORTED: u64 = 30;

/// Maximum time for the seeds of a run inside the tests; a slow machine runs fewer.
const MOST: Duration = Duration::from_secs(300);
/// Maximum time of one run on the host's clock; a longer one never ends.
const LONGEST: Duration = Duration::from_secs(120);
/// Number of seeds in which a planted bug is searched.
const PLANTED_SEEDS: u64 = 600;
/// Interval of seeds that are run twice.
const TWICE: u64 = 64;

/// Command line arguments.
#[derive(Debug, Default)]
struct Arguments {
    /// Number of seeds.
    seeds: Option<u64>,
    /// The first one.
    from: u64,
    /// Steps to run instead of those of a seed.
    history: Option<String>,
    /// A single seed, reported step by step.
    seed: Option<u64>,
    /// Failures are named, not shortened.
    brief: bool,
    /// Stop in time, with any number of seeds.
    bounded: bool,
    /// The first failure ends a process.
    until_red: bool,
    /// The planted bugs are looked for, and nothing else.
    planted: bool,
}

fn main() -> ExitCode {
    let arguments = arguments();
    if env::var_os(disk::FOLDER).is_some() {
        return worker(&arguments);
    }
    let mut counts = Counts::default();
    if !arguments.planted {
        counts.add(coordinate(&arguments));
        println!("seeds: {} passed, {} failed", counts.passed, counts.failed);
    }
    if arguments.planted || arguments.is_whole() {
        counts.add(find_planted());
    }
    println!("simulation: {} passed, {} failed", counts.passed, counts.failed);
    if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Number of seeds (or planted bugs) with the expected result.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Plants each bug and checks that the simulation fails with it.
fn find_planted() -> Counts {
    let bugs = planted::bugs();
    let program = planted::build(&bugs);
    let mut counts = Counts::default();
    for bug in &bugs {
        if planted::is_found(&program, bug, PLANTED_SEEDS) {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            println!("a planted bug was not found in {PLANTED_SEEDS} seeds: {}", bug.name);
        }
    }
    println!("planted bugs: {} found, {} not", counts.passed, counts.failed);
    counts
}

fn arguments() -> Arguments {
    let mut arguments = Arguments::default();
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--seeds" => arguments.seeds = Some(number()),
            "--from" => arguments.from = number(),
            "--seed" => arguments.seed = Some(number()),
            "--brief" => arguments.brief = true,
            "--bounded" => arguments.bounded = true,
            "--until-red" => arguments.until_red = true,
            "--planted" => arguments.planted = true,
            "--history" => arguments.history = words.next(),
            // Arguments of other test programs.
            _ => {}
        }
    }
    arguments
}

impl Arguments {
    /// Returns whether no argument was given.
    fn is_whole(&self) -> bool {
        self.seeds.is_none() && self.seed.is_none() && self.history.is_none()
    }
}

/// Starts a process with the preloaded disk for each core, and adds up their results.
fn coordinate(arguments: &Arguments) -> Counts {
    let library = disk::library();
    let seeds = arguments.seeds.unwrap_or(SEEDS);
    let single = arguments.seed.is_some() || arguments.history.is_some();
    let workers = if single { 1 } else { std::thread::available_parallelism().map_or(2, |n| n.get() as u64) };
    let program = env::current_exe().expect("this program has a path");
    let mut running = Vec::new();
    for worker in 0..workers {
        let folder = disk::make_folder(worker);
        let mut command = Command::new(&program);
        command.args(env::args().skip(1)).env("LD_PRELOAD", &library).env(disk::FOLDER, &folder);
        if arguments.is_whole() {
            command.arg("--bounded");
        }
        if !single {
            let from = arguments.from + seeds * worker / workers;
            let until = arguments.from + seeds * (worker + 1) / workers;
            command.args(["--from", &from.to_string(), "--seeds", &(until - from).to_string()]);
        }
        running.push((folder, command.stdout(Stdio::piped()).spawn().expect("a worker starts")));
    }
    let mut all = Counts::default();
    for (folder, child) in running {
        let output = child.wait_with_output().expect("a worker ends");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| !line.starts_with("worker: ")).for_each(|line| println!("{line}"));
        let counts = text.lines().filter_map(|line| line.strip_prefix("worker: "));
        let counts: Vec<u64> =
            counts.flat_map(str::split_whitespace).filter_map(|n| n.parse().ok()).collect();
        let [good, bad] = counts.as_slice() else {
            panic!("a worker ended without counting: {}", output.status)
        };
        all.add(Counts { passed: *good, failed: *bad });
        fs::remove_dir_all(folder).ok();
    }
    all
}

/// Runs seeds in this process.
fn worker(arguments: &Arguments) -> ExitCode {
    let disk = Disk::preloaded();
    panic::set_hook(Box::new(|_| {}));
    let seeds: Vec<u64> = match arguments.seed {
        Some(seed) => vec![seed],
        None => (arguments.from..arguments.from + arguments.seeds.unwrap_or(1)).collect(),
    };
    let (mut passed, mut failed) = (0, 0);
    let begun = Instant::now();
    for seed in seeds {
        if arguments.bounded && MOST < begun.elapsed() {
            break;
        }
        let steps = match &arguments.history {
            Some(history) => serde_json::from_str(history).expect("a history is a JSON list of steps"),
            None => plan::steps(seed),
        };
        match run_twice(&disk, seed, &steps) {
            Ok(_) => passed += 1,
            Err(broken) => {
                failed += 1;
                if arguments.brief {
                    println!("seed {seed}: {}: {}", broken.rule, broken.seen);
                } else if failed <= REPORTED {
                    report(&disk, seed, &steps, &broken);
                }
                if arguments.until_red {
                    break;
                }
            }
        }
    }
    println!("worker: {passed} {failed}");
    ExitCode::SUCCESS
}

/// Runs one plan, and sometimes twice: a seed must give the same run each time.
fn run_twice(disk: &Disk, seed: u64, steps: &[Step]) -> Result<u64, Broken> {
    let first = run(disk, seed, steps)?;
    if seed.is_multiple_of(TWICE) && run(disk, seed, steps)? != first {
        return Err(Broken { rule: "a seed always gives the same run", seen: format!("seed {seed}") });
    }
    Ok(first)
}

/// Runs one plan; a panic counts as a broken rule. Each run has a thread of its own, where random numbers start again.
fn run(disk: &Disk, seed: u64, steps: &[Step]) -> Result<u64, Broken> {
    let (ended, wait) = mpsc::sync_channel::<()>(1);
    thread::spawn(move || {
        if wait.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            println!("seed {seed}: its run does not end");
            process::exit(1);
        }
    });
    let result = thread::scope(|scope| scope.spawn(|| world::run(disk, seed, steps)).join());
    drop(ended);
    let result = result.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(Broken { rule: "nothing panics", seen: said.unwrap_or_default() })
    });
    if result.is_err() {
        disk.settle();
    }
    result
}

/// Prints what was broken, by the shortest history that breaks it.
fn report(disk: &Disk, seed: u64, steps: &[Step], broken: &Broken) {
    let (shortest, seen) = shorten::shorten(steps, broken, |steps| run_twice(disk, seed, steps).err());
    println!("seed {seed}: {}: {}", seen.rule, seen.seen);
    shortest.iter().for_each(|step| println!("    {step:?}"));
    let history = serde_json::to_string(&shortest).expect("steps are data");
    println!("    again: tests/simulation/run --seed {seed}");
    println!("    again, the shortest history: tests/simulation/run --seed {seed} --history '{history}'");
}
