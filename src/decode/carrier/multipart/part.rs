//! The head of one part of a multipart body.

use super::boundary::parameter;
use crate::decode::carrier::content::{SniffedType, sniff};

/// Maximum bytes of the head of a part; past it the bytes are content.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Maximum number of header lines for the strict parser.
const MAX_STRICT_LINES: usize = 32;

/// Header fields of a part.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The `name` of its `Content-Disposition`.
    pub(crate) name: Option<String>,
    /// The `filename` there.
    pub(crate) file: Option<String>,
    /// Its `Content-Type`.
    pub(crate) content_type: Option<String>,
    /// Its `Content-Length`: a hint only.
    pub(crate) length: Option<usize>,
    /// Bytes of the head, the blank line included.
    pub(crate) size: usize,
    /// Set if it has one or more valid header lines with CRLF and ends with a blank line.
    pub(crate) strict: bool,
}

/// Parses the head of a part; `bytes` ends at the latest possible end of the part.
///
/// Some devices omit the headers, the blank line, or both. A line that begins like JSON or JPEG is therefore content,
/// and so is the whole part if no header is recognised.
pub(crate) fn head(bytes: &[u8]) -> Head {
    let mut head = Head { strict: true, ..Head::default() };
    let mut at = 0;
    let mut lines = 0;
    // The first line that is not a header: content, if no blank line comes.
    let mut odd = None;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let blank = rest.starts_with(b"\r\n") || rest.starts_with(b"\n");
        if !blank && sniff(rest) != SniffedType::Other {
            return Head { size: at, strict: false, ..head };
        }
        let Some(end) = memchr::memchr(b'\n', rest.get(..MAX_HEAD_BYTES).unwrap_or(rest)) else {
            // The part ended within its head, or this is not a head.
            let size = if lines > 0 && rest.len() < MAX_HEAD_BYTES { odd.unwrap_or(bytes.len()) } else { 0 };
            return Head { size, strict: false, ..head };
        };
        let raw = rest.get(..end).unwrap_or_default();
        let line = raw.strip_suffix(b"\r").unwrap_or(raw);
        head.strict &= line.len() < raw.len();
        if line.trim_ascii().is_empty() {
            head.strict &= line.is_empty() && (1..=MAX_STRICT_LINES).contains(&lines);
            return Head { size: at + end + 1, ..head };
        }
        if !field(line, &mut head) {
            odd = odd.or(Some(at));
        }
        if at > MAX_HEAD_BYTES || odd == Some(0) {
            return Head { strict: false, ..Head::default() };
        }
        at += end + 1;
        lines += 1;
    }
}

/// Parses one header line; `false` if it is none.
fn field(line: &[u8], head: &mut Head) -> bool {
    let text = String::from_utf8_lossy(line);
    let named = text.split_once(':').filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_ ".contains(&byte))
    });
    let Some((name, value)) = named else {
        head.strict = false;
        return false;
    };
    head.strict &= !name.contains(' ') && !value.chars().any(|c| c.is_control() || c == '\u{fffd}');
    let value = value.trim();
    match name.trim().to_ascii_lowercase().as_str() {
        "content-disposition" => {
            (head.name, head.file) = (parameter(value, "name"), parameter(value, "filename"));
        }
        "content-type" => head.content_type = Some(value.to_owned()),
        "content-length" => head.length = value.parse().ok(),
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn heads_and_what_passes_for_one() {
        let vendor = head(b"Content-Disposition: form-data;name=\"event\"\r\nContent-Length: 2\r\n\r\n{}");
        assert_eq!((vendor.name.as_deref(), vendor.length, vendor.size), (Some("event"), Some(2), 66));
        assert!(vendor.strict);
        for (bytes, size) in [
            (&b"{\"a\":1}\r\n"[..], 0),
            (b"\r\n{}", 2),
            (b"\n\xff\xd8\xff", 1),
            (b"\xff\xd8\xff\xdb\r\n\r\n", 0),
            (b"Content-Type: application/json\r\n{}", 32),
            (b"A: b\nC: d\n\nx", 11),
            (b"no header\r\n\r\nx", 0),
            (b"A: b\r\nno colon\r\n\r\n{}", 18),
            (b"Content-Type: image/jp", 0),
            (b"A: b\r\nContent-Type: image/jp", 28),
        ] {
            let found = head(bytes);
            assert_eq!((found.size, found.strict), (size, false), "{}", bytes.escape_ascii());
        }
    }
}
