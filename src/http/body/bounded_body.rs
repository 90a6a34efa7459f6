//! Stored bytes of a body that may be larger than the bound.
//!
//! Up to the bound every byte is stored. Beyond it, the last part that is a picture is cut to its first bytes ([`STUB`]:
//! enough to recognise a picture, without its end marker). If that part is still arriving, the rest of it is discarded
//! and storing resumes at the next delimiter line. So an alarm behind a picture is found, whatever the picture's
//! size, and whether it is JSON, XML or text. A body without delimiters keeps its first bytes.

use bytes::Bytes;
use memchr::memmem;

use crate::model::buffer::Buffer;

/// Bytes that remain of a picture that was cut, not counting its part headers.
const STUB: usize = 4 << 10;
/// The same in a body without a memory reservation, so that several pictures fit before its JSON.
const SMALL_STUB: usize = 512;
/// Free bytes required to start another part.
const PART_ALLOWANCE: usize = 1 << 10;
/// Divisor of the bound: an earlier picture is cut only if that frees at least this share.
const GAIN_DIVISOR: usize = 64;
/// Size from which text without the signs of an alarm is taken for an encoded picture.
const LARGEST_TEXT: usize = 16 << 10;
/// Bytes of a part in which its type is seen.
const EXAMINED: usize = 512;
/// Longest delimiter line in bytes that is searched for (RFC 2046: 70 characters and dashes).
const DELIMITER_MAX: usize = 200;

/// Stored bytes of a body that is being received.
#[derive(Debug)]
pub(super) struct BoundedBody {
    bytes: Buffer,
    bound: usize,
    /// Maximum size of the buffer: the announced length, at most the bound.
    expected: usize,
    declared: Option<Vec<u8>>,
    mode: Mode,
    skipped: u64,
    /// Bytes that remain of a picture that is cut.
    stub: usize,
}

/// Handling of the next byte.
#[derive(Debug)]
enum Mode {
    /// The byte is stored.
    Keep,
    /// The byte is discarded until this delimiter arrives; `tail` holds the last bytes, which may be the start of the
    /// delimiter.
    Skip { delimiter: Vec<u8>, tail: Vec<u8> },
    /// The byte is discarded.
    Full,
}

/// Bytes stored without a memory reservation, whatever length is announced.
pub(in crate::http) const FIRST: usize = 8 << 10;

impl Default for BoundedBody {
    fn default() -> Self {
        Self::new(0, None, None)
    }
}

impl BoundedBody {
    /// Creates it for at most `bound` bytes of a body that announces `length`; `content_type` may name the boundary.
    pub(in crate::http) fn new(bound: usize, length: Option<u64>, content_type: Option<&str>) -> Self {
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(bound).min(bound);
        let bytes = Buffer::with_capacity(FIRST.min(expected));
        Self {
            bytes,
            bound,
            expected,
            declared: content_type.and_then(declared),
            mode: Mode::Keep,
            skipped: 0,
            stub: STUB,
        }
    }

    /// Adds the next bytes.
    pub(in crate::http) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            chunk = match &self.mode {
                Mode::Keep => self.keep(chunk),
                Mode::Skip { .. } => self.skip(chunk),
                Mode::Full => {
                    self.skipped += chunk.len() as u64;
                    &[]
                }
            };
        }
    }

    /// The stored bytes, and the number of discarded ones.
    pub(in crate::http) fn finish(self) -> (Bytes, u64) {
        (self.bytes.into(), self.skipped)
    }

    /// The stored bytes, for changes in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Number of bytes stored.
    pub(in crate::http) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Number of bytes received.
    pub(in crate::http) fn came(&self) -> u64 {
        self.bytes.len() as u64 + self.skipped
    }

    /// Discards the pictures, so that it needs no memory reservation any more, and goes on with the parts behind them.
    /// Returns `false` if that is not of use: it is no multipart body, it has its alarm, or what is left is too large.
    pub(super) fn give_way(&mut self) -> bool {
        let Some(delimiter) = self.delimiter().filter(|_| matches!(self.mode, Mode::Keep)) else {
            return false;
        };
        let starts: Vec<usize> = memmem::find_iter(&self.bytes, &delimiter).collect();
        let (mut cuts, mut end, mut left) = (Vec::new(), self.bytes.len(), self.bytes.len());
        for start in starts.into_iter().rev() {
            let part = self.bytes.get(start..end).unwrap_or_default();
            if part_content(part).and_then(|content| part.get(content..)).is_some_and(is_document) {
                return false;
            }
            let from = cuttable(part).map(|content| start + content + SMALL_STUB).filter(|from| *from < end);
            if let Some(from) = from {
                left -= end - from;
                cuts.push((from, end));
            }
            end = start;
        }
        if cuts.is_empty() || FIRST < left + delimiter.len() + PART_ALLOWANCE {
            return false;
        }
        let mut mode = Mode::Keep;
        for (from, to) in cuts {
            let last = to == self.bytes.len();
            self.cut_out(from, to, delimiter.clone());
            let cut = std::mem::replace(&mut self.mode, Mode::Keep);
            if last {
                mode = cut;
            }
        }
        let mut bytes = Buffer::with_capacity(FIRST);
        bytes.append(&self.bytes);
        (self.bytes, self.mode) = (bytes, mode);
        (self.bound, self.expected, self.stub) = (FIRST, FIRST, SMALL_STUB);
        true
    }

    /// Stores bytes up to the bound; returns the rest.
    fn keep<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let room = self.bound.saturating_sub(self.bytes.len());
        let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        if self.bytes.capacity() < self.bytes.len() + now.len() && FIRST < self.bytes.len() + now.len() {
            self.bytes.grow_to(self.expected);
        }
        self.bytes.append(now);
        if !later.is_empty() {
            self.cut();
        }
        later
    }

    /// Cuts the last picture of a multipart body that reached the bound. If that part is still arriving, the rest of it
    /// is skipped; if it is an earlier part, its room is used for the following bytes.
    fn cut(&mut self) {
        self.mode = Mode::Full;
        let Some(delimiter) = self.delimiter() else { return };
        let mut part_end = self.bytes.len();
        while let Some(part) = memmem::rfind(self.bytes.get(..part_end).unwrap_or_default(), &delimiter) {
            let content =
                self.bytes.get(part..part_end).and_then(cuttable).map(|content| part + content + self.stub);
            // A minimum gain bounds the time: otherwise many small parts would each be searched again.
            let gain = if part_end == self.bytes.len() { 0 } else { self.bound / GAIN_DIVISOR };
            if let Some(from) = content.filter(|&from| from + gain < part_end) {
                self.cut_out(from, part_end, delimiter);
                return;
            }
            part_end = part;
        }
    }

    /// Removes bytes of a picture; `to` is the end of its part, or of the received bytes.
    fn cut_out(&mut self, from: usize, to: usize, delimiter: Vec<u8>) {
        if to < self.bytes.len() {
            // The line break before the delimiter stays.
            let to = to.saturating_sub(2).max(from);
            self.bytes.cut(from..to);
            self.skipped += (to - from) as u64;
            self.mode = Mode::Keep;
        } else {
            let cut = self.bytes.get(from..).unwrap_or_default();
            let gone = cut.len().saturating_sub(delimiter.len());
            let tail = cut.get(gone..).unwrap_or_default().to_vec();
            self.skipped += gone as u64;
            self.bytes.cut(from..self.bytes.len());
            self.mode = Mode::Skip { delimiter, tail };
        }
    }

    /// Discards bytes up to the delimiter; returns those after it.
    fn skip<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let Mode::Skip { delimiter, tail } = &mut self.mode else { return chunk };
        tail.extend_from_slice(chunk);
        let Some(found) = memmem::find(tail, &with_line_start(delimiter)) else {
            let gone = tail.len().saturating_sub(delimiter.len());
            self.skipped += gone as u64;
            tail.drain(..gone);
            return &[];
        };
        self.skipped += found as u64;
        let behind = tail.len() - (found + 1 + delimiter.len());
        if self.bytes.len() + delimiter.len() + PART_ALLOWANCE > self.bound {
            self.mode = Mode::Full;
        } else {
            self.bytes.append(b"\r\n");
            self.bytes.append(delimiter);
            self.mode = Mode::Keep;
        }
        chunk.get(chunk.len() - behind.min(chunk.len())..).unwrap_or_default()
    }

    /// Delimiter in use: the one that the header names if it occurs, else the first line that starts with dashes.
    fn delimiter(&self) -> Option<Vec<u8>> {
        let in_use = |delimiter: &&Vec<u8>| memmem::find(&self.bytes, delimiter).is_some();
        if let Some(declared) = self.declared.as_ref().filter(in_use) {
            return Some(declared.clone());
        }
        let begin = self.bytes.get(..self.bytes.len().min(4 << 10))?;
        let line = begin.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"--"))?.trim_ascii_end();
        (3..=DELIMITER_MAX).contains(&line.len()).then(|| line.to_vec())
    }
}

/// Delimiter at the start of a line.
fn with_line_start(delimiter: &[u8]) -> Vec<u8> {
    let mut line = vec![b'\n'];
    line.extend_from_slice(delimiter);
    line
}

/// Delimiter that a `Content-Type` names: `--` and its boundary.
fn declared(content_type: &str) -> Option<Vec<u8>> {
    let parameter = content_type.split(';').skip(1).map(str::trim).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let boundary = parameter.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= DELIMITER_MAX).then(|| format!("--{boundary}").into_bytes())
}

/// Start of the content of a part that is a picture and may be cut.
fn cuttable(part: &[u8]) -> Option<usize> {
    let content = part_content(part)?;
    let (head, data) = part.split_at_checked(content)?;
    let is_picture = is_declared_picture(head) || !is_text(data) || LARGEST_TEXT < data.len();
    (is_picture && !is_document(data)).then_some(content)
}

/// Returns whether the head of a part says that it is a picture.
fn is_declared_picture(head: &[u8]) -> bool {
    head.windows(6).any(|bytes| bytes.eq_ignore_ascii_case(b"image/"))
}

/// Returns whether the content of a part may be an alarm: JSON, XML, or lines of fields.
fn is_document(data: &[u8]) -> bool {
    let near = data.get(..data.len().min(EXAMINED)).unwrap_or_default();
    let near = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"]
        .iter()
        .find_map(|mark| near.strip_prefix(*mark))
        .unwrap_or(near);
    let first = near.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    let is_field = || is_text(near) && near.contains(&b'=');
    matches!(first, Some(b'{' | b'[' | b'<')) || is_field()
}

/// Returns whether the content of a part begins as text does, in whatever encoding.
fn is_text(data: &[u8]) -> bool {
    let near = data.get(..data.len().min(EXAMINED)).unwrap_or_default();
    let is_sign = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..);
    near.iter().all(is_sign) && !near.starts_with(b"\xff\xd8\xff")
}

/// Start of a part's content: after its first empty line.
fn part_content(part: &[u8]) -> Option<usize> {
    let head = part.get(..part.len().min(16 << 10))?;
    let crlf = memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
    let lf = memmem::find(head, b"\n\n").map(|at| at + 2);
    [crlf, lf].into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
