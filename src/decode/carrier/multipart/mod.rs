//! A tolerant splitter for multipart bodies.
//!
//! Devices send boundaries that differ from the announced ones, parts without names or headers, bare LF, no closing
//! delimiter, and pictures that contain something like a delimiter. So the whole bounded body is scanned in memory: a
//! delimiter counts only at the start of a line, followed by blanks and a line end, `--` or the end of the body. Every
//! byte is examined a bounded number of times, whatever a hostile body contains.

use bytes::Bytes;
use memchr::memchr;
use memchr::memmem::Finder;

use super::content::{SniffedType, sniff};
use part::Head;

pub(super) mod boundary;
mod part;
pub(crate) mod strict;

/// Maximum number of parts; further ones are ignored.
const MAX_PARTS: usize = 1_024;
/// Number of lines before the first delimiter in which the head of a part is searched.
const PREAMBLE_LINES: usize = 8;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyPart {
    /// The name in its `Content-Disposition`.
    pub(crate) name: Option<String>,
    /// The file name there.
    pub(crate) file: Option<String>,
    /// Its `Content-Type`.
    pub(crate) content_type: Option<String>,
    /// Its content.
    pub(crate) data: Bytes,
    /// Set if a delimiter follows it, or its own length shows that it is complete.
    pub(crate) whole: bool,
}

/// A multipart body split into parts.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// The parts in order.
    pub(crate) parts: Vec<BodyPart>,
    /// Set if the closing delimiter was present.
    pub(crate) closed: bool,
    /// Mistakes that were tolerated, as text for a finding.
    pub(crate) repairs: Vec<&'static str>,
}

impl Split {
    /// Adds a repair note, once.
    fn repair(&mut self, what: &'static str) {
        if !self.repairs.contains(&what) {
            self.repairs.push(what);
        }
    }
}

/// A delimiter line found in the body.
#[derive(Debug, Clone, Copy)]
struct Delimiter {
    /// Position of its dashes.
    start: usize,
    /// Position of the next part.
    end: usize,
    /// Set if it closes the body.
    closing: bool,
}

/// State of the search for delimiters.
struct Scanner<'b> {
    body: &'b Bytes,
    finder: Finder<'b>,
    /// Set if something similar to a delimiter was skipped.
    look_alike: bool,
}

/// Splits a body at this boundary; `None` if the body contains no delimiter with it.
pub(crate) fn split(body: &Bytes, boundary: &str) -> Option<Split> {
    let needle = format!("--{boundary}");
    let mut scanner = Scanner { body, finder: Finder::new(needle.as_bytes()), look_alike: false };
    let mut split = Split::default();
    let first = scanner.next(0)?;
    preamble(&scanner, first.start, &mut split);
    let mut current = Some(first);
    while let Some(delimiter) = current {
        if split.parts.len() >= MAX_PARTS {
            split.repair("too many parts; the rest was left out");
            break;
        }
        if !delimiter.closing && delimiter.end >= body.len() {
            break;
        }
        if delimiter.closing {
            split.closed = true;
            current = scanner.next(delimiter.end);
            if current.is_some() {
                split.repair("parts after the closing delimiter");
            }
        } else {
            current = one_part(&mut scanner, delimiter, &mut split);
        }
    }
    if !split.closed {
        split.repair("no closing delimiter");
    }
    if scanner.look_alike {
        split.repair("something like a delimiter inside a part");
    }
    Some(split)
}

/// Bytes before the first delimiter belong to no part, unless they hold a part whose own delimiter is missing or
/// damaged: one of the first lines then begins its head.
fn preamble(scanner: &Scanner<'_>, end: usize, split: &mut Split) {
    let bytes = scanner.body.slice(..end);
    let lines = memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1);
    for start in std::iter::once(0).chain(lines).take(PREAMBLE_LINES) {
        let head = part::head(bytes.get(start..).unwrap_or_default());
        let from = (start + head.size).min(end);
        let data = bytes.slice(from..scanner.content_end(from, end));
        if sniff(&data) != SniffedType::Other {
            split.repair("no delimiter before the first part");
            split.parts.push(made(head, data, true));
            return;
        }
    }
}

/// Reads the part that begins at a delimiter, and returns the delimiter after it.
fn one_part(scanner: &mut Scanner<'_>, delimiter: Delimiter, split: &mut Split) -> Option<Delimiter> {
    let body = scanner.body;
    let mut next = scanner.next(delimiter.end);
    let limit = next.map_or(body.len(), |next| next.start);
    let head = part::head(body.get(delimiter.end..limit).unwrap_or_default());
    if !head.strict {
        split.repair("a part's head is missing or odd");
    }
    let start = (delimiter.end + head.size).min(limit);
    let mut whole = next.is_some();
    let mut end = next.map_or_else(|| scanner.open_end(start), |next| scanner.content_end(start, next.start));
    if let Some((hinted, after)) = head.length.and_then(|length| scanner.hinted(start, length)) {
        if hinted > limit {
            split.repair("a delimiter inside a part, detected by the part's length");
        }
        (end, next, whole) = (hinted, after, true);
    }
    if next.is_some_and(|next| !body.get(..next.start).is_some_and(|head| head.ends_with(b"\r\n"))) {
        split.repair("lines end with a bare LF");
    }
    let data = body.slice(start..end.max(start));
    split.parts.push(made(head, data, whole));
    next
}

/// A part with its head.
fn made(head: Head, data: Bytes, whole: bool) -> BodyPart {
    BodyPart { name: head.name, file: head.file, content_type: head.content_type, data, whole }
}

impl Scanner<'_> {
    /// The next delimiter at or after a place.
    fn next(&mut self, from: usize) -> Option<Delimiter> {
        let mut at = from;
        loop {
            let start = at + self.finder.find(self.body.get(at..)?)?;
            if let Some(delimiter) = self.delimiter(start) {
                return Some(delimiter);
            }
            self.look_alike = true;
            // Only the start of a line can be one: dashes without end must not cost a look at each of them.
            at = start + 1 + memchr(b'\n', self.body.get(start..)?)?;
        }
    }

    /// The delimiter that begins here, if one does.
    fn delimiter(&self, start: usize) -> Option<Delimiter> {
        let (before, here) = self.body.split_at_checked(start)?;
        let after = here.strip_prefix(self.finder.needle())?;
        if !before.is_empty() && !before.ends_with(b"\n") {
            return None;
        }
        let closing = after.starts_with(b"--");
        let rest = after.strip_prefix(b"--").unwrap_or(after);
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_end = rest.get(blanks..).unwrap_or_default();
        let taken = match line_end {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            // The body ends within the line.
            [] | [b'\r' | b'-'] => line_end.len(),
            _ if closing => 0,
            _ => return None,
        };
        let end = self.body.len() - rest.len() + blanks + taken;
        Some(Delimiter { start, end, closing })
    }

    /// End of the content before a delimiter: the preceding line end belongs to the delimiter.
    fn content_end(&self, start: usize, delimiter: usize) -> usize {
        let content = self.body.get(start..delimiter).unwrap_or_default();
        let bare = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
        start + bare.len()
    }

    /// End of content without a following delimiter; a truncated delimiter is not part of the content.
    fn open_end(&self, start: usize) -> usize {
        let content = self.body.get(start..).unwrap_or_default();
        let needle = self.finder.needle();
        let tail = content.get(content.len().saturating_sub(needle.len() + 2)..).unwrap_or_default();
        let line = memchr::memrchr(b'\n', tail).map(|at| at + 1);
        let last = line.and_then(|at| tail.get(at..)).unwrap_or(b"-");
        if !last.is_empty() && needle.starts_with(last) && line.is_some() {
            return self.content_end(start, self.body.len() - last.len());
        }
        self.body.len()
    }

    /// End of a part of this length, and the delimiter after it; `None` if neither a delimiter nor the end of the body
    /// follows, because the length is then wrong.
    fn hinted(&self, start: usize, length: usize) -> Option<(usize, Option<Delimiter>)> {
        let end = start.checked_add(length)?;
        let rest = self.body.get(end..)?;
        if rest.is_empty() || rest == b"\r\n" || rest == b"\n" {
            return Some((end, None));
        }
        let line_end = if rest.starts_with(b"\r\n") { 2 } else { 1 };
        let delimiter = self.delimiter(end + line_end)?;
        Some((end, Some(delimiter)))
    }
}
