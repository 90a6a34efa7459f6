//! The head of one part of a multipart body.

use super::boundary::parameter;
use super::content::{Content, sniff};

/// The longest head of a part; past it the bytes are content.
const LONGEST: usize = 16 << 10;
/// The most header lines the strict parser takes.
const STRICT_LINES: usize = 32;

/// What the header lines of a part say.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The `name` of its `Content-Disposition`.
    pub(super) name: Option<String>,
    /// Its `Content-Type`.
    pub(super) content_type: Option<String>,
    /// Its `Content-Length`: a hint only.
    pub(super) length: Option<usize>,
    /// Bytes of the head, the blank line included.
    pub(super) size: usize,
    /// Every line is a header with CRLF, at least one, and a blank line ends them.
    pub(super) strict: bool,
}

/// Reads the head of a part; `bytes` ends where the part ends at the latest.
///
/// Devices leave out the headers, the blank line, or both (WIRE 3.6): a line that begins as JSON or as a JPEG is
/// content, and so is everything if no head can be made out.
pub(super) fn head(bytes: &[u8]) -> Head {
    let mut head = Head { strict: true, ..Head::default() };
    let mut at = 0;
    let mut lines = 0;
    // The first line that is no header: content, if no blank line comes.
    let mut odd = None;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let blank = rest.starts_with(b"\r\n") || rest.starts_with(b"\n");
        if !blank && sniff(rest) != Content::Other {
            return Head { size: at, strict: false, ..head };
        }
        let Some(end) = memchr::memchr(b'\n', rest.get(..LONGEST).unwrap_or(rest)) else {
            // The part ended within its head, or this is no head.
            let size = if lines > 0 && rest.len() < LONGEST { odd.unwrap_or(bytes.len()) } else { 0 };
            return Head { size, strict: false, ..head };
        };
        let raw = rest.get(..end).unwrap_or_default();
        let line = raw.strip_suffix(b"\r").unwrap_or(raw);
        head.strict &= line.len() < raw.len();
        if line.trim_ascii().is_empty() {
            head.strict &= line.is_empty() && (1..=STRICT_LINES).contains(&lines);
            return Head { size: at + end + 1, ..head };
        }
        if !field(line, &mut head) {
            odd = odd.or(Some(at));
        }
        if at > LONGEST || odd == Some(0) {
            return Head { strict: false, ..Head::default() };
        }
        at += end + 1;
        lines += 1;
    }
}

/// Takes one header line; false if it is none.
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
        "content-disposition" => head.name = parameter(value, "name"),
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
