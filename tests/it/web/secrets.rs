//! Without a login no response to a GET contains the secret of a webhook: no page, no API response, no stream, no
//! metric; nor do the log and the bundle.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::person;
use crate::support::web::get;
use crate::support::{Bridge, Camera, SOON, eventually};

/// Maximum number of addresses that the crawler visits.
const MOST: usize = 2_000;

/// A secret in every reversible encoding.
struct Spellings(Vec<String>);

impl Spellings {
    fn of(path: &str) -> Self {
        let secret = path.rsplit('/').next().expect("a last part").to_owned();
        assert!(secret.len() >= 16, "{path} is no secret");
        let encoded = |upper: bool| {
            secret.bytes().fold(String::new(), |mut text, byte| {
                let written = if upper { write!(text, "%{byte:02X}") } else { write!(text, "%{byte:02x}") };
                written.expect("a string takes all");
                text
            })
        };
        Self(vec![encoded(true), encoded(false), STANDARD.encode(&secret), secret])
    }

    /// Checks that a text does not contain the secret, or two thirds of it, from which the rest could be guessed.
    #[track_caller]
    fn absent(&self, what: &str, text: &str) {
        for spelling in &self.0 {
            let most: String = spelling.chars().take(spelling.len() * 2 / 3).collect();
            assert!(!text.contains(&most), "{what} tells the secret ({spelling}):\n{text}");
        }
    }
}

/// A bridge that received its secrets in all places where it might repeat them.
async fn told_too_much() -> (Bridge, Vec<Spellings>) {
    let bridge = Bridge::start("[limits]\nstrangers_per_second = 1000\n").await;
    let added = bridge.command(&["webhook", "add", "porch"]).await;
    assert!(added.0.success(), "{}", added.1);
    let old = bridge.camera().path;
    assert!(bridge.command(&["webhook", "rotate", "default"]).await.0.success());
    let revealed = bridge.post("/webhooks/reveal", &json!({})).await.json();
    let paths: BTreeSet<String> = revealed["webhooks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|webhook| webhook["path"].as_str().expect("a path").to_owned())
        .collect();
    assert!(paths.len() == 3 && paths.contains(&old), "{paths:?}");
    for path in &paths {
        tell(&bridge, path).await;
    }
    (bridge, paths.iter().map(|path| Spellings::of(path)).collect())
}

/// Sends a path in body, query, headers, similar targets, and to the wrong port.
async fn tell(bridge: &Bridge, path: &str) {
    let camera = Camera { path: path.to_owned(), ..bridge.camera() };
    let mut report = person();
    report["note"] = json!(format!("http://bridge{path}"));
    report["event_list"][0]["url"] = json!(path);
    assert_eq!(camera.json(&report).await.status, 200);
    camera.get().await;
    camera.raw(&camera.request("text/plain", format!("hello {path}").as_bytes())).await;
    bridge.page(path).json(&person()).await;
    let secret = path.rsplit('/').next().expect("a last part");
    let short: String = path.chars().take(path.len() - 2).collect();
    let encoded =
        format!("/alarm/{}", secret.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}")));
    for (target, header) in [
        (format!("{path}?again={secret}"), format!("Referer: http://bridge{path}")),
        (path.to_uppercase(), format!("X-Original-URI: {path}")),
        (short, "X: y".into()),
        (format!("{path}/more"), "X: y".into()),
        (encoded, "X: y".into()),
        (format!("/other/{secret}"), format!("Cookie: path={path}")),
    ] {
        let request =
            format!("POST {target} HTTP/1.1\r\nHost: bridge\r\n{header}\r\nContent-Length: 2\r\n\r\n{{}}");
        camera.raw(request.as_bytes()).await;
    }
}

/// Addresses of this site in a page or response.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["href=\"/", "src=\"/", "action=\"/", "\"picture\":\"/"] {
        for piece in text.split(start).skip(1) {
            let link = piece.split('"').next().unwrap_or_default();
            found.push(format!("/{}", link.split('#').next().unwrap_or_default()));
        }
    }
    found
}

/// Addresses of every reading operation of the API, each with an existing item.
async fn operations(bridge: &Bridge) -> Vec<String> {
    let document = bridge.api("/openapi.json").await;
    let mut all = Vec::new();
    let id = bridge.api("/alarms").await["alarms"][0]["alarm"]["id"].as_str().expect("an id").to_owned();
    let requests = bridge.api("/requests?limit=500").await["requests"].as_array().expect("a list").clone();
    for (path, item) in document["paths"].as_object().expect("paths") {
        if item.get("get").is_none() || path.ends_with("/events") {
            continue;
        }
        let filled = path.replace("{id}", &id).replace("{source}", "021a2b3c4d5e");
        if filled.contains("{no}") {
            all.extend(requests.iter().map(|request| filled.replace("{no}", &request["no"].to_string())));
        } else {
            all.push(filled);
        }
    }
    assert!(all.iter().all(|path| !path.contains('{')) && all.len() > 20, "{all:?}");
    all
}

/// The event stream from its beginning, as far as it arrives at once.
async fn stream(bridge: &Bridge) -> String {
    let mut stream = bridge.page("/").connect().await.expect("a connection");
    let request = "GET /api/v1/events?after=0 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut text = String::new();
    let read = async {
        while !["event: alarm", "event: health", "event: findings", "event: chain"]
            .iter()
            .all(|event| text.contains(event))
        {
            let mut bytes = [0; 8_192];
            let count = stream.read(&mut bytes).await.expect("it can be read");
            assert!(count > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    tokio::time::timeout(SOON, read).await.expect("every kind of event");
    text
}

/// A response with base64 in it decoded.
fn laid_open(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let body = value["body"].as_str().or_else(|| value["request"]["body"].as_str());
    let body = body.map(|body| STANDARD.decode(body).expect("it is base64")).unwrap_or_default();
    format!("{text}\n{}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn nothing_that_can_be_read_without_a_login_holds_a_secret() {
    let (bridge, secrets) = told_too_much().await;
    eventually(SOON, "the requests", async || {
        let kept = bridge.api("/requests?limit=500").await;
        (kept["requests"].as_array()?.len() >= 20).then_some(())
    })
    .await;
    let starts = ["/", "/metrics", "/health/live", "/health/ready", "/login", "/nothing"].map(str::to_owned);
    let mut open: Vec<String> = starts.into_iter().chain(operations(&bridge).await).collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        assert!(seen.len() < MOST, "the pages link to ever new addresses: {seen:?}");
        let answer = get(bridge.admin(), &path, &[]).await;
        let text = laid_open(&answer.text());
        for secret in &secrets {
            secret.absent(&path, &format!("{}\n{text}", answer.head));
        }
        open.extend(links(&text));
    }
    for expected in
        ["/setup", "/requests/1/capture", "/api/v1/webhooks", "/api/v1/setup", "/assets/script.js"]
    {
        assert!(seen.iter().any(|path| path.starts_with(expected)), "{expected} was not looked at: {seen:?}");
    }
    println!("{} addresses were looked at", seen.len());
    let streamed = stream(&bridge).await;
    let file = bridge.storage().join("bundle.tar.gz");
    let (status, output) = bridge.command(&["bundle", "--output", file.to_str().expect("a text")]).await;
    assert!(status.success(), "{output}");
    let mut bundle = Vec::new();
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(&file).expect("the bundle"));
    { archive }.read_to_end(&mut bundle).expect("it is packed");
    // A generated path is printed at the start for the user; the log does not contain it.
    let log = bridge.log();
    let logged: Vec<&str> = log.lines().filter(|line| !line.starts_with("    URL        ")).collect();
    for secret in &secrets {
        secret.absent("the event stream", &streamed);
        secret.absent("the bundle", &String::from_utf8_lossy(&bundle));
        secret.absent("the log", &logged.join("\n"));
    }
}

/// With a login the page and the API show the path, and without one they do not.
#[tokio::test]
async fn with_a_login_the_path_is_shown() {
    let token = "0123456789abcdef0123456789abcdef";
    let bridge = Bridge::start(&format!("[admin]\npassword = \"p4ssword\"\ntoken = \"{token}\"\n")).await;
    let path = bridge.camera().path;
    let bearer = format!("Authorization: Bearer {token}");
    for place in ["/setup", "/api/v1/setup", "/api/v1/webhooks"] {
        let answer = get(bridge.admin(), place, &[&bearer]).await;
        assert!(answer.status == 200 && answer.text().contains(&path), "{place}: {}", answer.text());
        let answer = get(bridge.admin(), place, &[]).await;
        assert!(answer.status == 401 && !answer.text().contains(&path), "{place}: {}", answer.text());
    }
    let page = get(bridge.admin(), "/setup", &[&bearer]).await.text();
    assert!(!page.contains("Show the path") && page.contains("alarmbus webhook ls"), "{page}");
}
