//! A real nats-server with a configuration of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::{SOON, port};

/// A server on a port that it keeps over restarts; JetStream keeps its files in the same folder.
pub(crate) struct Nats {
    folder: TempDir,
    port: u16,
    lines: String,
    program: PathBuf,
    process: Option<Process>,
}

impl Nats {
    /// Starts one with JetStream.
    pub(crate) async fn start() -> Self {
        Self::with(true, "").await
    }

    /// Starts one with or without JetStream and with more lines for its configuration.
    pub(crate) async fn with(jetstream: bool, extra: &str) -> Self {
        Self::of("nats-server".into(), jetstream, extra).await
    }

    /// Starts one server of a version that `tests/run` downloaded.
    pub(crate) async fn one(version: &str) -> Self {
        Self::of(fetched(version), true, "").await
    }

    /// Starts three servers of one cluster, of a version that `tests/run` downloaded; otherwise that on the PATH.
    pub(crate) async fn three(version: &str) -> Vec<Self> {
        let program = fetched(version);
        println!("three servers of {}", program.display());
        let routes: Vec<u16> = (0..3).map(|_| port::free()).collect();
        let list: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for (number, port) in routes.iter().enumerate() {
            let extra = format!(
                "server_name: n{number}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", no_advertise: true, routes: [{}] }}",
                list.join(", ")
            );
            servers.push(Self::of(program.clone(), true, &extra).await);
        }
        servers
    }

    async fn of(program: PathBuf, jetstream: bool, extra: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let port = port::free();
        let mut lines = format!("listen: 127.0.0.1:{port}\n{extra}\n");
        if jetstream {
            // Streams reserve more than a small disk has free, but use little of it.
            let store = folder.path().join("store");
            lines.push_str(&format!("jetstream {{ store_dir: {store:?}, max_file_store: 60GB }}\n"));
        }
        let mut server = Self { folder, port, lines, program, process: None };
        server.restart().await;
        server
    }

    /// Replaces a text of its configuration, from the next start on.
    pub(crate) fn edit(&mut self, from: &str, to: &str) {
        assert!(self.lines.contains(from), "{from} is not in {}", self.lines);
        self.lines = self.lines.replacen(from, to, 1);
    }

    /// The address for clients.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its log since the last start.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Stops it properly.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait_exit(SOON).await;
        }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Kills what runs and starts it again on the same port, with the same files.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let conf = self.folder.path().join("nats.conf");
        fs::write(&conf, &self.lines).expect("the folder can be written");
        let mut process = Process::spawn("nats-server", Command::new(&self.program).arg("-c").arg(conf));
        process.wait_for_line("Server is ready").await;
        self.process = Some(process);
    }

    /// Suspends the process; connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the server runs").signal(signal);
    }
}

/// The server of a version that `tests/run` fetched; that on the PATH if there is none.
fn fetched(version: &str) -> PathBuf {
    let fetched = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats").join(version).join("nats-server");
    if fetched.try_exists().is_ok_and(|there| there) { fetched } else { "nats-server".into() }
}
