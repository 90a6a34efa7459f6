//! A real Prometheus (Debian's package) with the project's own alert rules, in which a minute takes two seconds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::{Camera, port};

/// Duration of a minute of the rules, in milliseconds.
const MINUTE_MS: u64 = 2_000;

/// A server that scrapes some bridges.
pub(crate) struct Prometheus {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these `host:port`.
    pub(crate) async fn start(targets: &[String]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/prometheus/alarmbus.rules.yml");
        let rules = fs::read_to_string(rules).expect("the rules can be read");
        // The only threshold that is a time.
        let seconds = format!("alarmbus_sink_oldest_seconds > {}", 300 * MINUTE_MS / 60_000);
        assert!(rules.contains("alarmbus_sink_oldest_seconds > 300"), "the threshold is where it was");
        let rules = faster(&rules.replace("alarmbus_sink_oldest_seconds > 300", &seconds));
        fs::write(folder.path().join("rules.yml"), rules).expect("the folder can be written");
        let config = format!(
            "global: {{scrape_interval: {MINUTE_MS}ms, scrape_timeout: {MINUTE_MS}ms, evaluation_interval: {MINUTE_MS}ms}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: alarmbus, static_configs: [{{targets: {targets:?}}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).expect("the folder can be written");
        let port = port::free();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::spawn("prometheus", &command);
        process.wait_for_line("Server is ready to receive web requests").await;
        Self { port, _process: process, _folder: folder }
    }

    /// Current result of a query: labels and value of each sample.
    pub(crate) async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let query: String = url::form_urlencoded::byte_serialize(faster(query).as_bytes()).collect();
        let camera = Camera::new(&format!("http://127.0.0.1:{}/api/v1/query?query={query}", self.port));
        // As a client of HTTP/1.0, which gets no chunks.
        let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", camera.path, camera.authority);
        let answer = camera.raw(request.as_bytes()).await.json();
        assert_eq!(answer["status"], "success", "{answer}");
        let samples = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|text| text.parse().ok());
        samples
            .into_iter()
            .map(|sample| (sample["metric"].clone(), value(&sample).expect("a sample has a value")))
            .collect()
    }
}

/// Rules or a query with every duration of so many minutes or hours shortened.
fn faster(text: &str) -> String {
    let (mut fast, mut digits) = (String::new(), String::new());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        let minutes = match sign {
            'm' => 1,
            'h' => 60,
            _ => 0,
        };
        let ends = signs.peek().is_none_or(|next| matches!(next, ']' | '\n'));
        if sign.is_ascii_digit() {
            digits.push(sign);
        } else if 0 < minutes && ends && !digits.is_empty() {
            let count: u64 = digits.parse().expect("digits are a number");
            fast.push_str(&format!("{}ms", count * minutes * MINUTE_MS));
            digits.clear();
        } else {
            fast.push_str(&std::mem::take(&mut digits));
            fast.push(sign);
        }
    }
    fast + &digits
}

#[test]
fn only_durations_are_shortened() {
    assert_eq!(
        faster("increase(a_5m{b=\"1h 2\"}[15m]) > 10\nfor: 1h\n"),
        "increase(a_5m{b=\"1h 2\"}[30000ms]) > 10\nfor: 120000ms\n"
    );
    assert_eq!(faster("256 * 1024"), "256 * 1024");
}
