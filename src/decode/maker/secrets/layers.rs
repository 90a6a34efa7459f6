//! Texts within texts: JSON in a string of JSON, XML in a form, UTF-16. A layer is the text with one encoding undone.

use std::ops::Range;

use crate::model::picture::jpeg;

/// Beginning of a JPEG.
const JPEG: &[u8] = b"\xff\xd8\xff";
/// Beginning of the line between two parts.
const DELIMITER: &[u8] = b"\n--";
/// Maximum number of pictures that are left out, which bounds the time for what only looks like many.
const MAX_PICTURES: usize = 64;

/// A text with encodings undone, and where each of its bytes comes from.
pub(super) struct Layer {
    text: Vec<u8>,
    /// Place of each byte in the original text, and its length.
    places: Vec<usize>,
}

impl Layer {
    /// The text below an original one; `None` if nothing in it is encoded.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        decoded(text, |at| at)
    }

    /// The text without the pictures in it; `None` if there is none. They are published as they are, and their bytes
    /// look like every sign of a secret.
    pub(super) fn without_pictures(text: &[u8]) -> Option<Self> {
        memchr::memmem::find(text, JPEG)?;
        let mut layer = Self { text: Vec::new(), places: Vec::new() };
        let mut at = 0;
        for _ in 0..MAX_PICTURES {
            let rest = text.get(at..).unwrap_or_default();
            let Some(start) = memchr::memmem::find(rest, JPEG) else { break };
            let picture = rest.get(start..).and_then(picture_length);
            // Of what is no whole picture, only the beginning is passed, and the rest is text.
            let kept = if picture.is_some() { start } else { start + JPEG.len() };
            layer.keep(text, at..at + kept);
            at += picture.map_or(kept, |length| start + length);
        }
        layer.keep(text, at..text.len());
        layer.places.push(text.len());
        Some(layer)
    }

    /// Adds a part of the original text.
    fn keep(&mut self, text: &[u8], part: Range<usize>) {
        self.text.extend_from_slice(text.get(part.clone()).unwrap_or_default());
        self.places.extend(part);
    }

    /// The text below this one.
    pub(super) fn decoded(&self) -> Option<Self> {
        decoded(&self.text, |at| self.place(at))
    }

    /// The text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The part of the original text that a part of this one comes from.
    pub(super) fn origin(&self, part: &Range<usize>) -> Range<usize> {
        self.place(part.start)..self.place(part.end)
    }

    fn place(&self, at: usize) -> usize {
        self.places.get(at).or(self.places.last()).copied().unwrap_or(0)
    }
}

/// Length of the picture that begins here and ends in the same part.
fn picture_length(picture: &[u8]) -> Option<usize> {
    let part = memchr::memmem::find(picture, DELIMITER).unwrap_or(picture.len());
    jpeg::length(picture.get(..part)?)
}

/// Undoes one encoding.
fn decoded(text: &[u8], place: impl Fn(usize) -> usize) -> Option<Layer> {
    let first = text.iter().position(|byte| matches!(byte, b'\\' | b'%' | b'&' | 0))?;
    let mut layer = Layer { text: text.get(..first)?.to_vec(), places: (0..first).map(&place).collect() };
    let (mut at, mut changed) = (first, false);
    while let Some((byte, rest)) = text.get(at..).and_then(<[u8]>::split_first) {
        let (sign, length) = match byte {
            0 => (None, 1),
            b'\\' => backslash(rest),
            b'%' => percent(rest),
            b'&' => reference(rest),
            _ => (char::from_u32((*byte).into()), 0),
        };
        let raw = length == 0;
        changed |= !raw;
        let from = place(at);
        if raw {
            layer.text.push(*byte);
            layer.places.push(from);
        } else if let Some(sign) = sign {
            let before = layer.text.len();
            match u8::try_from(u32::from(sign)) {
                Ok(byte) => layer.text.push(byte),
                Err(_) => layer.text.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            layer.places.resize(layer.places.len() + layer.text.len() - before, from);
        }
        at += length.max(1);
    }
    layer.places.push(place(text.len()));
    changed.then_some(layer)
}

/// The sign that an escape stands for, and the length of the escape with its first byte; 0 if it is none.
type Escape = (Option<char>, usize);

/// An escape of JSON, from its second byte on.
fn backslash(rest: &[u8]) -> Escape {
    let sign = match rest.first() {
        Some(plain @ (b'"' | b'\\' | b'/' | b'\'')) => char::from(*plain),
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b' | b'f') => ' ',
        Some(b'u') => return hex(rest.get(1..5), 6),
        Some(b'x') => return hex(rest.get(1..3), 4),
        _ => return (None, 0),
    };
    (Some(sign), 2)
}

/// A byte of a form.
fn percent(rest: &[u8]) -> Escape {
    match rest.first() {
        Some(b'u' | b'U') => hex(rest.get(1..5), 6),
        _ => hex(rest.get(..2), 3),
    }
}

/// A reference of XML.
fn reference(rest: &[u8]) -> Escape {
    let Some(name) = rest.get(..10.min(rest.len())).and_then(|near| near.split(|byte| *byte == b';').next())
    else {
        return (None, 0);
    };
    if name.len() == rest.len() || name.len() == 10 {
        return (None, 0);
    }
    let number = |digits: &[u8], radix| {
        let number =
            std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, radix).ok());
        number.filter(|number| *number > 0).and_then(char::from_u32)
    };
    let sign = match name {
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    };
    sign.map_or((None, 0), |sign| (Some(sign), name.len() + 2))
}

/// A sign by its hexadecimal number; half of a pair of UTF-16 is left out.
fn hex(digits: Option<&[u8]>, length: usize) -> Escape {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let number = digits.and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
    number.map_or((None, 0), |number| (char::from_u32(number).filter(|sign| *sign != '\0'), length))
}

#[cfg(test)]
mod tests {
    use super::Layer;

    #[track_caller]
    fn check(text: &[u8], expected: Option<&str>) {
        let layer = Layer::of(text);
        let found = layer.as_ref().map(|layer| String::from_utf8(layer.text().to_vec()).unwrap());
        assert_eq!(found.as_deref(), expected);
        if let Some(layer) = layer {
            assert_eq!(layer.origin(&(0..layer.text().len())), 0..text.len());
        }
    }

    #[test]
    fn one_encoding_is_undone() {
        check(b"plain", None);
        check(br#"a\"b\\\"c\u0041\n"#, Some("a\"b\\\"cA\n"));
        check(b"%7B%22a%22%7D%2", Some("{\"a\"}%2"));
        check(b"a&amp;quot;&#65;&#x42;&x;", Some("a&quot;AB&x;"));
        check(b"{\0\"\0", Some("{\""));
        check(b"100% & \\", None);
    }

    #[test]
    fn pictures_are_left_out_and_what_is_around_them_is_not() {
        let picture = b"\xff\xd8\xff\xda\0\x02@%41\xff\xd9";
        let text =
            [b"{\"a\"}\r\n--b\r\n\r\n", picture.as_slice(), b"{\"c\"}", picture, b"\r\n--b\r\nx\xff\xd9"]
                .concat();
        let layer = Layer::without_pictures(&text).unwrap();
        assert_eq!(layer.text(), b"{\"a\"}\r\n--b\r\n\r\n{\"c\"}\r\n--b\r\nx\xff\xd9");
        let behind = layer.text().len() - 3;
        assert_eq!(layer.origin(&(behind..behind + 3)), text.len() - 3..text.len());
        for other in [
            b"\xff\xd8\xff\xda\0\x02 cut".as_slice(),
            &b"\xff\xd8\xff".repeat(200),
            b"\xff\xd8\xff\xda\n--\xff\xd9",
        ] {
            assert_eq!(Layer::without_pictures(other).unwrap().text(), other, "no whole picture");
        }
        assert!(Layer::without_pictures(b"{\"a\": 1}").is_none());
    }

    #[test]
    fn places_lead_back_through_all_layers() {
        let text = br#"{"a":"{\"b\":\"\\\"x\\\"\"}"}"#;
        let deep = Layer::of(text).unwrap().decoded().unwrap();
        let at = deep.text().iter().position(|byte| *byte == b'x').unwrap();
        assert_eq!(&text[deep.origin(&(at..at + 1))], b"x");
    }
}
