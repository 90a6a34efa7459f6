//! Detection and masking of secrets in any encoding, used for reports, captures, findings, the log and the bundle.
//!
//! A device repeats its own URL in the syntax of its encoder: raw, with JSON escapes (`\u002f`, `\/`),
//! percent-encoded (also twice), as a form, with XML character references, in UTF-16 or UTF-32. All of these are
//! decoded in layers: a layer undoes one encoding of the layer below it. Only text that begins like a secret is
//! decoded further, so a picture costs little.

use std::ops::Range;

/// Maximum number of nested encodings that are decoded.
const DEPTH: usize = 4;
/// Maximum number of units decoded per byte of a text; past it only [`SHALLOW`] layers are decoded. Only a text made
/// for that purpose needs more, and its author knows the secret.
const UNITS_PER_BYTE: usize = 16;
/// Number of layers that are always decoded.
const SHALLOW: usize = 2;
/// Minimum number of units, so that a short text is decoded in full.
const MIN_UNITS: usize = 1 << 20;
/// Bytes with which an encoded character may begin.
const ESCAPES: [u8; 4] = [b'\\', b'%', b'&', b'+'];

/// A set of secrets to look for.
#[derive(Clone)]
pub struct SecretSet {
    needles: Vec<Needle>,
    /// Bytes with which an encoded secret may begin.
    begins: [bool; 256],
}

/// A secret, as it reads at each depth: a secret that contains escapes itself is decoded together with the text.
#[derive(Clone)]
struct Needle {
    forms: [Vec<u8>; DEPTH + 1],
}

/// A decoded character: its bytes (UTF-8 if it was written as a number), and the end of its encoding.
#[derive(Clone, Copy)]
struct Unit {
    bytes: [u8; 4],
    len: usize,
    end: usize,
}

impl Unit {
    fn byte(byte: u8, end: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], len: 1, end }
    }

    /// A character by its number.
    fn scalar(number: u32, end: usize) -> Option<Self> {
        let mut bytes = [0; 4];
        let len = char::from_u32(number)?.encode_utf8(&mut bytes).len();
        Some(Self { bytes, len, end })
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Its byte, where it is a single one.
    fn single(&self) -> u8 {
        if self.len == 1 { self.bytes[0] } else { 0 }
    }
}

impl SecretSet {
    /// Creates a set of secrets; empty ones are left out.
    #[must_use]
    pub fn new<T: AsRef<[u8]>>(secrets: impl IntoIterator<Item = T>) -> Self {
        let mut plain: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            plain.extend(in_utf16(secret));
            plain.push(secret.to_vec());
        }
        plain.retain(|secret| !secret.is_empty());
        // The longest first, so that all of it is masked where one secret begins like another.
        plain.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        plain.dedup();
        let needles: Vec<Needle> = plain.into_iter().map(Needle::new).collect();
        let mut begins = [false; 256];
        let firsts = needles.iter().flat_map(|needle| &needle.forms).filter_map(|form| form.first());
        for first in firsts.chain(&ESCAPES) {
            if let Some(begin) = begins.get_mut(usize::from(*first)) {
                *begin = !needles.is_empty();
            }
        }
        Self { needles, begins }
    }

    /// Replaces every occurrence of a secret by asterisks; the length and the zero bytes of UTF-16 stay. Returns
    /// whether there was one.
    pub fn mask(&self, text: &mut [u8]) -> bool {
        let mut from = 0;
        let mut budget = budget(text.len());
        while let Some(found) = self.find(text, from, &mut budget) {
            from = found.end;
            let spelled = text.get_mut(found).unwrap_or_default();
            spelled.iter_mut().filter(|byte| **byte != 0).for_each(|byte| *byte = b'*');
        }
        from > 0
    }

    /// A text with every occurrence of a secret replaced by asterisks.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.mask(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A text with every occurrence of a secret replaced by `with`.
    #[must_use]
    pub fn replaced(&self, text: &str, with: &str) -> String {
        let bytes = text.as_bytes();
        let (mut kept, mut from, mut budget) = (Vec::with_capacity(bytes.len()), 0, budget(bytes.len()));
        while let Some(found) = self.find(bytes, from, &mut budget) {
            kept.extend_from_slice(bytes.get(from..found.start).unwrap_or_default());
            kept.extend_from_slice(with.as_bytes());
            from = found.end;
        }
        kept.extend_from_slice(bytes.get(from..).unwrap_or_default());
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Returns whether a text contains a secret in any encoding.
    #[must_use]
    pub fn are_in(&self, text: &[u8]) -> bool {
        self.find(text, 0, &mut budget(text.len())).is_some()
    }

    /// Finds the next occurrence of a secret.
    fn find(&self, text: &[u8], from: usize, budget: &mut usize) -> Option<Range<usize>> {
        let mut at = from;
        loop {
            let begins = |byte: &u8| self.begins.get(usize::from(*byte)).is_some_and(|begins| *begins);
            at += text.get(at..)?.iter().position(begins)?;
            if let Some(end) = self.needles.iter().find_map(|needle| needle.at(text, at, budget)) {
                return Some(at..end);
            }
            at += 1;
        }
    }
}

impl std::fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Needle {
    fn new(plain: Vec<u8>) -> Self {
        let mut forms: [Vec<u8>; DEPTH + 1] = std::array::from_fn(|_| Vec::new());
        let mut form = plain;
        for place in &mut forms {
            let next = decoded(&form);
            *place = std::mem::replace(&mut form, next);
        }
        Self { forms }
    }

    /// End of an occurrence of a secret that begins here.
    fn at(&self, text: &[u8], at: usize, budget: &mut usize) -> Option<usize> {
        let escaped = text.get(at).is_some_and(|byte| ESCAPES.contains(byte));
        for (depth, form) in self.forms.iter().enumerate() {
            // An unescaped first byte is the same at each depth: one that differs needs no second look.
            if !escaped && form.first() != text.get(at) {
                continue;
            }
            if *budget == 0 && SHALLOW < depth {
                break;
            }
            let mut end = at;
            let mut rest = form.as_slice();
            while !rest.is_empty() {
                let Some(unit) = unit(text, end, depth, budget) else { break };
                let Some(left) = rest.strip_prefix(unit.bytes()) else { break };
                (rest, end) = (left, unit.end);
            }
            if rest.is_empty() {
                return Some(end);
            }
        }
        None
    }
}

/// Number of units that may be read of a text.
fn budget(bytes: usize) -> usize {
    bytes.saturating_mul(UNITS_PER_BYTE).max(MIN_UNITS)
}

/// A text with one layer of encoding undone.
fn decoded(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut at, mut budget) = (Vec::with_capacity(text.len()), 0, budget(text.len()));
    while let Some(unit) = unit(text, at, 1, &mut budget) {
        plain.extend_from_slice(unit.bytes());
        at = unit.end;
    }
    plain
}

/// Decodes the character that begins here, through `depth` layers.
fn unit(text: &[u8], at: usize, depth: usize, budget: &mut usize) -> Option<Unit> {
    *budget = budget.saturating_sub(1);
    // UTF-16 and UTF-32 are ASCII with zero bytes between.
    let at = at + text.get(at..)?.iter().position(|byte| *byte != 0)?;
    let raw = Unit::byte(*text.get(at)?, at + 1);
    if depth == 0 || !ESCAPES.contains(&raw.single()) {
        return Some(raw);
    }
    let below = depth - 1;
    let first = unit(text, at, below, budget)?;
    let undone = match first.single() {
        b'\\' => backslash(text, first.end, below, budget),
        b'%' => percent(text, first.end, below, budget),
        b'&' => reference(text, first.end, below, budget),
        b'+' => Some(Unit::byte(b' ', first.end)),
        _ => None,
    };
    Some(undone.unwrap_or(first))
}

/// Decodes an escape that begins with a backslash: of JSON, or `\x2f` and `\u{2f}` as in logs.
fn backslash(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let sign = unit(text, at, below, budget)?;
    match sign.single() {
        plain @ (b'"' | b'\\' | b'/' | b'\'') => Some(Unit::byte(plain, sign.end)),
        b'b' => Some(Unit::byte(8, sign.end)),
        b'f' => Some(Unit::byte(12, sign.end)),
        b'n' => Some(Unit::byte(b'\n', sign.end)),
        b'r' => Some(Unit::byte(b'\r', sign.end)),
        b't' => Some(Unit::byte(b'\t', sign.end)),
        b'x' => byte(text, sign.end, below, budget),
        b'u' => braced(text, sign.end, below, budget).or_else(|| utf16(text, sign.end, below, budget)),
        _ => None,
    }
}

/// Decodes an escape that begins with a percent sign: `%2f` or `%u002f`.
fn percent(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let sign = unit(text, at, below, budget)?;
    if sign.single() == b'u' {
        return utf16(text, sign.end, below, budget);
    }
    byte(text, at, below, budget)
}

/// A byte of two hex digits.
fn byte(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let (number, end) = hex(text, at, 2, below, budget)?;
    Some(Unit::byte(u8::try_from(number).ok()?, end))
}

/// A character of four hex digits, or of two such where it is a pair of UTF-16.
fn utf16(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let (high, end) = hex(text, at, 4, below, budget)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Unit::scalar(high, end);
    }
    let sign = unit(text, end, below, budget).filter(|sign| matches!(sign.single(), b'\\' | b'%'))?;
    let letter = unit(text, sign.end, below, budget).filter(|letter| letter.single() == b'u')?;
    let (low, end) = hex(text, letter.end, 4, below, budget)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Unit::scalar(0x1_0000 + ((high - 0xd800) << 10) + low, end)
}

/// A character as `{2f}`, behind `\u`.
fn braced(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let open = unit(text, at, below, budget).filter(|open| open.single() == b'{')?;
    number(text, open.end, (16, b'}'), below, budget)
}

/// A character reference of XML: `&#47;`, `&#x2f;`, and `&amp;`, in which others may be wrapped.
fn reference(text: &[u8], at: usize, below: usize, budget: &mut usize) -> Option<Unit> {
    let sign = unit(text, at, below, budget)?;
    if sign.single() == b'#' {
        let mark = unit(text, sign.end, below, budget)?;
        return match mark.single() {
            b'x' | b'X' => number(text, mark.end, (16, b';'), below, budget),
            _ => number(text, sign.end, (10, b';'), below, budget),
        };
    }
    let mut end = at;
    for letter in b"amp;" {
        end = unit(text, end, below, budget).filter(|unit| unit.single() == *letter)?.end;
    }
    Some(Unit::byte(b'&', end))
}

/// A number of a few digits up to a mark, as a character.
fn number(
    text: &[u8],
    at: usize,
    (radix, mark): (u32, u8),
    below: usize,
    budget: &mut usize,
) -> Option<Unit> {
    let (mut value, mut end) = (0_u32, at);
    for digits in 0..8 {
        let sign = unit(text, end, below, budget)?;
        if sign.single() == mark && digits > 0 {
            return Unit::scalar(value, sign.end);
        }
        let digit = char::from(sign.single()).to_digit(radix)?;
        value = value.checked_mul(radix)?.checked_add(digit)?;
        end = sign.end;
    }
    None
}

/// Reads a number of hex digits, and returns their value and end.
fn hex(text: &[u8], at: usize, digits: usize, below: usize, budget: &mut usize) -> Option<(u32, usize)> {
    let (mut value, mut end) = (0, at);
    for _ in 0..digits {
        let sign = unit(text, end, below, budget)?;
        value = value << 4 | char::from(sign.single()).to_digit(16)?;
        end = sign.end;
    }
    Some((value, end))
}

/// A secret that is not ASCII, in UTF-16 of both byte orders, without the zero bytes; its ASCII part is found as it is.
fn in_utf16(secret: &[u8]) -> Vec<Vec<u8>> {
    let Some(text) = std::str::from_utf8(secret).ok().filter(|text| !text.is_ascii()) else {
        return Vec::new();
    };
    let order = |bytes: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(bytes).filter(|byte| *byte != 0).collect::<Vec<u8>>()
    };
    vec![order(u16::to_le_bytes), order(u16::to_be_bytes)]
}

/// A path with a mask in place of its last part, which is the secret one: `/alarm/***`.
#[must_use]
pub fn last_part(path: &str, mask: &str) -> String {
    let folder = path.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{mask}")
}

#[cfg(test)]
mod tests;
