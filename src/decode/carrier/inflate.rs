//! Compressed bodies: detection by `Content-Encoding` and by content, and decompression.
//!
//! Under `deflate` devices send a zlib stream, a raw deflate stream, or plain text; the bytes decide.

use std::io::Read as _;

use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::decode::report::cut;
use crate::decode::{Body, BodyEnd, Coding};

/// Size of output buffer steps in bytes.
const STEP: usize = 32 << 10;
/// Number of bytes examined to detect text.
const EXAMINED_BYTES: usize = 64;
/// Maximum number of gzip members in one body.
const MAX_MEMBERS: usize = 64;
/// First bytes of a gzip stream.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// First bytes of a JPEG.
const JPEG: &[u8] = b"\xff\xd8\xff";

/// The encoding a body is declared to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// None.
    #[default]
    Identity,
    /// `gzip` or `x-gzip`.
    Gzip,
    /// `deflate`.
    Deflate,
    /// One that is not supported, such as `br`.
    Other,
}

/// Actual encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Not compressed, whatever is declared.
    Plain,
    /// A gzip stream.
    Gzip,
    /// A deflate stream with the head of zlib.
    Zlib,
    /// A deflate stream without a head.
    Raw,
}

/// Completeness of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All of it is there.
    Whole,
    /// The input ended before the stream did.
    Cut,
    /// The stream is damaged after the decompressed part.
    Damaged,
    /// The size limit was reached; the rest was not decompressed.
    TooLarge,
}

/// A decompressed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inflated {
    /// The output, at most the size limit; `None` for a plain body, which is its own output.
    pub bytes: Option<Vec<u8>>,
    /// Actual coding of the input.
    pub form: Form,
    /// Completeness of the output.
    pub ended: Completeness,
}

/// A body that cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The encoding is not supported, and the body is not plain.
    #[error("which is neither gzip nor deflate: switch compression off in the device")]
    Encoding,
    /// The stream is damaged from its beginning on.
    #[error("and the body cannot be unpacked")]
    Damaged,
}

impl Encoding {
    /// The encoding a `Content-Encoding` header declares. Of several, the one that is understood.
    #[must_use]
    pub fn of(header: Option<&str>) -> Self {
        let names = header.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut found = Self::Identity;
        for name in names {
            let encoding = match name.to_ascii_lowercase().as_str() {
                "identity" | "none" | "utf-8" => Self::Identity,
                "gzip" | "x-gzip" => Self::Gzip,
                "deflate" | "x-deflate" | "zlib" => Self::Deflate,
                _ => Self::Other,
            };
            if matches!(found, Self::Identity | Self::Other) && encoding != Self::Identity {
                found = encoding;
            }
        }
        found
    }
}

/// Decompresses a body to at most `bound` bytes.
///
/// # Errors
/// Returns an error when it is compressed and no byte of it can be decompressed.
pub fn inflate(bytes: &[u8], declared: Encoding, bound: usize) -> Result<Inflated, InflateError> {
    let plain = Ok(Inflated { bytes: None, form: Form::Plain, ended: Completeness::Whole });
    // No report begins with these bytes, so it is a gzip stream, declared or not.
    if bytes.starts_with(GZIP) {
        return non_empty(gzip(bytes, bound));
    }
    match declared {
        Encoding::Identity => return plain,
        _ if is_plain(bytes) => return plain,
        Encoding::Other => return Err(InflateError::Encoding),
        Encoding::Gzip | Encoding::Deflate => {}
    }
    if is_zlib(bytes) {
        let zlib = deflate(bytes, Form::Zlib, bound);
        if zlib.ended != Completeness::Damaged || zlib.bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()) {
            return non_empty(zlib);
        }
    }
    let raw = deflate(bytes, Form::Raw, bound);
    // Other bytes can look like the beginning of a raw deflate stream.
    if raw.bytes.as_deref().is_some_and(begins_as_report) { Ok(raw) } else { plain }
}

/// A body after decompression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The output; `None` for a body that is used unchanged.
    pub bytes: Option<Vec<u8>>,
    /// Difference between the actual coding and the header.
    pub coding: Option<Coding>,
    /// Completeness of the output, if there is one.
    pub ended: Option<Completeness>,
}

impl Unpacked {
    /// Combines the end of the input, `end`, with the end of the output.
    #[must_use]
    pub fn end(&self, end: BodyEnd) -> BodyEnd {
        match (end, self.ended) {
            (BodyEnd::Complete, Some(Completeness::Cut | Completeness::Damaged)) => BodyEnd::Truncated,
            (BodyEnd::Complete, Some(Completeness::TooLarge)) => BodyEnd::TooLarge,
            (end, _) => end,
        }
    }
}

impl Body {
    /// Decompresses the body, if its `Content-Encoding` header or its bytes show that it is compressed.
    #[must_use]
    pub fn unpacked(mut self, header: Option<&str>, bound: usize) -> Self {
        let unpacked = unpack(&self.bytes, header, bound);
        self.end = unpacked.end(self.end);
        self.coding = unpacked.coding;
        if let Some(bytes) = unpacked.bytes {
            self.bytes = bytes.into();
        }
        self
    }
}

/// Returns whether a body has to be decompressed, judged by its beginning.
#[must_use]
pub fn is_packed(bytes: &[u8], header: Option<&str>) -> bool {
    let declared = matches!(Encoding::of(header), Encoding::Gzip | Encoding::Deflate);
    bytes.starts_with(GZIP) || declared && !is_plain(bytes)
}

/// Decompresses a body. One that cannot be decompressed stays unchanged.
#[must_use]
pub fn unpack(bytes: &[u8], header: Option<&str>, bound: usize) -> Unpacked {
    let declared = Encoding::of(header);
    let said = header
        .map_or_else(|| "no Content-Encoding".into(), |header| format!("Content-Encoding: {}", cut(header)));
    let wrong = |what: &str, plain| Some(Coding { detail: format!("the header says {said}, {what}"), plain });
    let inflated = match inflate(bytes, declared, bound) {
        Ok(inflated) => inflated,
        Err(error) => return Unpacked { coding: wrong(&error.to_string(), false), ..Unpacked::default() },
    };
    let coding = match (declared, inflated.form, inflated.ended) {
        (Encoding::Identity, Form::Plain, _) => None,
        (_, Form::Plain, _) if bytes.is_empty() => None,
        (_, Form::Plain, _) if is_plain(bytes) => wrong("and the body is not packed", true),
        (_, Form::Plain, _) => wrong("and the body is neither packed so nor text", false),
        (_, _, Completeness::Damaged) => {
            wrong("and the body is damaged behind what could be unpacked", false)
        }
        (Encoding::Gzip, Form::Gzip, _) | (Encoding::Deflate, Form::Zlib | Form::Raw, _) => None,
        (_, Form::Gzip, _) => wrong("and the body is gzip", false),
        (_, Form::Zlib | Form::Raw, _) => wrong("and the body is deflate", false),
    };
    let ended = inflated.bytes.is_some().then_some(inflated.ended);
    Unpacked { bytes: inflated.bytes, coding, ended }
}

/// Returns whether a body begins as a report can: without control characters, or as a JPEG.
fn begins_as_report(bytes: &[u8]) -> bool {
    let head = bytes.get(..EXAMINED_BYTES).unwrap_or(bytes);
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    bytes.starts_with(JPEG) || !head.is_empty() && !head.iter().any(control)
}

/// Returns the output, or an error if it is empty.
fn non_empty(inflated: Inflated) -> Result<Inflated, InflateError> {
    let nothing = inflated.bytes.as_ref().is_none_or(Vec::is_empty);
    if nothing && inflated.ended != Completeness::Whole { Err(InflateError::Damaged) } else { Ok(inflated) }
}

/// Returns whether a body is not compressed: it begins with text in UTF-8, or as a JPEG.
fn is_plain(bytes: &[u8]) -> bool {
    let head = bytes.get(..EXAMINED_BYTES).unwrap_or(bytes);
    // The last character may be cut off.
    let text = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    text && begins_as_report(bytes) || bytes.starts_with(JPEG)
}

/// Returns whether a body has the head of zlib (RFC 1950).
fn is_zlib(bytes: &[u8]) -> bool {
    let Some([method, flags]) = bytes.first_chunk() else { return false };
    method & 0x8f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
}

/// Decompresses a deflate stream.
fn deflate(bytes: &[u8], form: Form, bound: usize) -> Inflated {
    let mut stream = Decompress::new(form == Form::Zlib);
    let mut out = Vec::new();
    let ended = loop {
        if out.len() == out.capacity() {
            out.reserve(STEP.min(bound.saturating_add(1) - out.len()));
        }
        let read = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let before = out.len();
        let status =
            stream.decompress_vec(bytes.get(read..).unwrap_or_default(), &mut out, FlushDecompress::None);
        if out.len() > bound {
            break Completeness::TooLarge;
        }
        match status {
            Ok(Status::StreamEnd) => break Completeness::Whole,
            Ok(_) if before < out.len() || usize::try_from(stream.total_in()) != Ok(read) => {}
            Ok(_) if out.len() < out.capacity() => break Completeness::Cut,
            Ok(_) => {}
            Err(_) => break Completeness::Damaged,
        }
    };
    out.truncate(bound);
    Inflated { bytes: Some(out), form, ended }
}

/// Decompresses the members of a gzip stream; bytes after them are ignored.
fn gzip(bytes: &[u8], bound: usize) -> Inflated {
    let (mut out, mut rest, mut ended) = (Vec::new(), bytes, Completeness::Whole);
    for _ in 0..MAX_MEMBERS {
        let mut member = GzDecoder::new(rest);
        let room = u64::try_from(bound.saturating_add(1) - out.len()).unwrap_or(u64::MAX);
        let read = member.by_ref().take(room).read_to_end(&mut out);
        rest = member.into_inner();
        ended = match read {
            _ if out.len() > bound => Completeness::TooLarge,
            Ok(_) => Completeness::Whole,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Completeness::Cut,
            Err(_) => Completeness::Damaged,
        };
        if ended != Completeness::Whole || !rest.starts_with(GZIP) {
            break;
        }
    }
    out.truncate(bound);
    Inflated { bytes: Some(out), form: Form::Gzip, ended }
}

#[cfg(test)]
mod tests;
