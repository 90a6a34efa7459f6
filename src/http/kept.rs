//! What is kept of a body that is larger than the bound.
//!
//! Up to the bound every byte is kept. When it is passed, the last part that is no JSON is cut back to its first
//! bytes ([`STUB`]; enough to be seen for a picture, and without the end marker of one). If that is the part just
//! coming, the rest of it is thrown away and keeping goes on with the next delimiter line. So the JSON part behind
//! a picture is found, however large the picture. A body without delimiters keeps its first bytes.

use bytes::Bytes;
use memchr::memmem;

use crate::model::buffer::Buffer;

/// What is left of a picture that was cut, beside its part headers.
const STUB: usize = 4 << 10;
/// Room that must be left to begin another part.
const PART_ROOM: usize = 1 << 10;
/// A picture further ahead is cut only if that frees this part of the bound.
const LEAST_GAIN: usize = 64;
/// The longest delimiter line looked for (RFC 2046: 70 characters and dashes).
const DELIMITER_MAX: usize = 200;

/// The kept bytes of a body on its way in.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Buffer,
    bound: usize,
    /// What the buffer may grow to: the announced length, at most the bound.
    expected: usize,
    declared: Option<Vec<u8>>,
    mode: Mode,
    skipped: u64,
}

/// What happens to the next byte.
#[derive(Debug)]
enum Mode {
    /// It is kept.
    Keep,
    /// It is thrown away until this delimiter comes; `tail` are the last bytes, which may be its beginning.
    Skip { delimiter: Vec<u8>, tail: Vec<u8> },
    /// It is thrown away.
    Full,
}

/// Room made at first for a body that announces no length.
const FIRST: usize = 8 << 10;

impl Kept {
    /// Keeps at most `bound` bytes of a body that announces `length`; `content_type` may name the boundary.
    pub(super) fn new(bound: usize, length: Option<u64>, content_type: Option<&str>) -> Self {
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(bound).min(bound);
        // A lie about the length takes no more than was reserved, and past a MiB nothing.
        let bytes = Buffer::with_capacity(if length.is_some() { expected } else { FIRST });
        Self {
            bytes,
            bound,
            expected,
            declared: content_type.and_then(declared),
            mode: Mode::Keep,
            skipped: 0,
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut chunk: &[u8]) {
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

    /// The kept bytes, and how many were thrown away.
    pub(super) fn finish(self) -> (Bytes, u64) {
        (self.bytes.into(), self.skipped)
    }

    /// How many bytes came so far.
    pub(super) fn came(&self) -> u64 {
        self.bytes.len() as u64 + self.skipped
    }

    /// Keeps what there is room for; gives back what there is none for.
    fn keep<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let room = self.bound.saturating_sub(self.bytes.len());
        let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        if self.bytes.capacity() < self.bytes.len() + now.len() && FIRST < self.bytes.len() {
            self.bytes.grow_to(self.expected);
        }
        self.bytes.append(now);
        if !later.is_empty() {
            self.cut();
        }
        later
    }

    /// The bound is reached: cuts the last picture of a multipart body. If that is the part just coming, the rest
    /// of it is skipped; if it stands further ahead, its room goes to what comes.
    fn cut(&mut self) {
        self.mode = Mode::Full;
        let Some(delimiter) = self.delimiter() else { return };
        let mut part_end = self.bytes.len();
        while let Some(part) = memmem::rfind(self.bytes.get(..part_end).unwrap_or_default(), &delimiter) {
            let content =
                self.bytes.get(part..part_end).and_then(cuttable).map(|content| part + content + STUB);
            // Looking through all parts must pay, or many small ones would cost a lot of time.
            let gain = if part_end == self.bytes.len() { 0 } else { self.bound / LEAST_GAIN };
            if let Some(from) = content.filter(|&from| from + gain < part_end) {
                self.cut_out(from, part_end, delimiter);
                return;
            }
            part_end = part;
        }
    }

    /// Takes bytes of a picture out; `to` is where its part ends, or the end of what came.
    fn cut_out(&mut self, from: usize, to: usize, delimiter: Vec<u8>) {
        if to < self.bytes.len() {
            // The line end before the delimiter stays.
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

    /// Throws away up to the delimiter; gives back what stands behind it.
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
        if self.bytes.len() + delimiter.len() + PART_ROOM > self.bound {
            self.mode = Mode::Full;
        } else {
            self.bytes.append(b"\r\n");
            self.bytes.append(delimiter);
            self.mode = Mode::Keep;
        }
        chunk.get(chunk.len() - behind.min(chunk.len())..).unwrap_or_default()
    }

    /// The delimiter in use: the one the header names if it occurs, else the first line that begins with dashes.
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

/// The delimiter as it stands at the start of a line.
fn with_line_start(delimiter: &[u8]) -> Vec<u8> {
    let mut line = vec![b'\n'];
    line.extend_from_slice(delimiter);
    line
}

/// The delimiter a `Content-Type` names: `--` and its boundary.
fn declared(content_type: &str) -> Option<Vec<u8>> {
    let parameter = content_type.split(';').skip(1).map(str::trim).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let boundary = parameter.trim().trim_matches('"');
    (!boundary.is_empty() && boundary.len() <= DELIMITER_MAX).then(|| format!("--{boundary}").into_bytes())
}

/// Where the content of a part begins, if the part is no JSON and may be cut.
fn cuttable(part: &[u8]) -> Option<usize> {
    let content = part_content(part)?;
    let is_json = matches!(part.get(content..).and_then(first_visible), Some(b'{' | b'['));
    (!is_json).then_some(content)
}

/// Where the content of a part begins: behind its first empty line.
fn part_content(part: &[u8]) -> Option<usize> {
    let head = part.get(..part.len().min(16 << 10))?;
    let crlf = memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
    let lf = memmem::find(head, b"\n\n").map(|at| at + 2);
    [crlf, lf].into_iter().flatten().min()
}

/// The first byte that is no blank.
fn first_visible(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Kept, STUB};

    const TYPE: &str = "multipart/form-data; boundary=B";

    fn part(head: &str, content: &[u8]) -> Vec<u8> {
        [format!("--B\r\n{head}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
    }

    fn picture(size: usize) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb];
        jpeg.resize(size, 7);
        jpeg
    }

    fn kept(body: &[u8], bound: usize, chunk: usize, content_type: Option<&str>) -> (Bytes, u64) {
        let mut kept = Kept::new(bound, Some(body.len() as u64), content_type);
        body.chunks(chunk).for_each(|chunk| kept.push(chunk));
        kept.finish()
    }

    #[test]
    fn within_the_bound_every_byte_is_kept() {
        let body = [part("a: b", b"{}"), picture(10_000)].concat();
        for chunk in [1, 7, 100_000] {
            assert_eq!(kept(&body, body.len(), chunk, Some(TYPE)), (body.clone().into(), 0));
        }
    }

    #[test]
    fn json_behind_pictures_is_found_whatever_the_chunks() {
        let jpeg = part("content-type: image/jpeg", &picture(90_000));
        let body =
            [&jpeg[..], &part("x: y", br#"{"a":1}"#), &jpeg, &part("x: y", br#"{"b":2}"#), b"--B--"].concat();
        for content_type in [Some(TYPE), Some("multipart/form-data; boundary=wrong"), None] {
            for (chunk, bound) in [(1, 40_000), (3, 40_000), (50_000, 40_000), (500_000, 40_000)]
                .into_iter()
                .chain((90_020..90_060).map(|bound| (10_000, bound)))
            {
                let (bytes, skipped) = kept(&body, bound, chunk, content_type);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                assert!(text.contains("\r\n--B\r\nx: y\r\n\r\n{\"a\":1}\r\n--B"), "{chunk} {bound}");
                assert!(text.contains("{\"b\":2}\r\n--B--"), "{chunk} {bound}");
                assert!(bytes.len() <= bound && skipped > 50_000);
            }
        }
    }

    #[test]
    fn a_cut_picture_keeps_its_first_bytes() {
        let body = part("content-type: image/jpeg", &picture(90_000));
        let (bytes, skipped) = kept(&body, 40_000, 4_096, Some(TYPE));
        assert_eq!(bytes.len(), "--B\r\ncontent-type: image/jpeg\r\n\r\n".len() + STUB);
        assert!(skipped > 80_000);
    }

    #[test]
    fn json_is_never_cut_back_for_a_picture() {
        let json = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
        let (bytes, _) = kept(&part("a: b", json.as_bytes()), 40_000, 1_000, Some(TYPE));
        assert_eq!(bytes.len(), 40_000);
        let (bytes, skipped) = kept(json.as_bytes(), 40_000, 1_000, Some("application/json"));
        assert_eq!((bytes.len(), skipped), (40_000, json.len() as u64 - 40_000));
    }
}
