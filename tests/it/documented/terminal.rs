//! A terminal in which the blocks of a page are run, in their order.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::page::{Block, repository};
use crate::support::process::Process;
use crate::support::published::assert_valid;
use crate::support::{Camera, SOON, eventually};

/// A reader's folder, with the binary under test as `alarmbus` and for `cargo run --release`.
pub(super) struct Terminal {
    folder: TempDir,
    /// Background processes: the bridge, subscribers.
    pub(super) running: Vec<(String, Process)>,
}

/// Returns whether a line starts the bridge.
fn is_bridge(line: &str) -> bool {
    matches!(line, "alarmbus" | "alarmbus serve" | "cargo run --release")
}

/// Returns whether a line runs until it is stopped.
fn listens(line: &str) -> bool {
    line.starts_with("mosquitto_sub") && !line.contains(" -C ")
        || ["alarmbus watch", "cargo run --release -- watch"].iter().any(|watch| line.starts_with(watch))
            && !line.contains("--count")
}

impl Terminal {
    pub(super) fn new() -> Self {
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
        // This test is one of those that `tests/run` would start.
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

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// The files of the storage folder, folders with a `/`; none while no bridge ran.
    pub(super) fn stored(&self) -> Vec<String> {
        let Ok(listed) = fs::read_dir(self.path().join("alarmbus-data")) else { return Vec::new() };
        let name = |entry: fs::DirEntry| {
            let end = if entry.path().is_dir() { "/" } else { "" };
            entry.file_name().to_string_lossy().into_owned() + end
        };
        listed.map(|entry| name(entry.expect("the folder can be read"))).collect()
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the folder can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    }

    /// Addresses of the running bridge; null before it runs.
    fn ready(&self) -> serde_json::Value {
        let file = fs::read(self.path().join("alarmbus-data/running.json")).unwrap_or_default();
        serde_json::from_slice(&file).unwrap_or_default()
    }

    /// Replaces the default ports of the page by the free ones of the test.
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
            // Commands that ask the running bridge find it by the configuration.
            let value = if key == "ADMIN__BIND" { admin.unwrap_or(default) } else { default };
            command.env(format!("ALARMBUS_{key}"), value);
        }
        command
    }

    /// Runs the commands of a block one after the other. An endless one is the last of its block, since a reader who types
    /// the block into one terminal gets no further; it goes on in the background.
    pub(super) async fn run(&mut self, block: &Block) {
        let mut endless = None;
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            println!("{}: {line}", block.place);
            assert_eq!(endless, None, "{}: {line} is behind a command that does not end", block.place);
            endless = (is_bridge(line) || listens(line)).then(|| line.to_owned());
            if is_bridge(line) {
                self.start(line, &block.place).await;
            } else if listens(line) {
                self.running.push((line.into(), Process::spawn(line, &self.command(line))));
            } else {
                self.finish(line, &block.place).await;
            }
        }
    }

    /// Runs a block as one script.
    pub(super) async fn script_of(&self, block: &Block) {
        println!("{}: a script", block.place);
        self.finish(&block.text, &block.place).await;
    }

    /// Starts the bridge.
    async fn start(&mut self, line: &str, place: &str) {
        let mut process = Process::spawn(line, &self.command(line));
        eventually(SOON, "the bridge of the page", async || {
            assert!(process.is_running(), "{place}: {line} ended:\n{}", process.log());
            (!self.ready().is_null()).then_some(())
        })
        .await;
        self.running.push((line.into(), process));
    }

    /// Runs a command to its end; it must succeed.
    pub(super) async fn finish(&self, line: &str, place: &str) {
        let mut process = Process::spawn(line, &self.command(line));
        let status = process.wait_exit(SOON * 2).await;
        assert!(status.success(), "{place}: {line}: {status}\n{}", process.log());
    }

    /// Checks that every subscriber has received something.
    pub(super) async fn heard(&self) {
        for (line, process) in self.running.iter().filter(|(line, _)| listens(line)) {
            eventually(SOON, &format!("{line} to hear something"), async || {
                (!process.log().is_empty()).then_some(())
            })
            .await;
        }
    }

    /// Checks a configuration or a part of one, and stores it as a file if the page says so.
    pub(super) async fn check(&self, block: &Block, name: &str) {
        let name = if name.is_empty() { "block.toml" } else { name };
        fs::write(self.path().join(name), &block.text).expect("the folder can be written");
        self.finish(&format!("alarmbus --config {name} check --print"), &block.place).await;
    }

    /// Checks a JSON document.
    pub(super) async fn document(&self, block: &Block, kind: &str) {
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
