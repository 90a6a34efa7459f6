//! What bytes are, told by their beginning: content first, headers second (WIRE 3.6).

use crate::model::jpeg;

/// What the beginning of some bytes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// An object or an array, in UTF-8 or UTF-16.
    Json,
    /// A JPEG.
    Jpeg,
    /// Anything else.
    Other,
}

/// Tells JSON and JPEG by the first bytes. Blanks, NULs and a byte order mark may stand before JSON.
pub(super) fn sniff(bytes: &[u8]) -> Content {
    if jpeg::starts_as_jpeg(bytes) {
        return Content::Jpeg;
    }
    let mut text = bytes;
    for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
        text = text.strip_prefix(mark).unwrap_or(text);
    }
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    if first.is_some_and(|byte| matches!(byte, b'{' | b'[')) { Content::Json } else { Content::Other }
}

/// Whether a media type, without its parameters and in any case, has this beginning.
pub(super) fn is_type(content_type: Option<&str>, beginning: &str) -> bool {
    let head = content_type.unwrap_or_default().trim_start().as_bytes().get(..beginning.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Content, is_type, sniff};

    #[test]
    fn beginnings() {
        for json in [&b"{}"[..], b"\r\n [", b"\xef\xbb\xbf{", b"\xff\xfe{\0", b"\0{", b"\0\0{"] {
            assert_eq!(sniff(json), Content::Json);
        }
        assert_eq!(sniff(b"\xff\xd8\xff"), Content::Jpeg);
        for other in [&b""[..], b"--B", b"\xff\xd8", b"<xml/>"] {
            assert_eq!(sniff(other), Content::Other);
        }
        assert!(is_type(Some("Image/JPEG; x"), "image/") && !is_type(None, "image/"));
    }
}
