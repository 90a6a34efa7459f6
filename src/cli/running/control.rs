//! Client of the control socket of the bridge that runs with a storage folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::app::listeners::control::with_short_path;
use crate::cli::Global;
use crate::terminal::{Code, Failure};
use crate::web::api::BASE;

/// Maximum duration of an exchange.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// Client for the running bridge.
#[derive(Debug)]
pub(in crate::cli) struct ControlClient {
    folder: PathBuf,
}

/// An answer whose head was read.
struct Answer {
    status: u16,
    body: BufReader<UnixStream>,
}

impl ControlClient {
    /// Client for the bridge of the configured storage folder.
    pub(in crate::cli) fn new(global: &Global) -> Result<Self, Failure> {
        Ok(Self { folder: global.load()?.config.storage.path })
    }

    /// Client for the bridge of a storage folder.
    pub(in crate::cli) fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns whether a bridge is running.
    pub(in crate::cli) fn is_running(&self) -> bool {
        self.connect().is_ok()
    }

    /// Sends a GET request for a path under `/api/v1`.
    pub(in crate::cli) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, None)
    }

    /// Sends a POST request for a path under `/api/v1`.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask("POST", path, Some(body))
    }

    /// Reads all pages of a list, which is under `key` of each answer.
    pub(in crate::cli) fn all(&self, path: &str, key: &str, cursor: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=500{next}"))?;
            match page.get_mut(key).map(Value::take) {
                Some(Value::Array(rows)) => all.extend(rows),
                _ => return Ok(all),
            }
            next = match page.get("next") {
                Some(Value::String(text)) => format!("&{cursor}={text}"),
                Some(Value::Number(number)) => format!("&{cursor}={number}"),
                _ => return Ok(all),
            };
        }
    }

    /// Opens the event stream.
    pub(super) fn events(&self) -> Result<BufReader<UnixStream>, Failure> {
        let answer = self.exchange("GET", &format!("{BASE}/events"), None)?;
        // From here on no timeout: the stream may be silent for as long as nothing happens.
        answer.body.get_ref().set_read_timeout(None)?;
        Ok(answer.body)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let Answer { status, body } = self.exchange(method, &format!("{BASE}{path}"), body)?;
        let mut bytes = Vec::new();
        body.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status == 200 {
            return Ok(value);
        }
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("no reason was given").to_owned();
        let code = if status < 500 { Code::No } else { Code::Unavailable };
        Err(Failure::new(code, format!("{}: {}", text("detail"), text("remedy"))))
    }

    /// Sends a request and reads the head of its answer. HTTP/1.0: the body ends with the connection, in one piece.
    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let body = body.map(ToString::to_string).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        // In one write: if the server answers without reading the body, a second write would cause a reset that
        // discards the answer.
        stream.write_all((head + &body).as_bytes())?;
        let mut body = BufReader::new(stream);
        let (mut first, mut line) = (String::new(), String::new());
        body.read_line(&mut first)?;
        while body.read_line(&mut line)? > 2 {
            line.clear();
        }
        let status = first.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
        let status = status
            .ok_or_else(|| Failure::new(Code::Unavailable, "the bridge did not answer: is it stopping?"))?;
        Ok(Answer { status, body })
    }

    fn connect(&self) -> Result<UnixStream, Failure> {
        with_short_path(&self.folder, |path| UnixStream::connect(path)).map_err(|error| {
            let folder = self.folder.display();
            let text = format!(
                "no bridge runs with the storage folder {folder} ({error}): start one (`alarmbus`), or name its folder \
                 with --storage or --config"
            );
            Failure::new(Code::Unavailable, text)
        })
    }
}

/// A text in a row of an answer.
pub(in crate::cli) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or("-")
}

/// Formats rows as a table with aligned columns.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, head: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = heads.iter().enumerate().map(|(column, head)| width(column, head)).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(heads.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// Encodes a text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
