//! A nats-server of a test's own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long anything may take that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A server; killed, and its files removed, when dropped.
pub(crate) struct Server {
    folder: TempDir,
    child: Option<Child>,
    lines: String,
    pub(crate) port: u16,
}

impl Server {
    /// One with JetStream.
    pub(crate) async fn start() -> Self {
        Self::with(true, "").await
    }

    /// One with or without JetStream and more lines of configuration.
    pub(crate) async fn with(jetstream: bool, extra: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut lines = format!("{extra}\n");
        if jetstream {
            lines.push_str(&format!("jetstream {{ store_dir: {:?} }}\n", folder.path().join("store")));
        }
        let mut server = Self { folder, child: None, lines, port: 0 };
        server.restart().await;
        server
    }

    /// Kills what runs and starts again, on the same port with the same files.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        let ports = TempDir::new().unwrap();
        let conf = self.folder.path().join("nats.conf");
        let listen = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let head = format!("listen: \"127.0.0.1:{listen}\"\nports_file_dir: {:?}\n", ports.path());
        std::fs::write(&conf, head + &self.lines).unwrap();
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.folder.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.port = tokio::time::timeout(SOON, written(ports.path()))
            .await
            .unwrap_or_else(|_| panic!("nats-server does not start: {}", self.log()));
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Stops it from doing anything; connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Asks it to go into lame duck mode.
    pub(crate) fn lame_duck(&self) {
        self.signal(Signal::USR2);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().and_then(Child::id).unwrap();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The port, once the server has written it down, which it does when it is ready.
async fn written(folder: &Path) -> u16 {
    loop {
        let files = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        for text in files.filter_map(|file| std::fs::read_to_string(file.path()).ok()) {
            let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            let url = json["nats"][0].as_str().unwrap_or_default().to_owned();
            if let Some(port) = url.rsplit(':').next().and_then(|port| port.parse().ok()) {
                return port;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
