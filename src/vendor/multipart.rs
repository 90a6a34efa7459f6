//! A tolerant splitter for multipart bodies.
//!
//! Real bodies have boundaries that are not the announced ones, parts without names or heads, bare LF, no end, and
//! pictures that contain something like a delimiter (WIRE 1.9, 3.7). So the whole bounded body is scanned in memory:
//! a delimiter counts only at the start of a line and when blanks and a line end, `--` or the end follow it.
//! Every byte is looked at a bounded number of times, whatever a hostile body holds.

use bytes::Bytes;
use memchr::memchr;
use memchr::memmem::Finder;

use super::content::{Content, sniff};
use super::part::{self, Head};

/// The most parts looked at; what comes after them is left out.
const MOST_PARTS: usize = 1_024;
/// The lines before the first delimiter in which the head of a part is looked for.
const PREAMBLE_LINES: usize = 8;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The name in its `Content-Disposition`.
    pub(super) name: Option<String>,
    /// Its `Content-Type`.
    pub(super) content_type: Option<String>,
    /// Its content.
    pub(super) data: Bytes,
    /// A delimiter follows it, or its own length says that it is whole.
    pub(super) whole: bool,
}

/// A body taken apart.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The parts in order.
    pub(super) parts: Vec<Part>,
    /// Nothing about it needs tolerance: a strict parser finds the same parts.
    pub(super) strict: bool,
    /// The closing delimiter was there.
    pub(super) closed: bool,
    /// What had to be tolerated, in plain words.
    pub(super) repairs: Vec<&'static str>,
}

impl Split {
    /// Notes something tolerated, once.
    fn repair(&mut self, what: &'static str) {
        self.strict = false;
        if !self.repairs.contains(&what) {
            self.repairs.push(what);
        }
    }
}

/// A delimiter line found in the body.
#[derive(Debug, Clone, Copy)]
struct Delimiter {
    /// Where its dashes begin.
    start: usize,
    /// Where the next part begins.
    end: usize,
    /// It closes the body.
    closing: bool,
    /// It ends with CRLF or closes the body.
    tidy: bool,
}

/// The body and the delimiter looked for.
struct Scanner<'b> {
    body: &'b Bytes,
    finder: Finder<'b>,
    /// Something like a delimiter was passed over.
    look_alike: bool,
}

/// Takes a body apart at this boundary; `None` if no delimiter with it is in the body.
pub(super) fn split(body: &Bytes, boundary: &str) -> Option<Split> {
    let needle = format!("--{boundary}");
    let mut scanner = Scanner { body, finder: Finder::new(needle.as_bytes()), look_alike: false };
    let mut split = Split { strict: true, ..Split::default() };
    let first = scanner.next(0)?;
    preamble(&scanner, first.start, &mut split);
    let mut current = Some(first);
    while let Some(delimiter) = current {
        if split.parts.len() >= MOST_PARTS {
            split.repair("too many parts; the rest was left out");
            break;
        }
        split.strict &= delimiter.tidy;
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

/// Bytes before the first delimiter belong to nobody, unless they hold a part whose own delimiter is missing or
/// damaged: one of the first lines then begins its head.
fn preamble(scanner: &Scanner<'_>, end: usize, split: &mut Split) {
    let bytes = scanner.body.slice(..end);
    let lines = memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1);
    for start in std::iter::once(0).chain(lines).take(PREAMBLE_LINES) {
        let head = part::head(bytes.get(start..).unwrap_or_default());
        let from = (start + head.size).min(end);
        let data = bytes.slice(from..scanner.content_end(from, end));
        if sniff(&data) != Content::Other {
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
    split.strict &= head.strict;
    if !head.strict {
        split.repair("a part's head is missing or odd");
    }
    let start = (delimiter.end + head.size).min(limit);
    let mut whole = next.is_some();
    let mut end = next.map_or_else(|| scanner.open_end(start), |next| scanner.content_end(start, next.start));
    if let Some((hinted, after)) = head.length.and_then(|length| scanner.hinted(start, length)) {
        if hinted > limit {
            split.repair("a delimiter inside a part, which the part's length tells");
        }
        (end, next, whole) = (hinted, after, true);
    }
    if next.is_some_and(|next| !body.get(..next.start).is_some_and(|head| head.ends_with(b"\r\n"))) {
        split.repair("lines end with a bare LF");
    }
    // A strict parser wants a line end of the content's own before the delimiter.
    split.strict &= next.is_none_or(|next| end + 2 <= next.start);
    let data = body.slice(start..end.max(start));
    split.parts.push(made(head, data, whole));
    next
}

/// A part with its head.
fn made(head: Head, data: Bytes, whole: bool) -> Part {
    Part { name: head.name, content_type: head.content_type, data, whole }
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
        let (taken, tidy) = match line_end {
            [b'\r', b'\n', ..] => (2, true),
            [b'\n', ..] => (1, false),
            // The body ends within the line.
            [] | [b'\r' | b'-'] => (line_end.len(), false),
            _ if closing => (0, true),
            _ => return None,
        };
        let end = self.body.len() - rest.len() + blanks + taken;
        Some(Delimiter { start, end, closing, tidy: tidy || closing })
    }

    /// Where the content before a delimiter ends: the line end before it is the delimiter's own.
    fn content_end(&self, start: usize, delimiter: usize) -> usize {
        let content = self.body.get(start..delimiter).unwrap_or_default();
        let bare = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
        start + bare.len()
    }

    /// Where content ends that no delimiter follows: a delimiter cut off by the end is not content.
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

    /// Where a part of this length ends and the delimiter after it; `None` if neither a delimiter nor the end
    /// of the body follows, for then the length is wrong.
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
