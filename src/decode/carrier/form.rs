//! Urlencoded forms and query strings: `camera=yard&event=motion`.
//!
//! Keys are taken as they are, dots and brackets too; a key that comes again is a list. A value that is a JSON object
//! or list is one in the tree. The characters are in any encoding (`url::form_urlencoded` takes UTF-8 only).

use serde_json::{Map, Value};

use super::json::json_value;
use super::{CUT, MAX_VALUES, Tree, add, charset};

/// Maximum number of fields.
const MAX_FIELDS: usize = 1_024;

/// Parses a form; `None` when it has no field.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Value> {
    read(text).map(|tree| tree.value)
}

/// Parses a form. A field without `=` has an empty value; at least one field must have a value that is not empty.
#[must_use]
pub fn read(text: &[u8]) -> Option<Tree> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"?").unwrap_or(text);
    let (mut fields, mut tree, mut left, mut valued) = (Map::new(), Tree::default(), MAX_VALUES, false);
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    for (number, pair) in pairs.enumerate() {
        if number >= MAX_FIELDS || left == 0 {
            tree.repair(CUT);
            break;
        }
        let at = memchr::memchr(b'=', pair);
        let (key, value) = pair.split_at_checked(at.unwrap_or(pair.len())).unwrap_or((pair, &[]));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let (key, value) = (decoded(key), decoded(value));
        valued |= !key.trim().is_empty() && !value.trim_matches('=').trim().is_empty();
        left -= 1;
        let value = json(&value, &mut left, &mut tree).unwrap_or_else(|| value.into());
        add(&mut fields, &key, value);
    }
    tree.value = fields.into();
    valued.then_some(tree)
}

/// The JSON object or list that a value consists of, if it is one as a whole.
fn json(value: &str, left: &mut usize, tree: &mut Tree) -> Option<Value> {
    let text = value.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let (document, read) = json_value::document(text).ok()?;
    if !text.get(read..)?.trim().is_empty() {
        return None;
    }
    *left = left.saturating_sub(document.values);
    if document.cut {
        tree.repair(CUT);
    }
    Some(document.value)
}

/// A key or value without its escapes.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    charset::read(&bytes, None).text.into_owned()
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
