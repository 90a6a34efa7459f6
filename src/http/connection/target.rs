//! Request targets: repaired before the HTTP parser sees them, and compared in one normal form.
//!
//! Real senders leave out the slash, double it, put a blank in the path or send an absolute URL. hyper answers
//! 400 to some of these before any handler runs, so the request line is repaired while it is read.

use axum::http::Uri;

/// Longest request line in bytes that is repaired; a longer one is passed to the parser unchanged.
pub(super) const LINE_MAX: usize = 16 << 10;

/// Repairs a request line (without its line end); `None` if it needs no repair.
///
/// A target without a leading slash gets one, an empty one becomes `/`, and bytes that the parser refuses in a target
/// are percent-encoded (a `#` too: it would cut off the rest of the path).
pub(super) fn repaired(line: &[u8]) -> Option<Vec<u8>> {
    let method_end = line.iter().position(|&byte| byte == b' ')?;
    let version_start = memchr::memmem::rfind(line, b" HTTP/")?;
    let (method, rest) = line.split_at_checked(method_end)?;
    let is_token = !method.is_empty() && method.iter().all(u8::is_ascii_alphanumeric);
    if !is_token || method == b"CONNECT" {
        return None;
    }
    let target = rest.get(1..version_start.saturating_sub(method_end)).unwrap_or_default().trim_ascii();
    let (_, version) = line.split_at_checked(version_start)?;
    let rooted = target.first() == Some(&b'/') || target == b"*" || is_absolute(target);
    let mut repaired = method.to_vec();
    repaired.push(b' ');
    if !rooted {
        repaired.push(b'/');
    }
    for &byte in target {
        push_encoded(&mut repaired, byte);
    }
    repaired.extend_from_slice(version);
    (repaired != line).then_some(repaired)
}

/// Returns whether a target is `http://…` or `https://…`.
fn is_absolute(target: &[u8]) -> bool {
    let starts = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    starts(b"http://") || starts(b"https://")
}

/// Adds a byte of a target, encoded if the parser would refuse it or cut the target there.
fn push_encoded(to: &mut Vec<u8>, byte: u8) {
    let refused = byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'#' | 0x7f);
    if refused {
        to.extend_from_slice(format!("%{byte:02X}").as_bytes());
    } else {
        to.push(byte);
    }
}

/// Path in normal form: without query, percent-decoded, with single slashes, one at the start and none at the end.
pub(in crate::http) fn normalized(path: &str) -> Vec<u8> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut normal = Vec::with_capacity(path.len() + 1);
    for segment in decoded(path.as_bytes()).split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        normal.push(b'/');
        normal.extend_from_slice(segment);
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// Path of a request in normal form; an authority-form target (`alarm`) counts as a path.
pub(in crate::http) fn requested(uri: &Uri) -> Vec<u8> {
    match (uri.path(), uri.authority()) {
        ("", Some(authority)) => normalized(authority.as_str()),
        (path, _) => normalized(path),
    }
}

/// Percent-decodes; a `%` without two hex digits stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let value = escape.and_then(|(digits, left)| Some((hex_value(digits)?, left)));
        let (value, left) = value.unwrap_or((byte, after));
        plain.push(value);
        rest = left;
    }
    plain
}

/// Value of two hex digits.
fn hex_value(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use super::{normalized, repaired};

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let line = line.as_bytes();
        let out = repaired(line).unwrap_or_else(|| line.to_vec());
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn odd_targets_are_repaired() {
        check("POST /alarm/x HTTP/1.1", "POST /alarm/x HTTP/1.1");
        check("POST alarm/x HTTP/1.1", "POST /alarm/x HTTP/1.1");
        check("POST alarm HTTP/1.0", "POST /alarm HTTP/1.0");
        check("POST  HTTP/1.1", "POST / HTTP/1.1");
        check("POST   /alarm/x   HTTP/1.1", "POST /alarm/x HTTP/1.1");
        check("POST /front door HTTP/1.1", "POST /front%20door HTTP/1.1");
        check("POST /#!/x HTTP/1.1", "POST /%23!/x HTTP/1.1");
        check("POST http://cam/alarm/x HTTP/1.1", "POST http://cam/alarm/x HTTP/1.1");
        check("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1");
        check("garbage", "garbage");
        check("\u{16}\u{3} x HTTP/1.1", "\u{16}\u{3} x HTTP/1.1");
    }

    #[test]
    fn paths_have_one_normal_form() {
        for odd in
            ["/alarm/x", "//alarm//x", "alarm/x", "/alarm/x/", "/alarm/x?y=1", "/al%61rm/%78", "/alarm%2Fx"]
        {
            assert_eq!(normalized(odd), b"/alarm/x", "{odd}");
        }
        assert_eq!(normalized(""), b"/");
        assert_eq!(normalized("/50%/%zz"), b"/50%/%zz");
    }
}
