//! Requests without a body length, from HTTP/1.0 senders that end the body by closing the connection.
//!
//! By RFC 9112, section 6.3, such a request has no body, and its alarm would be lost. So if the following bytes cannot
//! start another request, they are passed to the parser as a chunked body, up to the end of the connection or a pause.
//! This hides no request: no HTTP parser accepts these bytes as the start of a request.

use std::time::Duration;

/// Maximum wait for the first byte after such a head; most have no body.
pub(in crate::http) const FIRST: Duration = Duration::from_secs(1);
/// Pause that ends the body of a sender that waits for the response.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// End of a chunked body.
pub(super) const END: &[u8] = b"0\r\n\r\n";

/// Position of the end of the head, if the head is complete.
pub(super) fn head_end(held: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(held, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(held, b"\n\n").map(|at| at + 2);
    [crlf, lf].into_iter().flatten().min()
}

/// Returns whether the first line begins a request that may carry an alarm.
pub(super) fn may_push(held: &[u8]) -> bool {
    held.starts_with(b"POST ") || held.starts_with(b"PUT ")
}

/// Returns whether a head announces or tries to announce the length of its body; it is then left to the parser.
pub(super) fn says_length(head: &[u8]) -> bool {
    let lower = head.to_ascii_lowercase();
    ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| memchr::memmem::find(&lower, name.as_bytes()).is_some())
}

/// Returns whether bytes after a head can only be a body: a request begins with a letter. `None`: only line ends so
/// far.
pub(super) fn is_body(behind: &[u8]) -> Option<bool> {
    let first = behind.iter().find(|byte| !matches!(byte, b'\r' | b'\n'))?;
    Some(!first.is_ascii_alphanumeric())
}

/// The head with a header for a chunked body, and whether it was HTTP/1.0.
pub(in crate::http) fn chunked(head: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (line, rest) = head.split_at_checked(memchr::memchr(b'\n', head)?)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let request = line.strip_suffix(b" HTTP/1.0").or_else(|| line.strip_suffix(b" HTTP/1.1"))?;
    let old = line.ends_with(b"0");
    Some(([request, b" HTTP/1.1\r\nTransfer-Encoding: chunked", rest].concat(), old))
}

/// Chunk of the body.
pub(in crate::http) fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_request_begins_with_is_a_body() {
        for (behind, expected) in [
            (&b"{\"a\":1}"[..], Some(true)),
            (b"--B\r\n", Some(true)),
            (b"\xff\xd8\xff", Some(true)),
            (b"\r\n<x/>", Some(true)),
            (b"POST / HTTP/1.1", Some(false)),
            (b"\r\nget /", Some(false)),
            (b"\r\n", None),
            (b"", None),
        ] {
            assert_eq!(is_body(behind), expected, "{}", behind.escape_ascii());
        }
    }

    #[test]
    fn a_head_that_says_a_length_in_any_way_is_left_alone() {
        let head = |line: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n").into_bytes();
        for line in ["Content-Length: 0", "transfer-ENCODING : x", "X: y\r\n content-length: 5"] {
            assert!(says_length(&head(line)), "{line}");
        }
        assert!(!says_length(&head("Content-Type: a/b")));
    }

    #[test]
    fn the_head_is_given_a_chunked_body() {
        let (head, old) = chunked(b"POST /x HTTP/1.0\r\nA: b\r\n\r\n").unwrap();
        assert_eq!(head, b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\nA: b\r\n\r\n");
        assert!(old && chunked(b"POST /x HTTP/2\r\n\r\n").is_none());
        assert_eq!(
            (head_end(b"a\r\n\r\nb"), head_end(b"a\n\nb"), head_end(b"a\r\n")),
            (Some(5), Some(3), None)
        );
        assert_eq!(chunk(b"0123456789abcdef"), b"10\r\n0123456789abcdef\r\n");
    }
}
