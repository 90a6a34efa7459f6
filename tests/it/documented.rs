//! What the documentation shows is true: its commands run, its documents are valid, its tables are complete.
//!
//! Every fenced block says what it is, and an unknown kind fails:
//!
//! | block | what is done with it |
//! |---|---|
//! | `sh` | run, in the order of the page, with the debug binary in place of `alarmbus` and `cargo run --release` |
//! | `sh docker`, `sh debian` | run by tests/docker/run, on an engine and on a clean Debian |
//! | `toml` | a whole configuration, or part of one: `alarmbus check --print` takes it |
//! | `json <kind>` | valid by `alarmbus schema` as that definition |
//! | `json request` | pushed to the bridge as an alarm |
//! | `text` | shown, not checked |

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use alarmbus::config::Config;
use alarmbus::findings::CATALOGUE;
use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::published::assert_valid;
use crate::support::{Camera, SOON, eventually};

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// File and line.
    place: String,
    /// What stands behind the fence.
    kind: String,
    text: String,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).expect("there is a README")
}

/// The fenced blocks of a page.
fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(kind), None) => {
                let place = format!("{page}:{}", at + 1);
                open = Some(Block { place, kind: kind.trim().into(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block does not end: {open:?}");
    blocks
}

/// A folder as a reader has it, with the binary under test as `alarmbus` and behind `cargo run --release`.
struct Terminal {
    folder: TempDir,
    /// What goes on beside: the bridge, subscribers.
    running: Vec<(String, Process)>,
}

impl Terminal {
    fn new() -> Self {
        let this = Self { folder: TempDir::new().expect("a temporary folder"), running: Vec::new() };
        let binary = env!("CARGO_BIN_EXE_alarmbus");
        this.script("bin/alarmbus", &format!("exec '{binary}' \"$@\""));
        this.script(
            "bin/cargo",
            &format!(
                "[ \"$1 $2\" = 'run --release' ] || {{ echo \"cargo $*: not tried here\" >&2; exit 64; }}\n\
                 shift 2; [ \"${{1-}}\" != -- ] || shift\nexec '{binary}' \"$@\""
            ),
        );
        // This very test is part of what it would start.
        let run = fs::metadata(repository().join("tests/run")).expect("tests/run is there");
        assert!(run.permissions().mode() & 0o111 != 0, "tests/run can be executed");
        this.script("tests/run", "exit 0");
        for shared in ["tests/wire", "config.example.toml", "src", "docker", "docs"] {
            let (from, to) = (repository().join(shared), this.path().join(shared));
            if from.try_exists().expect("the repository can be read") {
                std::os::unix::fs::symlink(from, to).expect("a link can be made");
            }
        }
        this
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    }

    /// Where the running bridge listens; null before it runs.
    fn ready(&self) -> serde_json::Value {
        let file = fs::read(self.path().join("alarmbus-data/running.json")).unwrap_or_default();
        serde_json::from_slice(&file).unwrap_or_default()
    }

    /// The ports of the page are the usual ones, those of a test are free ones.
    fn real_ports(&self, line: &str) -> String {
        let ready = self.ready();
        let mut line = line.to_owned();
        for (usual, at) in [("1883", "/mqtt"), ("8089", "/ingest/0"), ("8090", "/admin")] {
            let url = ready.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default();
            if let Some((_, port)) = url.rsplit_once(':') {
                line = line.replace(usual, port);
            }
        }
        line
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-euo", "pipefail", "-c"])
            .arg(format!("cd '{}'\n{}", self.path().display(), self.real_ports(line)))
            .env("PATH", format!("{}/bin:{path}:/usr/sbin:/sbin", self.path().display()));
        for (key, default) in
            [("HTTP__BIND", "127.0.0.1:0"), ("ADMIN__BIND", "127.0.0.1:0"), ("BROKER__BIND", "127.0.0.1:0")]
        {
            let ready = self.ready();
            let admin = ready["admin"].as_str().and_then(|url| url.strip_prefix("http://"));
            // Commands that ask the running bridge find it where the configuration says.
            let value = if key == "ADMIN__BIND" { admin.unwrap_or(default) } else { default };
            command.env(format!("ALARMBUS_{key}"), value);
        }
        command
    }

    /// Runs the commands of a block, one after the other; those that never end go on beside.
    async fn run(&mut self, block: &Block) {
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            println!("{}: {line}", block.place);
            let mut process = Process::spawn(line, &self.command(line));
            if matches!(line, "alarmbus" | "alarmbus serve" | "cargo run --release") {
                eventually(SOON, "the bridge of the quick start", async || {
                    assert!(process.is_running(), "{}: {line} ended", block.place);
                    (!self.ready().is_null()).then_some(())
                })
                .await;
                self.running.push((line.into(), process));
            } else if line.starts_with("mosquitto_sub") && !line.contains(" -C ") {
                self.running.push((line.into(), process));
            } else {
                let status = process.wait_exit(SOON * 2).await;
                assert!(status.success(), "{}: {line}: {status}\n{}", block.place, process.log());
            }
        }
    }

    /// A configuration, or part of one.
    async fn check(&self, block: &Block) {
        let file = self.path().join("block.toml");
        fs::write(&file, &block.text).expect("the folder can be written");
        let mut process =
            Process::spawn("check", &self.command("alarmbus --config block.toml check --print"));
        let status = process.wait_exit(SOON).await;
        assert!(status.success(), "{}: {status}\n{}", block.place, process.log());
    }

    /// A document.
    async fn document(&self, block: &Block, kind: &str) {
        let document: serde_json::Value =
            serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
        if kind != "request" {
            return assert_valid(kind, &document);
        }
        let ready = self.ready();
        let webhook = ready.pointer("/webhooks/0").and_then(serde_json::Value::as_str);
        let answer = Camera::new(webhook.expect("the bridge runs")).json(&document).await;
        assert!(answer.status == 200 && answer.json()["alarms"] != 0, "{}: {answer:?}", block.place);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_readme_is_true() {
    let mut terminal = Terminal::new();
    let blocks = blocks("README.md", &readme());
    assert!(blocks.iter().filter(|block| block.kind == "sh").count() >= 4, "the quick start is gone");
    for block in &blocks {
        match block.kind.split_once(' ').unwrap_or((&block.kind, "")) {
            ("sh", "") => terminal.run(block).await,
            ("toml", "") => terminal.check(block).await,
            ("json", kind) if !kind.is_empty() => terminal.document(block, kind).await,
            ("text", "") | ("sh", "docker" | "debian") => {}
            _ => panic!("{}: a block of kind {:?} is not known here", block.place, block.kind),
        }
    }
    for (line, process) in &terminal.running {
        if line.starts_with("mosquitto_sub") {
            eventually(SOON, "events at the subscriber of the quick start", async || {
                let log = process.log();
                (log.contains("/event/person {") && log.contains("/state/person ON")).then_some(())
            })
            .await;
        }
    }
}

#[test]
fn the_readme_lists_every_topic() {
    let config = Config::default();
    let topics = serde_json::to_value(&config.topics).unwrap();
    let mut topics: Vec<String> =
        topics.as_object().unwrap().values().map(|topic| topic.as_str().unwrap().to_owned()).collect();
    topics.extend(["state", "info", "health", "token"].map(|name| format!("{{base}}/bridge/{name}")));
    for topic in topics {
        let shown = topic
            .replace("{base}", &config.mqtt.base_topic)
            .replace("{source}", "<source>")
            .replace("{event}", "<event>")
            .replace("{id}", "<id>");
        assert!(readme().contains(&format!("| `{shown}` |")), "README does not list {shown}");
    }
}

#[test]
fn the_readme_lists_every_section() {
    let example = fs::read_to_string(repository().join("config.example.toml")).unwrap();
    let sections: BTreeSet<String> = example
        .lines()
        .map(|line| line.trim_start_matches('#'))
        .filter(|line| line.starts_with('['))
        .map(|line| line.trim_matches(['[', ']']).split('.').next().unwrap().to_owned())
        .collect();
    assert!(sections.len() > 10, "{sections:?}");
    for section in sections {
        assert!(readme().contains(&format!("[{section}")), "README does not tell what [{section}] is for");
    }
}

#[test]
fn the_readme_lists_every_finding() {
    let rows: String = CATALOGUE
        .iter()
        .map(|kind| format!("| `{}` | {}. {} | {} |\n", kind.code, kind.title, kind.cause, kind.remedy))
        .collect();
    let table = format!("\n| code | what it means | what to do |\n|---|---|---|\n{rows}\n");
    let readme = readme();
    let shown = readme
        .split_once("<!-- findings -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- end of findings -->"));
    let (shown, _) = shown.expect("README has a place for the findings");
    assert_eq!(shown, table, "put this between the marks in README.md:\n{table}");
}
