//! Values of secret fields, which are never stored or published.
//!
//! [`scrub`] removes them from a document before it is decoded; [`mask`] puts asterisks over them in the bytes of a
//! capture or a text. [`layers`] undoes the encodings that texts are nested in, [`fields`] finds the values in each of
//! them. Everything here takes linear time and no recursion but that over the levels of a document, which the readers
//! bound.

use std::ops::Range;

use serde_json::{Map, Value};

mod ends;
mod fields;
mod layers;
mod names;

use layers::Layer;
pub(crate) use names::SecretNames;

/// Maximum number of encodings that are undone; deeper ones are masked as a whole.
const DEPTH: usize = 6;
/// Members that name a field whose value is in another member.
const NAMES: [&str; 6] = ["name", "key", "field", "param", "parameter", "property"];
/// Members that hold the value of such a field.
const VALUES: [&str; 2] = ["value", "val"];
/// Length from which a text without any sign that fields have is taken for a picture.
const PICTURE: usize = 4 << 10;

/// Removes every field with a secret name, at any depth, and masks those in texts; depth is bounded by the readers.
pub(crate) fn scrub(value: &mut Value, more: &[String]) {
    scrub_level(value, &SecretNames::new(more));
}

/// Scrubs a value and those in it.
fn scrub_level(value: &mut Value, names: &SecretNames) {
    match value {
        Value::Object(map) => {
            let is_one_of = |key: &str, words: &[&str]| {
                words.iter().any(|word| word.eq_ignore_ascii_case(key.trim_start_matches(['@', '#'])))
            };
            let named =
                map.iter().filter(|(key, _)| is_one_of(key, &NAMES)).filter_map(|(_, it)| it.as_str());
            if named.into_iter().any(|name| !name.contains(' ') && names.is_secret(name.as_bytes())) {
                map.retain(|key, _| !is_one_of(key, &VALUES));
            }
            if map.keys().any(|key| is_text(key)) {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(key, it)| (key_without(key, names), it))
                    .collect::<Map<_, _>>();
            }
            map.retain(|key, _| is_text(key) || !names.is_secret(key.trim_start_matches('@').as_bytes()));
            map.values_mut().for_each(|value| scrub_level(value, names));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| scrub_level(value, names)),
        Value::String(text) if may_hold_fields(text) => *text = without(std::mem::take(text), names),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns whether a key is a text with fields in it, as a form has one whose only field is JSON.
fn is_text(key: &str) -> bool {
    key.contains(['{', '<', '=', '"'])
}

/// Masks the fields in a key that is a text.
fn key_without(key: String, names: &SecretNames) -> String {
    if is_text(&key) { without(key, names) } else { key }
}

/// Returns whether a text may have fields in it: some sign or space is between a name and its value. The text of a
/// picture has none, and is long.
fn may_hold_fields(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return false;
    }
    let picture = text.strip_prefix("data:").and_then(|text| Some(text.split_once(',')?.1)).unwrap_or(text);
    text.len() < PICTURE || picture.trim_end_matches('=').contains(['=', ':', '{', '<', '%', '&', '\\', ' '])
}

/// A text with its secrets masked.
fn without(text: String, names: &SecretNames) -> String {
    let found = secrets_in(text.as_bytes(), names);
    if found.is_empty() {
        return text;
    }
    let mut bytes = text.into_bytes();
    found.into_iter().for_each(|secret| cover(&mut bytes, secret));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Puts asterisks over the values of secret fields in a body or a text, whatever it is written in: JSON, XML, a form,
/// lines, the parts of a multipart body, headers, and each of them as text inside another. The length stays, and so do
/// the zero bytes of UTF-16. `more` names fields that are secret besides the usual ones.
pub(crate) fn mask(text: &mut [u8], more: &[String]) {
    let names = SecretNames::new(more);
    let found = Layer::without_pictures(text).map_or_else(
        || secrets_in(text, &names),
        |rest| secrets_in(rest.text(), &names).into_iter().map(|secret| rest.origin(&secret)).collect(),
    );
    found.into_iter().for_each(|secret| cover(text, secret));
}

/// A text with the values of secret fields replaced by asterisks.
pub(crate) fn masked(text: &str, more: &[String]) -> String {
    without(text.to_owned(), &SecretNames::new(more))
}

/// The places of all secrets in a text.
fn secrets_in(text: &[u8], names: &SecretNames) -> Vec<Range<usize>> {
    let mut found = fields::secrets(text, names);
    let mut layer = Layer::of(text);
    for _ in 0..DEPTH {
        let Some(decoded) = layer else { return found };
        found
            .extend(fields::secrets(decoded.text(), names).into_iter().map(|secret| decoded.origin(&secret)));
        layer = decoded.decoded();
    }
    let named = layer
        .and_then(|deep| Some(deep.origin(&(fields::first_name(deep.text(), names)?..deep.text().len()))));
    found.extend(named);
    found
}

/// Covers a secret. Signs of JSON and line ends stay, so that the rest can be read as before.
fn cover(text: &mut [u8], secret: Range<usize>) {
    let bytes = text.get_mut(secret).unwrap_or_default();
    let mut at = 0;
    while let Some((byte, rest)) = bytes.get_mut(at..).and_then(<[u8]>::split_first_mut) {
        at += 1;
        match byte {
            b'\\' if matches!(rest.first(), Some(b'"' | b'\\')) => at += 1,
            b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'\r' | b'\n' | b' ' | 0 => {}
            b'0'..=b'9' => *byte = b'0',
            _ => *byte = b'*',
        }
    }
}

#[cfg(test)]
mod tests;
