//! Debian's firefox-esr, driven over Marionette: the protocol of Firefox itself, without a driver that would have
//! to be fetched. A message is its length, a colon, and JSON: `[0, id, command, parameters]` there,
//! `[1, id, error, result]` back (Firefox source docs, "Marionette Protocol").

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::browser::PATIENCE;
use super::eventually;
use super::process::Process;

/// Preferences: a free port, and no requests to other hosts.
const PREFERENCES: &str = r#"user_pref("marionette.port", 0);
user_pref("remote.prefs.recommended", true);
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,none");
user_pref("toolkit.telemetry.enabled", false);
"#;

/// One window of one Firefox.
pub(crate) struct Firefox {
    link: Mutex<Link>,
    _process: Process,
    _profile: TempDir,
}

/// The connection to it.
struct Link {
    stream: TcpStream,
    commands: u64,
}

impl Firefox {
    /// Starts it; it accepts untrusted certificates.
    pub(crate) async fn start() -> Self {
        let profile = TempDir::new().expect("a temporary folder can be made");
        fs::write(profile.path().join("user.js"), PREFERENCES).expect("the folder can be written");
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--no-remote", "--marionette", "--profile"]).arg(profile.path());
        command.env("HOME", profile.path());
        let mut process = Process::spawn("firefox", &command);
        let file = profile.path().join("MarionetteActivePort");
        let port: u16 = eventually(PATIENCE, "Firefox (is it installed? tests/run sees to it)", async || {
            assert!(process.is_running(), "Firefox ended early:\n{}", process.log());
            fs::read_to_string(&file).ok()?.trim().parse().ok()
        })
        .await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("Firefox listens");
        let mut link = Link { stream, commands: 0 };
        link.receive().await;
        link.ask("WebDriver:NewSession", &json!({"acceptInsecureCerts": true})).await;
        Self { link: Mutex::new(link), _process: process, _profile: profile }
    }

    /// Runs a command named by a path of the WebDriver protocol.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        let mut parameters = body.clone();
        let steps: Vec<&str> = path.split('/').collect();
        let command = match steps[..] {
            ["url"] => "WebDriver:Navigate",
            ["execute", "sync"] => "WebDriver:ExecuteScript",
            ["execute", "async"] => "WebDriver:ExecuteAsyncScript",
            ["element"] => "WebDriver:FindElement",
            ["element", id, act] => {
                parameters["id"] = json!(id);
                match act {
                    "click" => "WebDriver:ElementClick",
                    "clear" => "WebDriver:ElementClear",
                    "value" => "WebDriver:ElementSendKeys",
                    _ => panic!("Firefox is not asked to {act}"),
                }
            }
            _ => panic!("Firefox does not do {path}"),
        };
        let asked = timeout(PATIENCE, async { self.link.lock().await.ask(command, &parameters).await });
        asked.await.unwrap_or_else(|_| panic!("Firefox does not answer {command}"))["value"].clone()
    }
}

impl Link {
    /// Sends a command, and gives its result.
    async fn ask(&mut self, command: &str, parameters: &Value) -> Value {
        self.commands += 1;
        let message = json!([0, self.commands, command, parameters]).to_string();
        let framed = format!("{}:{message}", message.len());
        self.stream.write_all(framed.as_bytes()).await.expect("Firefox takes commands");
        let answer = self.receive().await;
        assert!(answer[2].is_null(), "{command} {parameters}: {}", answer[2]);
        answer[3].clone()
    }

    /// The next message.
    async fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            match self.stream.read_u8().await.expect("Firefox runs") {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).await.expect("Firefox runs");
        serde_json::from_slice(&message).expect("it is JSON")
    }
}
