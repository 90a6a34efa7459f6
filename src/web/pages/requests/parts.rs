//! The body of a stored request, split for display: parts, text if it is text, and bytes.

use std::fmt::Write as _;

use crate::web::texts::{fill, tr};
use crate::web::words::counted;

/// Maximum bytes of a part shown in hexadecimal.
const MAX_HEX_BYTES: usize = 1_024;
/// Maximum bytes of text shown.
const MAX_TEXT_BYTES: usize = 32 << 10;
/// Maximum number of parts shown.
const MAX_PARTS: usize = 32;

/// A part, or the whole body if it has no parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownPart {
    /// Title of the part.
    pub(in crate::web::pages) title: String,
    /// Headers of the part.
    pub(in crate::web::pages) head: String,
    /// Content, if it is text.
    pub(in crate::web::pages) text: Option<String>,
    /// First bytes in hexadecimal.
    pub(super) hex: String,
    /// Number of stored bytes.
    pub(in crate::web::pages) bytes: usize,
    /// Set if not everything is shown.
    pub(in crate::web::pages) cut: bool,
}

impl ShownPart {
    /// Number of stored bytes, in words.
    pub(super) fn size(&self) -> String {
        counted(self.bytes as u64, "byte")
    }
}

/// Splits a body by the boundary it begins with, which may differ from the announced one.
pub(in crate::web::pages) fn parts(body: &[u8]) -> Vec<ShownPart> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let rest = body.get(start..).unwrap_or_default();
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if !(line.starts_with(b"--") && (4..=80).contains(&line.len())) {
        return if body.is_empty() { Vec::new() } else { vec![shown(tr("Body").into(), "", body)] };
    }
    let pieces = split(rest, line).into_iter().take(MAX_PARTS).enumerate();
    pieces.map(|(index, piece)| part(index + 1, piece)).collect()
}

/// Pieces between boundary lines.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut found: Vec<usize> = memchr::memmem::find_iter(body, boundary).collect();
    found.push(body.len());
    let pairs = found.iter().zip(found.iter().skip(1));
    let piece = |(from, to): (&usize, &usize)| body.get(from + boundary.len()..*to);
    pairs
        .filter_map(piece)
        .filter(|piece| !piece.trim_ascii().is_empty() && piece.trim_ascii() != b"--")
        .collect()
}

/// Splits a piece into headers, up to the empty line, and content.
fn part(number: usize, piece: &[u8]) -> ShownPart {
    let piece = piece.strip_prefix(b"\r\n").or_else(|| piece.strip_prefix(b"\n")).unwrap_or(piece);
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"];
    let end = ends.iter().filter_map(|end| Some((memchr::memmem::find(piece, end)?, end.len()))).min();
    let (head, content) = match end {
        Some((at, length)) => {
            (piece.get(..at).unwrap_or_default(), piece.get(at + length..).unwrap_or_default())
        }
        None => (piece, [].as_slice()),
    };
    let content = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
    shown(fill("Part {}", number), &String::from_utf8_lossy(head), content)
}

fn shown(title: String, head: &str, content: &[u8]) -> ShownPart {
    let text = text(content);
    let limit = if text.is_some() { MAX_TEXT_BYTES } else { MAX_HEX_BYTES };
    ShownPart {
        title,
        head: head.trim().into(),
        text,
        hex: hex(content.get(..MAX_HEX_BYTES).unwrap_or(content)),
        bytes: content.len(),
        cut: limit < content.len(),
    }
}

/// The content as text, indented if it is JSON; `None` if it is not text.
fn text(content: &[u8]) -> Option<String> {
    let kept = content.get(..MAX_TEXT_BYTES).unwrap_or(content);
    let odd = kept.iter().filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()).count();
    if kept.is_empty() || kept.len() / 50 < odd || kept.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(content) {
        return serde_json::to_string_pretty(&value).ok();
    }
    Some(String::from_utf8_lossy(kept).into_owned())
}

/// Hexadecimal dump: offset, sixteen bytes, the same as characters.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 5);
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let letters: String = chunk.iter().map(letter).collect();
        // Writing to a String cannot fail.
        writeln!(text, "{:06x}  {:<47}  {letters}", row * 16, digits.join(" ")).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_body_is_taken_apart() {
        let body = b"--B1\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n--B1\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\xFF\x00\x01\r\n--B1--\r\n";
        let parts = parts(body);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].text.as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!((parts[1].text.as_deref(), parts[1].bytes), (None, 5));
        assert_eq!(parts[1].head, "Content-Type: image/jpeg");
        assert!(parts[1].hex.starts_with("000000  ff d8 ff 00 01  "));
    }

    #[test]
    fn any_other_body_is_one_part() {
        assert!(parts(b"").is_empty());
        assert_eq!(parts(b"hello")[0].text.as_deref(), Some("hello"));
        assert_eq!(parts(&[0, 1, 2, 255])[0].text, None);
        assert_eq!(parts(b"--").len(), 1);
    }
}
