//! Planted bugs: each entry of `planted.toml` is one change to the sources that must turn the simulation red. All of them
//! are put into a copy of the project at once, each behind a switch, so that one build serves for all.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml_edit::DocumentMut;

/// Variable that names the active bug.
const SWITCH: &str = "PLANTED";
/// Maximum seconds in which a bug is searched.
const PATIENCE: &str = "200";

/// One planted bug.
#[derive(Debug)]
pub(crate) struct Bug {
    /// Short description of the fault.
    pub(crate) name: String,
    file: String,
    find: String,
    plant: String,
}

/// Files of the project needed to build the copy.
const NEEDED: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", "config.example.toml", "README.md", "src", "docs", "tests"];

/// All planted bugs.
pub(crate) fn bugs() -> Vec<Bug> {
    let list: DocumentMut = include_str!("planted.toml").parse().expect("planted.toml is valid TOML");
    let bugs = list["bug"].as_array_of_tables().expect("a list of [[bug]]");
    let bug = |table: &toml_edit::Table| {
        let text =
            |key: &str| table[key].as_str().unwrap_or_else(|| panic!("a [[bug]] has no {key}")).to_owned();
        Bug { name: text("name"), file: text("file"), find: text("find"), plant: text("plant") }
    };
    bugs.iter().map(bug).collect()
}

/// Builds the copy with all bugs; returns the program.
pub(crate) fn build(bugs: &[Bug]) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
    let host = project.join("src/host.rs");
    let mut sources = BTreeMap::from([(copy.join("src/host.rs"), read(&host) + SWITCHED)]);
    for bug in bugs {
        let path = copy.join(&bug.file);
        let source = sources.entry(path).or_insert_with(|| read(&project.join(&bug.file)));
        let count = source.matches(&bug.find).count();
        assert!(count == 1, "planted bug {:?}: what it replaces is {count} times in {}", bug.name, bug.file);
        let plant = bug.plant.replace("PLANTED", &format!("crate::host::planted({:?})", bug.name));
        *source = source.replace(&bug.find, &plant);
    }
    // With another version, so that cargo, which shares the build folder, does not confuse the copy with the project.
    let version = env!("CARGO_PKG_VERSION");
    for (file, before) in [("Cargo.toml", ""), ("Cargo.lock", "name = \"alarmbus\"\n")] {
        let line = format!("{before}version = \"{version}\"");
        let text = read(&project.join(file));
        assert!(text.contains(&line), "{file} has no line {line:?}");
        let other = format!("{before}version = \"{version}-planted\"");
        sources.insert(copy.join(file), text.replacen(&line, &other, 1));
    }
    for name in NEEDED {
        copy_newer(&project.join(name), &copy.join(name), &sources);
    }
    for (path, source) in sources {
        write_newer(&path, source.as_bytes());
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the build folder");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args([
        "test",
        "--locked",
        "--offline",
        "--no-run",
        "--test",
        "simulation",
        "--message-format=json",
    ]);
    let built = build.current_dir(&copy).env("CARGO_TARGET_DIR", target);
    let built = built.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(built.status.success(), "the copy with the planted bugs does not compile");
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == "simulation");
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.expect("cargo names the program it built")
}

/// Returns whether the simulation fails with a bug.
pub(crate) fn is_found(program: &Path, bug: &Bug, seeds: u64) -> bool {
    let seeds = seeds.to_string();
    // A bug may cause a run that never ends, and a machine may be slow: neither is a rule that was seen broken.
    let mut run = Command::new("timeout");
    let run = run
        .arg("--kill-after=1")
        .arg(PATIENCE)
        .arg(program)
        .args(["--seeds", &seeds, "--brief", "--until-red"])
        .env(SWITCH, &bug.name);
    let output = run.stdout(Stdio::piped()).stderr(Stdio::null()).output().expect("the program runs");
    output.status.code() == Some(1)
}

/// Added to the copy's `host.rs`.
const SWITCHED: &str = r#"
pub(crate) fn planted(name: &str) -> bool {
    thread_local! { static BUG: Option<String> = std::env::var("PLANTED").ok(); }
    BUG.with(|bug| bug.as_deref() == Some(name))
}
"#;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies a file or folder, except files that are generated; unchanged files stay, so that cargo rebuilds as little
/// as possible.
fn copy_newer(from: &Path, to: &Path, but: &BTreeMap<PathBuf, String>) {
    if from.is_dir() {
        for file in fs::read_dir(from).expect("the project is readable").flatten() {
            copy_newer(&file.path(), &to.join(file.file_name()), but);
        }
    } else if !but.contains_key(to) {
        write_newer(to, &fs::read(from).expect("the project is readable"));
    }
}

fn write_newer(path: &Path, bytes: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).expect("the copy can be written");
    }
}
