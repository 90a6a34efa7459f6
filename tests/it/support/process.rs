//! Child processes that do not outlive their test.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{SOON, eventually};

/// A child in its own process group. Both output streams go to the test's log, line by line, and are kept.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    followers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub(crate) fn spawn(name: &str, command: &Command) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = tied_to_us(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {program}: {error}; tests/run installs what is missing")
            });
        let lines = Arc::new(Mutex::new(Vec::new()));
        let label = format!("{name}/{}", child.id());
        let followers = vec![
            follow(&label, child.stdout.take().expect("stdout is piped"), Arc::clone(&lines)),
            follow(&label, child.stderr.take().expect("stderr is piped"), Arc::clone(&lines)),
        ];
        Self { name: name.into(), child, lines, followers }
    }

    /// Everything printed so far, on both streams.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits until a line that contains `text` was printed.
    pub(crate) async fn wait_for_line(&mut self, text: &str) -> String {
        let name = self.name.clone();
        eventually(SOON, &format!("{name} to print {text:?}"), async || {
            let found = self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
            let hint = "is it installed? tests/run sees to it";
            assert!(found.is_some() || self.is_running(), "{name} ended early ({hint}):\n{}", self.log());
            found
        })
        .await
    }

    /// Returns whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// Its resident memory in bytes, as Linux counts it.
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is told");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }

    /// Sends a signal to the process itself.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child can be signalled");
    }

    /// Waits for the end by itself.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub(crate) async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let name = format!("the end of {}", self.name);
        let status =
            eventually(limit, &name, async || self.child.try_wait().expect("the child can be asked")).await;
        // The last output may still be in transit.
        let read = async || self.followers.iter().all(JoinHandle::is_finished).then_some(());
        eventually(limit, "the end of its output", read).await;
        status
    }

    /// Kills the whole group at once and waits for the end.
    pub(crate) fn kill(&mut self) {
        // The group is gone when every process of it has ended: nothing to do then.
        let _gone = kill_process_group(self.pid(), Signal::KILL);
        self.child.wait().expect("the child can be waited for");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command, killed by the kernel when the thread of the test ends, since an interrupted test drops nothing.
fn tied_to_us(command: &Command) -> Command {
    if !cfg!(target_os = "linux") {
        return copy_onto(command, Command::new(command.get_program()));
    }
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
    copy_onto(command, tied)
}

/// Arguments and environment of one command on another.
fn copy_onto(from: &Command, mut to: Command) -> Command {
    to.args(from.get_args());
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    to
}

/// Copies lines to the test's log and to the record until the stream ends.
fn follow(label: &str, stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let label = label.to_owned();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            println!("[{label}] {text}");
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            line.clear();
        }
    })
}
