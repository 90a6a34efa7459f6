//! A real mosquitto with a configuration of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::{SOON, port};

/// Settings of a broker; by default anybody may connect, nothing is persistent, and there are no limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Keep retained messages and sessions over a restart.
    pub(crate) persistence: bool,
    /// Users and their passwords; with none, anybody may connect.
    pub(crate) users: Vec<(&'static str, &'static str)>,
    /// Access list in mosquitto's syntax.
    pub(crate) acl: Option<&'static str>,
    /// Maximum packet size in bytes.
    pub(crate) max_packet_size: Option<u32>,
    /// Do not log single messages.
    pub(crate) quiet: bool,
    /// More lines for the configuration.
    pub(crate) extra: &'static str,
}

/// A broker on a port that it keeps over restarts.
pub(crate) struct Mosquitto {
    folder: TempDir,
    port: u16,
    settings: Settings,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts a broker without access control.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// Starts a broker with these settings; returns when it accepts connections.
    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut broker = Self { folder, port: port::free(), settings, process: None };
        broker.restart().await;
        broker
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address for a bridge's configuration.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Its log since the last start.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Stops it with SIGTERM, so that it saves its state.
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
        let conf = self.write_files();
        let mut process = Process::spawn("mosquitto", Command::new("mosquitto").arg("-c").arg(conf));
        process.wait_for_line(" running").await;
        self.process = Some(process);
    }

    /// Sets another access list; takes effect at the next start.
    pub(crate) fn permit(&mut self, acl: &'static str) {
        self.settings.acl = Some(acl);
    }

    /// Suspends the process; connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the process.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the broker runs").signal(signal);
    }

    /// Writes configuration, passwords and access list; returns the path of the first.
    fn write_files(&self) -> std::path::PathBuf {
        let folder = self.folder.path();
        // Started by root, mosquitto would switch to a user who cannot read this folder.
        let mut conf = format!("listener {} 127.0.0.1\nuser root\nlog_dest stderr\n", self.port);
        let mut line = |text: String| writeln!(conf, "{text}").expect("a string takes all");
        let types: &[&str] =
            if self.settings.quiet { &["error", "warning", "notice", "information"] } else { &["all"] };
        types.iter().for_each(|kind| line(format!("log_type {kind}")));
        line(format!("allow_anonymous {}", self.settings.users.is_empty()));
        line(format!("persistence {}", self.settings.persistence));
        line(format!("persistence_location {}/", folder.display()));
        if !self.settings.users.is_empty() {
            line(format!("password_file {}", write_passwords(folder, &self.settings.users).display()));
        }
        if let Some(acl) = self.settings.acl {
            line(format!("acl_file {}", write(folder, "acl", acl).display()));
        }
        if let Some(bytes) = self.settings.max_packet_size {
            line(format!("max_packet_size {bytes}"));
        }
        line(self.settings.extra.into());
        write(folder, "mosquitto.conf", &conf)
    }
}

/// Writes the password file, hashed by mosquitto's own tool.
fn write_passwords(folder: &Path, users: &[(&str, &str)]) -> std::path::PathBuf {
    let plain: String = users.iter().map(|(user, password)| format!("{user}:{password}\n")).collect();
    let path = write(folder, "passwords", &plain);
    let status = Command::new("mosquitto_passwd").arg("-U").arg(&path).status();
    assert!(status.expect("mosquitto_passwd is installed").success());
    path
}

/// Writes a file into the broker's folder.
fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("the folder can be written");
    path
}
