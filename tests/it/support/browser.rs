//! A real browser with a profile of its own: Debian's chromium, driven over the WebDriver protocol, or Debian's firefox-esr,
//! driven over its own protocol (see `firefox`). What both can do is the same for both.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::firefox::Firefox;
use super::process::Process;
use super::{Camera, eventually};

/// Maximum wait for a browser on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Flags of the browser: no background requests to other hosts.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--lang=en-GB",
    "--window-size=1280,900",
];

/// One window of one browser.
pub(crate) enum Browser {
    /// Chromium.
    Chromium(Chromium),
    /// Firefox; it takes the commands of every browser, and none of Chromium's DevTools.
    Firefox(Firefox),
}

/// Chromium behind its driver.
pub(crate) struct Chromium {
    authority: String,
    session: String,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium.
    pub(crate) async fn start() -> Self {
        let profile = TempDir::new().expect("a temporary folder can be made");
        let (driver, port) = start_driver(profile.path()).await;
        let authority = format!("127.0.0.1:{port}");
        let folder = format!("--user-data-dir={}", profile.path().join("profile").display());
        let flags: Vec<&str> = FLAGS.iter().copied().chain([folder.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"}, "acceptInsecureCerts": true,
        }}});
        let answer = ask(&authority, "POST", "/session", &wanted).await;
        let session =
            answer["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
        Self::Chromium(Chromium { authority, session, _driver: driver, _profile: profile })
    }

    /// Starts Firefox.
    pub(crate) async fn firefox() -> Self {
        Self::Firefox(Firefox::start().await)
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).await;
    }

    /// Runs the body of a function in the page, and gives what it returns.
    pub(crate) async fn run(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({"script": body, "args": []})).await
    }

    /// Runs the body of an async function in the page, and gives what it resolves to.
    pub(crate) async fn run_async(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done(String(e)));"
        );
        self.post("execute/async", &json!({"script": script, "args": []})).await
    }

    /// Text of the first element that a selector finds; `None` if there is none or it is hidden.
    pub(crate) async fn text(&self, selector: &str) -> Option<String> {
        let body = format!(
            "const found = document.querySelector({}); return found && found.checkVisibility() ? found.innerText : null;",
            json!(selector)
        );
        self.run(&body).await.as_str().map(str::to_owned)
    }

    /// Waits until the element that a selector finds contains a text.
    pub(crate) async fn wait_for(&self, selector: &str, text: &str) {
        eventually(PATIENCE, &format!("{selector} to say {text:?}"), async || {
            self.text(selector).await.filter(|found| found.contains(text))
        })
        .await;
    }

    /// Clicks like a user: scrolls there, and clicks the topmost element.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("element/{element}/click"), &json!({})).await;
    }

    /// Replaces what an input holds.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("element/{element}/clear"), &json!({})).await;
        self.post(&format!("element/{element}/value"), &json!({"text": text})).await;
    }

    /// Makes the window another size; `mobile`: a touch screen of two pixels a point.
    pub(crate) async fn resize(&self, width: u32, height: u32, mobile: bool) {
        let scale = if mobile { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// Prefers dark colours, or light ones.
    pub(crate) async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", &media).await;
    }

    /// Switches the scripts of pages off.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": true})).await;
    }

    /// The accessibility tree of the page, as a screen reader reads it.
    pub(crate) async fn read_out(&self) -> String {
        let tree = self.devtools("Accessibility.getFullAXTree", &json!({})).await;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let texts = nodes.iter().filter(|node| node["role"]["value"] == "StaticText");
        texts.filter_map(|node| node["name"]["value"].as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Presses Enter on what a selector finds, as the keyboard does; needs no script in the page.
    pub(crate) async fn press(&self, selector: &str) {
        let document = self.devtools("DOM.getDocument", &json!({"depth": 0})).await;
        let query = json!({"nodeId": document["root"]["nodeId"], "selector": selector});
        let found = self.devtools("DOM.querySelector", &query).await;
        assert_ne!(found["nodeId"], 0, "no element {selector}");
        self.devtools("DOM.focus", &found).await;
        for (kind, text) in [("keyDown", "\r"), ("keyUp", "")] {
            let key = json!({"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": text});
            self.devtools("Input.dispatchKeyEvent", &key).await;
        }
    }

    /// The window as a WebP picture, which keeps letters sharp and photographs small.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let shot = self.devtools("Page.captureScreenshot", &json!({"format": "webp", "quality": 88})).await;
        STANDARD.decode(shot["data"].as_str().expect("the picture is text")).expect("it is base64")
    }

    /// Errors of the browser since the last call: script errors, refused resources.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"})).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line["message"].to_string()).collect()
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    async fn find(&self, selector: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no element {selector}: {found}")).to_owned()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        match self {
            Self::Chromium(Chromium { authority, session, .. }) => {
                ask(authority, "POST", &format!("/session/{session}/{path}"), body).await
            }
            Self::Firefox(firefox) => firefox.post(path, body).await,
        }
    }
}

impl Drop for Chromium {
    /// Lets the driver close the browser: killed, it would leave that behind.
    fn drop(&mut self) {
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.authority
        );
        let closed = TcpStream::connect(&self.authority).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.read(&mut [0; 512])
        });
        if let Err(error) = closed {
            println!("the browser could not be closed: {error}");
        }
    }
}

/// A driver and its port. It picks one for IPv6 and gives up when that is taken for IPv4: then another is started.
async fn start_driver(home: &Path) -> (Process, String) {
    let mut command = Command::new("chromedriver");
    command.args(["--port=0", "--log-level=WARNING"]).env("HOME", home);
    let mut driver = Process::spawn("chromedriver", &command);
    let port = eventually(PATIENCE, "chromedriver (is it installed? tests/run sees to it)", async || {
        if driver.log().contains("port not available") {
            driver = Process::spawn("chromedriver", &command);
        }
        let log = driver.log();
        let line = log.lines().find(|line| line.contains("started successfully on port"))?;
        let digits = line.rsplit(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
        digits.map(str::to_owned)
    })
    .await;
    (driver, port)
}

/// Sends a request to the driver; returns its answer.
async fn ask(authority: &str, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let driver = Camera::new(&format!("http://{authority}/"));
    let answer = driver.within(PATIENCE, request.as_bytes()).await;
    let answer = answer.unwrap_or_else(|error| panic!("the driver does not answer {path}: {error}"));
    assert!(answer.status == 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()["value"].clone()
}
