//! The real bridge and the real broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::process::{Process, wait_for_file};

/// A mosquitto on a free port, with nothing but defaults.
#[derive(Debug)]
pub(crate) struct Broker {
    folder: TempDir,
    /// Its port.
    pub(crate) port: u16,
    process: Option<Process>,
}

impl Broker {
    /// Starts one.
    ///
    /// # Errors
    /// When mosquitto is not installed.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        );
        fs::write(folder.path().join("conf"), text)?;
        let mut this = Self { folder, port, process: None };
        this.restart().await?;
        Ok(this)
    }

    /// Starts it (again) and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = None;
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.folder.path().join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process::spawn(&mut command)?);
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            anyhow::ensure!(Instant::now() < until, "mosquitto does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.process.as_ref().context("the broker does not run")?.cpu()
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }
}

/// A bridge with a folder of its own.
#[derive(Debug)]
pub(crate) struct Bridge {
    folder: TempDir,
    /// The process.
    pub(crate) process: Option<Process>,
    /// The webhook.
    pub(crate) url: String,
    /// Time from the spawn until all listeners are open.
    pub(crate) start: Duration,
}

impl Bridge {
    /// Starts one that publishes to a broker: full topic set, no discovery, everything on disk before it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn start(broker: u16) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let text = format!(
            "[http]\nbind = \"127.0.0.1:0\"\n[admin]\nbind = \"127.0.0.1:0\"\n[storage]\npath = \"{}\"\n\
             [mqtt]\nserver = \"mqtt://127.0.0.1:{broker}\"\n[homeassistant]\nenabled = false\n[log]\nlevel = \"warn\"\n\
             [limits]\nsources = 100000\nnew_sources_per_hour = 100000\n",
            folder.path().join("data").display()
        );
        fs::write(folder.path().join("alarmbus.toml"), text)?;
        let mut this = Self { folder, process: None, url: String::new(), start: Duration::ZERO };
        this.restart().await?;
        Ok(this)
    }

    /// Starts it (again) with the same folder.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.stop()?;
        }
        let ready = self.folder.path().join("ready.json");
        fs::remove_file(&ready).ok();
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.folder.path().join("alarmbus.toml")).arg("--ready-file").arg(&ready);
        // The bridge takes every ALARMBUS_ variable for a setting.
        command.env_remove("ALARMBUS_BINARY");
        let started = Instant::now();
        self.process = Some(Process::spawn(command.stdout(Stdio::null()))?);
        let text = wait_for_file(&ready).await?;
        self.start = started.elapsed();
        let ready: serde_json::Value = serde_json::from_str(&text)?;
        self.url = ready
            .pointer("/webhooks/0")
            .and_then(|url| url.as_str())
            .context("no webhook in the ready file")?
            .to_owned();
        Ok(())
    }

    /// The process, running.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("the bridge does not run")
    }
}

/// The bridge to measure: the one of this build, or another commit's (`ALARMBUS_BINARY`).
fn binary() -> PathBuf {
    std::env::var_os("ALARMBUS_BINARY")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_alarmbus")).into(), PathBuf::from)
}
