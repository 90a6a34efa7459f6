//! A child process and its use of CPU and memory.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

/// A child process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the program is not there.
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_owned();
        command.spawn().map(Self).with_context(|| format!("{} cannot be started", name.display()))
    }

    /// Starts it and reads the first line it prints.
    ///
    /// # Errors
    /// When it cannot be started or prints nothing.
    pub(crate) fn spawn_and_read(command: &mut Command) -> anyhow::Result<(Self, String)> {
        let mut this = Self::spawn(command.stdout(Stdio::piped()))?;
        let out = this.0.stdout.take().context("it has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        Ok((this, line.trim().to_owned()))
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu(&self.0.id().to_string())
    }

    /// Memory in MiB: now (`VmRSS`) or at its highest (`VmHWM`).
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn memory(&self, field: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with(field)).context("an odd /proc/status")?;
        let kib: f64 = line.split_whitespace().nth(1).context("an odd /proc/status")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.0.id())?;
        if let Some(pid) = rustix::process::Pid::from_raw(id) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// User and system time of this process so far: load generator and subscriber.
///
/// # Errors
/// When the system does not tell.
pub(crate) fn own_cpu() -> anyhow::Result<Duration> {
    cpu("self")
}

fn cpu(process: &str) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("an odd /proc/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Waits until a file is there and has something in it.
///
/// # Errors
/// After 30 s.
pub(crate) async fn wait_for_file(path: &Path) -> anyhow::Result<String> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return Ok(text),
            _ if until < Instant::now() => anyhow::bail!("{} did not appear", path.display()),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}
