//! The real binary with a folder and a configuration of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::{Camera, SOON, eventually};

/// A running bridge. Its storage folder and configuration stay over restarts.
pub(crate) struct Bridge {
    folder: TempDir,
    process: Option<Process>,
    ready: serde_json::Value,
    environment: Vec<(String, String)>,
}

/// Variable that names another program than the one of this build.
pub(crate) const PROGRAM: &str = "ALARMBUS_PROGRAM";

impl Bridge {
    /// Starts one with these TOML lines besides free ports and a folder; returns when everything listens.
    ///
    /// The lines are sections (`[mqtt]` …); `[http]`, `[admin]`, `[broker]` and `[storage]` are written here, with
    /// the lines of the same sections in `config` added to them.
    pub(crate) async fn start(config: &str) -> Self {
        let mut bridge = Self::prepare(config);
        bridge.restart().await;
        bridge
    }

    /// Writes folder and configuration, and starts nothing.
    pub(crate) fn prepare(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let bridge = Self { folder, process: None, ready: serde_json::Value::Null, environment: Vec::new() };
        bridge.configure(config);
        bridge
    }

    /// Replaces the configuration; takes effect at the next start.
    pub(crate) fn configure(&self, config: &str) {
        let mut document: toml_edit::DocumentMut = config.parse().expect("the configuration is TOML");
        let folder = self.storage().display().to_string();
        for (section, key, value) in [
            ("http", "bind", "127.0.0.1:0"),
            ("admin", "bind", "127.0.0.1:0"),
            ("broker", "bind", "127.0.0.1:0"),
            ("storage", "path", folder.as_str()),
        ] {
            let table = document.entry(section).or_insert_with(toml_edit::table);
            let table = table.as_table_mut().expect("a section is a table");
            table.entry(key).or_insert(toml_edit::value(value));
        }
        fs::write(self.config(), document.to_string()).expect("the folder can be written");
    }

    /// Kills what runs and starts it again with the same folder; returns when everything listens.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let ready = self.folder.path().join("ready.json");
        // A file of the last start would be mistaken for that of this one.
        let _none_at_first = fs::remove_file(&ready);
        let arguments =
            [OsStr::new("--config"), self.config().as_ref(), "--ready-file".as_ref(), ready.as_ref()]
                .map(OsStr::to_owned);
        let mut start = command(&arguments);
        start.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::spawn("alarmbus", &start);
        self.ready = eventually(SOON, "the bridge's ready file", async || {
            assert!(process.is_running(), "the bridge ended early:\n{}", process.log());
            fs::read(&ready).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
        })
        .await;
        self.process = Some(process);
    }

    /// Runs another command of the binary with the same configuration and environment, to its end: status and output.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut run = command(arguments);
        run.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::spawn("alarmbus", run.env("ALARMBUS_CONFIG", self.config()));
        let status = process.wait_exit(SOON).await;
        (status, process.log())
    }

    /// Sets environment variables for the next start.
    pub(crate) fn environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the bridge runs").signal(signal);
    }

    /// Waits for its end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the bridge runs");
        process.wait_exit(SOON).await
    }

    /// Content of `/health/ready`.
    pub(crate) async fn health(&self) -> serde_json::Value {
        Camera::new(&format!("{}/health/ready", self.admin())).get().await.json()
    }

    /// Kills it as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.process.as_ref().expect("the bridge runs").resident()
    }

    /// Makes it read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().expect("the bridge runs").signal(Signal::HUP);
    }

    /// Stops it properly.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("the bridge runs");
        process.signal(Signal::TERM);
        let status = process.wait_exit(SOON).await;
        self.process = None;
        status
    }

    /// A text of the ready file, by JSON pointer.
    pub(crate) fn ready(&self, pointer: &str) -> &str {
        self.text(pointer)
    }

    /// The storage folder.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("alarmbus.toml")
    }

    /// The first plain ingest address, `http://127.0.0.1:port`.
    pub(crate) fn ingest(&self) -> &str {
        self.text("/ingest/0")
    }

    /// The first webhook with its secret.
    pub(crate) fn webhook(&self) -> &str {
        self.text("/webhooks/0")
    }

    /// The admin address.
    pub(crate) fn admin(&self) -> &str {
        self.text("/admin")
    }

    /// The embedded broker's address, if it runs.
    pub(crate) fn mqtt(&self) -> Option<&str> {
        self.ready.pointer("/mqtt").and_then(serde_json::Value::as_str)
    }

    /// A camera that pushes to the first webhook.
    pub(crate) fn camera(&self) -> Camera {
        Camera::new(self.webhook())
    }

    /// Its log since the last start.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> &str {
        let found = self.ready.pointer(pointer).and_then(serde_json::Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in the ready file: {}", self.ready))
    }
}

/// The binary under test, without the tester's own environment.
fn command(arguments: &[impl AsRef<OsStr>]) -> Command {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_alarmbus").into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ALARMBUS_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}
