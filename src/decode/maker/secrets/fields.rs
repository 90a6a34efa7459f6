//! The values of secret fields in one layer of a text, found by the names before, around or beside them.
//!
//! A scan goes from word to word. A value that is found is skipped, so each byte is looked at a few times at most.

use std::ops::Range;

use super::ends::{bare_end, element_end, nested_end, quoted_end};
use super::names::SecretNames;

/// Bytes behind a word in which the rest of its name may stand.
const NEAR: usize = 32;
/// Maximum length of the user and password in a URL.
const USER_INFO: usize = 256;
/// Words that name a field whose value is beside its name.
const NAMES: [&[u8]; 6] = [b"name", b"key", b"field", b"param", b"parameter", b"property"];
/// Words for such a value.
const VALUES: [&[u8]; 2] = [b"value", b"val"];
/// Words of the head of a part.
const HEAD: [&[u8]; 2] = [b"content-disposition", b"form-data"];

/// The values of secret fields in a text.
pub(super) fn secrets(text: &[u8], names: &SecretNames) -> Vec<Range<usize>> {
    if !names.may_be_in(text) {
        return Vec::new();
    }
    let mut scan = Scan::new(text, names);
    scan.line(0);
    let mut at = 0;
    while let Some(word) = word(text, at) {
        scan.between(at..word.start);
        at = scan.word(&word).max(word.end);
        scan.last = word;
    }
    scan.found
}

/// Place of the first secret name in a text.
pub(super) fn first_name(text: &[u8], names: &SecretNames) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = word(text, at) {
        if text.get(word.clone()).is_some_and(|name| names.is_secret(name)) {
            return Some(word.start);
        }
        at = word.end;
    }
    None
}

/// The next word from a place on. Letters that are not ASCII belong to it.
fn word(text: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + text.get(from..)?.iter().position(is_letter)?;
    let length = text.get(start..)?.iter().position(|byte| !is_letter(byte));
    Some(start..length.map_or(text.len(), |length| start + length))
}

/// Returns whether a byte belongs to a word.
fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | 0x80..)
}

/// State of a scan.
struct Scan<'t> {
    text: &'t [u8],
    names: &'t SecretNames,
    found: Vec<Range<usize>>,
    /// The word before.
    last: Range<usize>,
    /// The last word for a value in the current object, for a name that follows it.
    value: Option<Range<usize>>,
    /// Set if a name was the name of a secret field; the next value is secret.
    pending: bool,
    /// Set within the head of a part of a multipart body.
    head: bool,
    /// The last line that began with dashes.
    delimiter: Range<usize>,
}

impl<'t> Scan<'t> {
    fn new(text: &'t [u8], names: &'t SecretNames) -> Self {
        Self {
            text,
            names,
            found: Vec::new(),
            last: 0..0,
            value: None,
            pending: false,
            head: false,
            delimiter: 0..0,
        }
    }

    /// Part of the text.
    fn part(&self, range: Range<usize>) -> &'t [u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// The text from a place on.
    fn rest(&self, from: usize) -> &'t [u8] {
        self.text.get(from..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Notes what separates two words.
    fn between(&mut self, gap: Range<usize>) {
        let mut before = 0;
        for at in gap {
            let Some(byte) = self.byte(at) else { return };
            match byte {
                b'{' | b'}' => self.value = None,
                b'>' if before == b'/' => self.value = None,
                b'<' if before == b'>' && self.byte(at + 1) == Some(b'/') => self.value = None,
                b'\n' => self.line(at + 1),
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                before = byte;
            }
        }
    }

    /// Notes the beginning of a line.
    fn line(&mut self, at: usize) {
        if !matches!(self.byte(at), Some(b' ' | b'\t')) {
            self.head = false;
        }
        if self.rest(at).starts_with(b"--") {
            let line = self.part(at..self.text.len().min(at + USER_INFO));
            let length = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len());
            self.delimiter = at..at + length;
        }
    }

    /// Handles a word. Returns the place at which the scan goes on.
    fn word(&mut self, word: &Range<usize>) -> usize {
        let text = self.part(word.clone());
        let is = |words: &[&[u8]]| words.iter().any(|other| other.eq_ignore_ascii_case(text));
        if is(&HEAD) {
            self.head = true;
        }
        if let Some(secret) = self.user_info(word).or_else(|| self.scheme(word)) {
            return self.take(secret);
        }
        if is(&NAMES) && (self.sign(word.end).is_some() || self.opens(word.start)) {
            self.pending = false;
        }
        if is(&VALUES) {
            let Some(secret) = self.pending.then(|| self.value_of(word)).flatten() else {
                if self.opens(word.start) || self.sign(word.end).is_some() {
                    self.value = Some(word.clone());
                }
                return word.end;
            };
            self.pending = false;
            return self.take(secret);
        }
        let name = self.name(word);
        if !name.is_some_and(|name| self.names.is_secret(name)) {
            return word.end;
        }
        if let Some(secret) = self.value_of(word).or_else(|| self.content_of_part(word)) {
            return self.take(secret);
        }
        self.beside(word)
    }

    /// Notes a secret. Returns its end.
    fn take(&mut self, secret: Range<usize>) -> usize {
        let end = secret.end;
        self.found.push(secret);
        end
    }

    /// The name that ends with a word: with the one before it, if neither alone is that of a secret.
    fn name(&self, word: &Range<usize>) -> Option<&'t [u8]> {
        let joined = word.start.checked_sub(1) == Some(self.last.end)
            && matches!(self.byte(self.last.end), Some(b' ' | b'+'))
            && word.end - self.last.start <= 2 * NEAR;
        let alone = self.part(word.clone());
        let is_secret = |range: Range<usize>| self.names.is_secret(self.part(range));
        if !joined || is_secret(word.clone()) || is_secret(self.last.clone()) {
            return Some(alone);
        }
        Some(self.part(self.last.start..word.end))
    }

    /// Place of the sign behind a name, and whether the name is quoted.
    fn sign(&self, end: usize) -> Option<(usize, bool)> {
        let near = self.part(end..self.text.len().min(end + NEAR));
        let is_rest = |byte: &u8| matches!(byte, b'[' | b']' | b'(' | b')' | b'*') || byte.is_ascii_digit();
        let mut at = end + near.iter().take_while(|byte| is_rest(byte)).count();
        if !matches!(self.byte(at), Some(b'"' | b'\'' | b'=' | b':')) {
            let more = |byte: &u8| is_letter(byte) || is_rest(byte) || *byte == b' ';
            let longer = end + near.iter().take_while(|byte| more(byte)).count();
            if matches!(self.byte(longer), Some(b'"' | b'\'')) {
                at = longer;
            }
        }
        let quoted = matches!(self.byte(at), Some(b'"' | b'\''));
        at += usize::from(quoted);
        at += self.blanks(at, if quoted { b" \t\r\n" } else { b" \t" });
        matches!(self.byte(at), Some(b':' | b'=')).then_some((at, quoted))
    }

    /// Number of these bytes at a place.
    fn blanks(&self, at: usize, of: &[u8]) -> usize {
        self.rest(at).iter().take(USER_INFO).take_while(|byte| of.contains(byte)).count()
    }

    /// Returns whether a tag opens before a word; a prefix may be between.
    fn opens(&self, start: usize) -> bool {
        let before = self.part(start.saturating_sub(NEAR)..start);
        let before = before.strip_suffix(b":").map_or(before, |rest| {
            let prefix = rest.iter().rev().take_while(|byte| is_letter(byte)).count();
            rest.get(..rest.len() - prefix).unwrap_or_default()
        });
        before.ends_with(b"<")
    }

    /// The value behind the name that ends with a word, or within the element of that name.
    fn value_of(&self, word: &Range<usize>) -> Option<Range<usize>> {
        let tag = self.opens(word.start);
        if tag && matches!(self.byte(word.end), Some(b'>' | b' ' | b'\t' | b'\r' | b'\n')) {
            return self.element(word);
        }
        let (sign, quoted) = self.sign(word.end)?;
        let colon = self.byte(sign) == Some(b':');
        let mut at = sign + 1 + usize::from(self.byte(sign + 1) == Some(b'>'));
        at += self.blanks(at, if quoted { b" \t\r\n" } else { b" \t" });
        at += usize::from(self.byte(at) == Some(b'+') && matches!(self.byte(at + 1), Some(b'"' | b'\'')));
        Some(match self.byte(at) {
            Some(quote @ (b'"' | b'\'')) => at + 1..quoted_end(self.text, at + 1, quote),
            Some(b'{' | b'[') => at..nested_end(self.text, at),
            _ if colon && quoted => {
                let length = self.rest(at).iter().position(|byte| b",}]\r\n".contains(byte));
                at..length.map_or(self.text.len(), |length| at + length)
            }
            _ => at..bare_end(self.text, at, colon),
        })
    }

    /// The text of the element of this name; `None` if it has none.
    fn element(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let at = name.end + memchr::memchr2(b'<', b'>', self.rest(name.end))?;
        if self.byte(at) == Some(b'<') || self.byte(at - 1) == Some(b'/') {
            return None;
        }
        Some(at + 1..element_end(self.text, at + 1, self.part(name.clone())))
    }

    /// The content of the part of a multipart body that has this name.
    fn content_of_part(&self, word: &Range<usize>) -> Option<Range<usize>> {
        let near = self.part(word.start.saturating_sub(NEAR)..word.start);
        let named = near.windows(4).any(|four| four.eq_ignore_ascii_case(b"name"));
        if !self.head || !named {
            return None;
        }
        let end = |from: usize| {
            let dashes = [
                &b"\n"[..],
                if self.delimiter.is_empty() { &b"--"[..] } else { self.part(self.delimiter.clone()) },
            ]
            .concat();
            memchr::memmem::find(self.rest(from), &dashes).map_or(self.text.len(), |length| from + length)
        };
        let end = end(word.end);
        let part = self.part(word.end..end);
        let blank = |mark: &[u8]| memchr::memmem::find(part, mark).map(|at| at + mark.len());
        let start = blank(b"\n\r\n").or_else(|| blank(b"\n\n")).or_else(|| blank(b"\n")).unwrap_or(0);
        Some(word.end + start..end)
    }

    /// Handles a name of a secret that is a value itself: the value is beside it.
    fn beside(&mut self, name: &Range<usize>) -> usize {
        let opened = |byte: Option<u8>| matches!(byte, None | Some(b'"' | b'\'' | b'>' | b'=' | b':' | b' '));
        let closed =
            |byte: Option<u8>| matches!(byte, None | Some(b'"' | b'\'' | b'<' | b'&' | b';' | b'\r' | b'\n'));
        let before = name.start.checked_sub(1).and_then(|at| self.byte(at));
        if before == Some(b'<') && self.byte(name.end) == Some(b' ') {
            self.pending = true;
        }
        if !opened(before) || !closed(self.byte(name.end)) {
            return name.end;
        }
        if let Some(value) = self.value.take() {
            let secret = self.value_of(&value);
            self.found.extend(secret);
            return name.end;
        }
        if matches!(self.byte(name.end), Some(b'"' | b'\'')) {
            let comma = name.end + 1 + self.blanks(name.end + 1, b" \t\r\n");
            let at = comma + 1 + self.blanks(comma + 1, b" \t\r\n");
            if self.byte(comma) == Some(b',')
                && let Some(quote @ (b'"' | b'\'')) = self.byte(at)
            {
                let end = quoted_end(self.text, at + 1, quote);
                let behind = end + 1 + self.blanks(end + 1, b" \t\r\n");
                if self.byte(behind) != Some(b':') {
                    return self.take(at + 1..end);
                }
            }
        }
        self.pending = true;
        name.end
    }

    /// The password in a URL that begins before this word: `http://user:password@host`.
    fn user_info(&self, word: &Range<usize>) -> Option<Range<usize>> {
        if !self.part(word.start.saturating_sub(3)..word.start).ends_with(b"//") {
            return None;
        }
        let near = self.part(word.start..self.text.len().min(word.start + USER_INFO));
        let length = near.iter().position(|byte| b"/?#\"'<> \t\r\n".contains(byte)).unwrap_or(near.len());
        let host = near.get(..length)?;
        let at = memchr::memrchr(b'@', host)?;
        let colon = memchr::memchr(b':', host).filter(|colon| *colon < at)?;
        Some(word.start + colon + 1..word.start + at)
    }

    /// The credentials behind the name of a scheme of HTTP: `Bearer …`, `Digest username=…`.
    fn scheme(&self, word: &Range<usize>) -> Option<Range<usize>> {
        let name = self.part(word.clone());
        let start = word.end + 1;
        let known =
            [&b"bearer"[..], b"basic", b"digest"].iter().any(|known| known.eq_ignore_ascii_case(name));
        if !known
            || self.byte(word.end) != Some(b' ')
            || !self.byte(start).is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            return None;
        }
        let near = self.part(start..self.text.len().min(start + USER_INFO));
        let token = near.split(|byte| b" \t\r\n\"'<,;&".contains(byte)).next().unwrap_or_default();
        let digit = token.iter().any(u8::is_ascii_digit) || token.ends_with(b"=");
        let secret = name.eq_ignore_ascii_case(b"bearer") && token.len() > 5
            || name.eq_ignore_ascii_case(b"basic") && token.len() > 7 && digit
            || name.eq_ignore_ascii_case(b"digest") && memchr::memchr(b'=', token).is_some();
        secret.then(|| start..bare_end(self.text, start, true))
    }
}
