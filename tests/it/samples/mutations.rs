//! Changes to a request that other devices, firmware or proxies make.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::Value;

use crate::wire::decoded;

/// A request split into its parts.
#[derive(Clone)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The changed requests, each with a description; none for a request without a complete head and body.
pub(super) fn of(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let Some(request) = Request::read(bytes) else { return Vec::new() };
    let body = request.body.clone();
    let mut changed = vec![
        ("with another kind", request.with(another_kind(bytes, &body))),
        ("cut in half", request.with(body[..body.len() / 2].to_vec())),
        ("without its last byte", request.with(body[..body.len().saturating_sub(1)].to_vec())),
        ("without Content-Type", request.without("content-type")),
        ("of another Content-Type", request.header("Content-Type", "application/octet-stream")),
        ("with a byte order mark", request.with([b"\xef\xbb\xbf", body.as_slice()].concat())),
        ("in UTF-16", request.with(utf16(&body))),
        ("in Latin-1", request.with([&body[..body.len() / 2], b"\xe9", &body[body.len() / 2..]].concat())),
        ("with prefixes", request.with(prefixed(&body))),
        ("in other order", request.with(reordered(&body))),
        ("as a list", request.with([b"[", body.as_slice(), b"]"].concat())),
        ("twice", request.with([body.as_slice(), b"\r\n", &body].concat())),
        ("with parts in other order", request.with(parts_reversed(&body))),
        ("as gzip", request.with(gzip(&body)).header("Content-Encoding", "gzip")),
        ("as zlib", request.with(zlib(&body)).header("Content-Encoding", "deflate")),
        (
            "as half a gzip",
            request.with(gzip(&body)[..gzip(&body).len() / 2].to_vec()).header("Content-Encoding", "gzip"),
        ),
        ("falsely declared", request.header("Content-Encoding", "br")),
    ];
    if let Value::Object(map) = serde_json::from_slice(&body).unwrap_or_default() {
        let reversed: serde_json::Map<String, Value> = map.into_iter().rev().collect();
        changed.push((
            "with members in other order",
            request.with(Value::from(reversed).to_string().into_bytes()),
        ));
    }
    let mut all: Vec<(&str, Vec<u8>)> =
        changed.into_iter().map(|(how, request)| (how, request.bytes())).collect();
    all.push(("chunked", request.chunked()));
    all
}

impl Request {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let line = lines.next()?.to_owned();
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let headers: Vec<(String, String)> = lines.filter_map(header).collect();
        let body = bytes[end + 4..].to_vec();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let whole = length.is_some_and(|(_, length)| *length == body.len().to_string());
        (whole && !body.is_empty()).then_some(Self { line, headers, body })
    }

    fn with(&self, body: Vec<u8>) -> Self {
        Self { body, ..self.clone() }
    }

    fn without(&self, header: &str) -> Self {
        let mut request = self.clone();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header));
        request
    }

    fn header(&self, name: &str, value: &str) -> Self {
        let mut request = self.without(name);
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    fn bytes(&self) -> Vec<u8> {
        let request = self.header("Content-Length", &self.body.len().to_string());
        [request.head().as_bytes(), &request.body].concat()
    }

    /// Chunked, and with the whole URL in the first line.
    fn chunked(&self) -> Vec<u8> {
        let mut request = self.without("content-length").header("Transfer-Encoding", "chunked");
        request.line = request.line.replacen(" /", " http://192.0.2.10:8089/", 1);
        let mut bytes = request.head().into_bytes();
        for chunk in self.body.chunks(self.body.len() / 3 + 1) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    fn head(&self) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{}\r\n{headers}\r\n", self.line)
    }
}

/// The body with an unknown name of the event.
fn another_kind(request: &[u8], body: &[u8]) -> Vec<u8> {
    let raw = decoded(request).ok().and_then(|decoded| Some(decoded.alarms.first()?.event_raw.clone()));
    let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return body.to_vec() };
    replaced(body, raw.as_bytes(), b"FlyingSaucerDetection")
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The body with a prefix before each name of an element.
fn prefixed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, byte) in body.iter().enumerate() {
        out.push(*byte);
        let before = &body[at.saturating_sub(1)..=at];
        let next = body.get(at + 1).copied().unwrap_or_default();
        if (*byte == b'<' || before == b"</") && next.is_ascii_alphabetic() {
            out.extend_from_slice(b"zz:");
        }
    }
    out
}

/// The body with the lines between its first two and its last one in other order.
fn reordered(body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
    let last = lines.len().saturating_sub(1);
    if let Some(middle) = lines.get_mut(2..last) {
        middle.reverse();
    }
    lines.concat()
}

/// A multipart body with its parts from the last to the first.
fn parts_reversed(body: &[u8]) -> Vec<u8> {
    let Some(end) = body.windows(2).position(|two| two == b"\r\n").filter(|_| body.starts_with(b"--")) else {
        return body.to_vec();
    };
    let delimiter = [b"\r\n", &body[..end]].concat();
    let whole = [b"\r\n", body].concat();
    let starts: Vec<usize> = memchr::memmem::find_iter(&whole, &delimiter).collect();
    let mut parts: Vec<&[u8]> = starts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
    parts.reverse();
    let tail = starts.last().map_or(&[][..], |last| &whole[*last..]);
    [parts.concat().as_slice(), tail].concat()[2..].to_vec()
}

fn utf16(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
