//! Detection of the content type from the first bytes. It takes precedence over headers, which devices often send
//! wrong.

use crate::model::picture::jpeg;

/// Content type found in the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SniffedType {
    /// An object or an array, in UTF-8 or UTF-16.
    Json,
    /// A JPEG.
    Jpeg,
    /// Anything else.
    Other,
}

/// Detects JSON and JPEG by the first bytes. Blanks, NULs and a byte order mark may precede JSON.
pub(crate) fn sniff(bytes: &[u8]) -> SniffedType {
    if jpeg::starts_as_jpeg(bytes) {
        return SniffedType::Jpeg;
    }
    let mut text = bytes;
    for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
        text = text.strip_prefix(mark).unwrap_or(text);
    }
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    if first.is_some_and(|byte| matches!(byte, b'{' | b'[')) { SniffedType::Json } else { SniffedType::Other }
}

/// Returns whether a media type, without its parameters and in any case, has this beginning.
pub(crate) fn is_type(content_type: Option<&str>, beginning: &str) -> bool {
    let head = content_type.unwrap_or_default().trim_start().as_bytes().get(..beginning.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{SniffedType, is_type, sniff};

    #[test]
    fn beginnings() {
        for json in [&b"{}"[..], b"\r\n [", b"\xef\xbb\xbf{", b"\xff\xfe{\0", b"\0{", b"\0\0{"] {
            assert_eq!(sniff(json), SniffedType::Json);
        }
        assert_eq!(sniff(b"\xff\xd8\xff"), SniffedType::Jpeg);
        for other in [&b""[..], b"--B", b"\xff\xd8", b"<xml/>"] {
            assert_eq!(sniff(other), SniffedType::Other);
        }
        assert!(is_type(Some("Image/JPEG; x"), "image/") && !is_type(None, "image/"));
    }
}
