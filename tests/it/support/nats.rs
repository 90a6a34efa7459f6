//! A real nats-server with a configuration of its own.

use std::fs;
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
    process: Option<Process>,
}

impl Nats {
    /// Starts one with JetStream.
    pub(crate) async fn start() -> Self {
        Self::with(true, "").await
    }

    /// Starts one with or without JetStream and with more lines for its configuration.
    pub(crate) async fn with(jetstream: bool, extra: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let port = port::free();
        let mut lines = format!("listen: 127.0.0.1:{port}\n{extra}\n");
        if jetstream {
            lines.push_str(&format!("jetstream {{ store_dir: {:?} }}\n", folder.path().join("store")));
        }
        let mut server = Self { folder, port, lines, process: None };
        server.restart().await;
        server
    }

    /// The address for clients.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it has logged since its last start.
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
        let mut process = Process::spawn("nats-server", Command::new("nats-server").arg("-c").arg(conf));
        process.wait_for_line("Server is ready").await;
        self.process = Some(process);
    }

    /// Stops it from doing anything; connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the server runs").signal(signal);
    }
}
