//! Planted bugs: each entry of `planted.toml` must make one of the tests fail that it names. With `ALARMBUS_LONG=1` only,
//! since a copy of the project is built; `PLANTED_ONLY` names one bug.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml_edit::DocumentMut;

use crate::support::bridge::PROGRAM;
use crate::support::load::long;

/// Files needed to build the program.
const NEEDED: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", "config.example.toml", "README.md", "src", "docs", "tests"];

/// Added to the copy's `host.rs`.
const SWITCH: &str = r#"
pub(crate) fn planted(name: &str) -> bool {
    static BUG: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    BUG.get_or_init(|| std::env::var("PLANTED").ok()).as_deref() == Some(name)
}
"#;

struct Bug {
    name: String,
    file: String,
    find: String,
    plant: String,
    tests: String,
}

fn bugs() -> Vec<Bug> {
    let list: DocumentMut = include_str!("planted.toml").parse().unwrap();
    let bug = |table: &toml_edit::Table| {
        let text = |key: &str| table[key].as_str().unwrap().to_owned();
        let [name, file, find, plant, tests] = ["name", "file", "find", "plant", "tests"].map(text);
        Bug { name, file, find, plant, tests }
    };
    list["bug"].as_array_of_tables().unwrap().iter().map(bug).collect()
}

/// The sources that differ in the copy.
fn sources(bugs: &[Bug]) -> BTreeMap<PathBuf, String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(project.join(file)).unwrap();
    let mut sources = BTreeMap::from([(PathBuf::from("src/host.rs"), read("src/host.rs") + SWITCH)]);
    for bug in bugs {
        let source = sources.entry(PathBuf::from(&bug.file)).or_insert_with(|| read(&bug.file));
        assert_eq!(source.matches(&bug.find).count(), 1, "{:?} in {}", bug.name, bug.file);
        let plant = bug.plant.replace("PLANTED", &format!("crate::host::planted({:?})", bug.name));
        *source = source.replace(&bug.find, &plant);
    }
    sources
}

/// Builds the copy; returns the program.
fn build(bugs: &[Bug]) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted-cluster");
    fs::create_dir_all(&copy).unwrap();
    let mut copied = Command::new("cp");
    copied.args(["--archive", "--target-directory"]).arg(&copy).args(NEEDED.map(|name| project.join(name)));
    assert!(copied.status().unwrap().success());
    for (file, source) in sources(bugs) {
        fs::write(copy.join(file), source).unwrap();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--bin", "alarmbus"]).current_dir(&copy);
    // Apart from the project's, so that neither is taken for the other.
    let target = copy.join("target");
    assert!(cargo.env("CARGO_TARGET_DIR", &target).status().unwrap().success(), "the copy does not compile");
    target.join("debug/alarmbus")
}

/// The tests that fail with a bug.
fn red(program: &Path, bug: &Bug) -> Vec<String> {
    let mut run = Command::new("timeout");
    run.arg("300").arg(std::env::current_exe().unwrap()).arg(format!("cluster::{}", bug.tests));
    run.env(PROGRAM, program).env("PLANTED", &bug.name).env_remove("ALARMBUS_LONG");
    let output = run.stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let red =
        text.lines().filter_map(|line| line.strip_prefix("test cluster::")?.strip_suffix(" ... FAILED"));
    let red: Vec<String> = red.map(str::to_owned).collect();
    if red.is_empty() && !output.status.success() { vec!["(no end)".into()] } else { red }
}

#[test]
fn what_planted_bugs_replace_is_there_once() {
    assert!(10 <= bugs().len());
    assert!(!sources(&bugs()).is_empty());
}

#[test]
fn each_planted_bug_turns_a_test_red() {
    if !long() {
        return;
    }
    let only = std::env::var("PLANTED_ONLY").ok();
    let bugs = bugs();
    let program = build(&bugs);
    let mut missed = Vec::new();
    for bug in bugs.iter().filter(|bug| only.as_ref().is_none_or(|only| *only == bug.name)) {
        let red = red(&program, bug);
        println!("{}: {}", bug.name, red.join(", "));
        if red.is_empty() {
            missed.push(&bug.name);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
