//! A camera as seen from the network: one connection per alarm, raw bytes, a reset after the answer.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SOON;

/// A device that pushes to one webhook.
#[derive(Debug, Clone)]
pub(crate) struct Camera {
    /// `host:port`.
    pub(crate) authority: String,
    /// The webhook's path.
    pub(crate) path: String,
}

/// The bridge's answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.whole()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns whether the body was sent in chunks.
    pub(crate) fn is_chunked(&self) -> bool {
        self.head.contains("transfer-encoding: chunked")
    }

    /// The body, joined from its chunks if it had any.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let (mut rest, mut whole) = (self.body.as_slice(), Vec::new());
        if !self.is_chunked() {
            return rest.to_vec();
        }
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let length = std::str::from_utf8(&rest[..end]).ok();
            let length = length.and_then(|length| usize::from_str_radix(length, 16).ok()).expect("a length");
            if length == 0 {
                return whole;
            }
            whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
            rest = &rest[end + 4 + length..];
        }
        panic!("the body ended early: {}", self.head);
    }
}

impl Camera {
    /// One that pushes to `http://host:port/path`.
    pub(crate) fn new(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is not http://"));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self { authority: authority.into(), path: format!("/{path}") }
    }

    /// Sends a recorded request byte for byte, but for the path and the `Host`.
    pub(crate) async fn file(&self, path: impl AsRef<Path>) -> Answer {
        let path = path.as_ref();
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.raw(&self.readdress(&bytes)).await
    }

    /// Sends JSON as a camera does that attaches no picture.
    pub(crate) async fn json(&self, body: &serde_json::Value) -> Answer {
        let body = body.to_string().into_bytes();
        self.raw(&self.request("application/json; charset=utf-8", &body)).await
    }

    /// Sends JSON and a picture as a camera does.
    pub(crate) async fn multipart(&self, json: &serde_json::Value, jpeg: &[u8]) -> Answer {
        self.raw(&self.multipart_request(json, jpeg)).await
    }

    /// The whole request with JSON and a picture.
    pub(crate) fn multipart_request(&self, json: &serde_json::Value, jpeg: &[u8]) -> Vec<u8> {
        let mut body = format!(
            "--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"event\"\r\n\
             Content-Type: application/json\r\n\r\n{json}\r\n--ReportEventBoundary\r\n\
             Content-Disposition: form-data; name=\"20261005150501\"\r\nContent-Type: image/jpeg\r\n\
             Content-Length: {}\r\n\r\n",
            jpeg.len()
        )
        .into_bytes();
        body.extend_from_slice(jpeg);
        body.extend_from_slice(b"\r\n--ReportEventBoundary--\r\n");
        self.request("multipart/form-data; boundary=ReportEventBoundary", &body)
    }

    /// Requests the page of the URL, like a person with a browser; works for any URL.
    pub(crate) async fn get(&self) -> Answer {
        let Self { authority, path } = self;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        self.raw(request.as_bytes()).await
    }

    /// A whole request with exactly the headers a camera sends.
    pub(crate) fn request(&self, content_type: &str, body: &[u8]) -> Vec<u8> {
        let Self { authority, path } = self;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\nCache-Control: no-cache\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    /// Sends these bytes on a new connection, reads the answer, and resets the connection as a camera does.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        self.try_raw(bytes).await.unwrap_or_else(|error| panic!("no answer from {}: {error}", self.authority))
    }

    /// Sends these bytes like `raw`, but returns the connection's error if there is no complete answer.
    pub(crate) async fn try_raw(&self, bytes: &[u8]) -> std::io::Result<Answer> {
        self.within(SOON, bytes).await
    }

    /// Sends these bytes like `raw`, with a limit of its own.
    pub(crate) async fn within(&self, limit: Duration, bytes: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect().await?;
        stream.write_all(bytes).await?;
        let answer = tokio::time::timeout(limit, read_answer(&mut stream)).await??;
        stream.set_zero_linger()?;
        Ok(answer)
    }

    /// Sends a recorded request and closes the sending side, like a device that was cut off in its body. `None`: the
    /// connection ended without an answer.
    pub(crate) async fn file_to_its_end(&self, path: impl AsRef<Path>) -> Option<Answer> {
        self.to_its_end(&std::fs::read(path).expect("the recorded request can be read")).await
    }

    /// Sends the bytes of a recorded request and closes the sending side.
    pub(crate) async fn to_its_end(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect().await.expect("the listener takes connections");
        stream.write_all(&self.readdress(bytes)).await.ok()?;
        stream.shutdown().await.ok()?;
        tokio::time::timeout(SOON, read_answer(&mut stream)).await.expect("the connection ends").ok()
    }

    /// Sends these bytes and resets the connection without waiting for an answer.
    pub(crate) async fn cut_after(&self, bytes: &[u8]) {
        let mut stream = self.connect().await.expect("the listener takes connections");
        stream.write_all(bytes).await.expect("the bytes are taken");
        stream.set_zero_linger().expect("linger can be set");
    }

    /// Acts like the Test button: connects, sends nothing, resets after 0.1 s.
    pub(crate) async fn test_button(&self) {
        let stream = self.connect().await.expect("the listener takes connections");
        stream.set_zero_linger().expect("linger can be set");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// A new connection, for tests that send byte by byte.
    pub(crate) async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(&self.authority).await
    }

    /// Replaces path and host of a recorded request; a query stays.
    pub(crate) fn readdress(&self, request: &[u8]) -> Vec<u8> {
        let crlf = request.windows(4).position(|four| four == b"\r\n\r\n");
        let (end, line_end) = match crlf {
            Some(end) => (end, "\r\n"),
            None => (request.windows(2).position(|two| two == b"\n\n").expect("the head ends"), "\n"),
        };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        let mut lines: Vec<String> = head.split(line_end).map(str::to_owned).collect();
        let mut first = lines[0].splitn(3, ' ');
        let (method, target, version) = (first.next(), first.next(), first.next());
        let query = target
            .and_then(|target| target.split_once('?'))
            .map(|(_, query)| format!("?{query}"))
            .unwrap_or_default();
        let (method, version) = (method.unwrap_or("POST"), version.unwrap_or("HTTP/1.1"));
        lines[0] = format!("{method} {}{query} {version}", self.path);
        for line in &mut lines {
            if line.to_ascii_lowercase().starts_with("host:") {
                *line = format!("Host: {}", self.authority);
            }
        }
        [lines.join(line_end).as_bytes(), &request[end..]].concat()
    }
}

/// Reads one answer: the head, and as much body as it announces, or all up to the end.
async fn read_answer(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        let ended = stream.read_buf(&mut bytes).await? == 0;
        if let Some(answer) = parse_answer(&bytes, ended) {
            return Ok(answer);
        }
        if ended {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, text));
        }
    }
}

/// The answer, once it is complete.
fn parse_answer(bytes: &[u8], ended: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let announced = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let rest = &bytes[end + 4..];
    let body = match announced {
        Some((_, value)) => rest.get(..value.trim().parse().expect("a length"))?,
        None if ended => rest,
        None => return None,
    };
    Some(Answer { status, body: body.to_vec(), head })
}
