//! Recorded requests: a raw HTTP request as a sniffer or the Requests page saves it, or a bare body.

use bytes::Bytes;

use super::{Body, BodyEnd, Hints};

/// Maximum bytes of a decompressed body: the largest body that can be configured.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Methods of reports; a file that begins with one and has `HTTP/` in its first line is a request.
const METHODS: [&str; 4] = ["POST ", "PUT ", "GET ", "HEAD "];

/// Folders of paths that a maker has fixed in the device.
const FIXED_FOLDERS: [&str; 2] = ["/LAPI/", "/NotificationInfo/"];

/// The body of a recorded request, or the whole file where it is a bare body.
#[must_use]
pub fn read(file: &[u8], content_type: Option<&str>) -> Body {
    let given = content_type.map(str::to_owned);
    let Some((head, rest)) = split_request(file) else {
        return body(Bytes::copy_from_slice(file), given, BodyEnd::Complete);
    };
    let header = |name: &str| {
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let content_type = given.or_else(|| header("content-type"));
    let encoding = header("content-encoding");
    let unpacked = |body: Body| body.unpacked(encoding.as_deref(), MAX_BODY_BYTES);
    let chunked =
        header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    if chunked {
        let (bytes, end) = unchunk(rest);
        return unpacked(body(bytes, content_type, end));
    }
    let announced = header("content-length").and_then(|length| length.parse::<usize>().ok());
    let whole = announced.and_then(|length| rest.get(..length));
    let end = if announced.is_some() && whole.is_none() { BodyEnd::Truncated } else { BodyEnd::Complete };
    unpacked(body(Bytes::copy_from_slice(whole.unwrap_or(rest)), content_type, end))
}

/// The query in the first line of a recorded request; empty for a bare body.
#[must_use]
pub fn query(file: &[u8]) -> String {
    let Some((head, _)) = split_request(file) else { return String::new() };
    let target = head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default()
}

/// Data of a recorded request besides its body: its query, its headers, and a path that its maker has fixed.
#[must_use]
pub fn hints(file: &[u8]) -> Hints {
    let Some((head, _)) = split_request(file) else { return Hints::default() };
    let own = head.lines().skip(1).filter_map(|line| line.split_once(':')).filter_map(|(name, value)| {
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        (name.starts_with("x-") && value != "***").then(|| (name, value.into()))
    });
    let target = head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let path =
        target.split('?').next().filter(|path| FIXED_FOLDERS.iter().any(|folder| path.starts_with(folder)));
    let headers = own.chain(path.map(|path| (":path".to_owned(), path.into()))).collect();
    Hints { query: query(file), headers, ..Hints::default() }
}

/// A body as a listener would pass it on.
fn body(bytes: Bytes, content_type: Option<String>, end: BodyEnd) -> Body {
    Body { bytes, content_type, end, skipped: 0, coding: None }
}

/// Head and body, if the file is a request.
fn split_request(file: &[u8]) -> Option<(String, &[u8])> {
    let line = file.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    if !METHODS.iter().any(|method| line.starts_with(method)) || !line.contains("HTTP/") {
        return None;
    }
    // A request saved by an editor has bare newlines.
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"];
    let cut = ends.iter().filter_map(|end| memchr::memmem::find(file, end).map(|at| (at, end.len()))).min();
    let (at, length) = cut.unwrap_or((file.len(), 0));
    let head = file.get(..at)?;
    Some((String::from_utf8_lossy(head).into_owned(), file.get(at + length..)?))
}

/// Joins the chunks of a body, as far as they are present.
fn unchunk(mut rest: &[u8]) -> (Bytes, BodyEnd) {
    let mut bytes = Vec::new();
    loop {
        let Some(at) = memchr::memchr(b'\n', rest) else { return (bytes.into(), BodyEnd::Truncated) };
        let (line, after) = rest.split_at(at + 1);
        let digits = String::from_utf8_lossy(line);
        let digits = digits.split(';').next().unwrap_or("").trim();
        let Ok(size) = usize::from_str_radix(digits, 16) else { return (bytes.into(), BodyEnd::Truncated) };
        if size == 0 {
            return (bytes.into(), BodyEnd::Complete);
        }
        let Some(chunk) = after.get(..size) else {
            bytes.extend_from_slice(after);
            return (bytes.into(), BodyEnd::Truncated);
        };
        bytes.extend_from_slice(chunk);
        rest = after.get(size..).unwrap_or(&[]);
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::decode::BodyEnd;

    #[track_caller]
    fn check(file: &str, content_type: Option<&str>, body: &str, end: BodyEnd) {
        let read = read(file.as_bytes(), None);
        assert_eq!(read.content_type.as_deref(), content_type);
        assert_eq!((read.bytes.as_ref(), read.end), (body.as_bytes(), end));
    }

    #[test]
    fn a_request_is_told_from_a_body() {
        let head = "POST /alarm/x HTTP/1.1\r\nContent-Type: application/json\r\n";
        let json = Some("application/json");
        check("{\"a\": 1}", None, "{\"a\": 1}", BodyEnd::Complete);
        check(&format!("{head}Content-Length: 2\r\n\r\n{{}}tail"), json, "{}", BodyEnd::Complete);
        check(&format!("{head}content-length: 9\r\n\r\n{{}}"), json, "{}", BodyEnd::Truncated);
        check(&format!("{head}\r\n{{}}"), json, "{}", BodyEnd::Complete);
        check("POST / HTTP/1.1\nContent-Type: application/json\n\n{}", json, "{}", BodyEnd::Complete);
    }

    #[test]
    fn chunks_are_put_together() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{head}3;x=y\r\n{{\"a\r\n4\r\n\":1}}\r\n0\r\n\r\n"),
            None,
            "{\"a\":1}",
            BodyEnd::Complete,
        );
        check(&format!("{head}8\r\n{{\"a"), None, "{\"a", BodyEnd::Truncated);
    }
}
