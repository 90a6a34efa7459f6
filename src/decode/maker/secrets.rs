//! Fields that are never stored or published.

use std::ops::Range;

use serde_json::Value;

use super::words::{bare, same};

/// Words in the names of fields that hold a secret, whoever made the device.
const PARTS: [&str; 7] = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "AUTHORIZATION", "APIKEY", "CREDENTIAL"];
/// Names that have such a word and are no secret: the tokens of ONVIF name parts of a camera.
const OPEN: [&str; 4] = ["SOURCE", "CONFIGURATION", "PROFILE", "RULE"];
/// The longest name.
const LONGEST: usize = 64;
/// The longest text inside a document that is searched for fields.
const TEXT: usize = 64 << 10;
/// The bytes behind a name in which the head of a part ends, and in which `"value"` follows a `"name"`.
const NEAR: (usize, usize) = (512, 32);

/// Removes every field with a secret name, at any depth, and masks those in texts; depth is bounded by the readers.
pub(crate) fn scrub(value: &mut Value, more: &[String]) {
    match value {
        Value::Object(map) => {
            let named = ["name", "Name", "@Name", "@name", "key"].iter().find_map(|key| map.get(*key));
            if named.and_then(Value::as_str).is_some_and(|name| is_secret(name, more)) {
                map.retain(|key, _| !["value", "@value"].iter().any(|name| name.eq_ignore_ascii_case(key)));
            }
            map.retain(|key, _| !is_secret(key.trim_start_matches('@'), more));
            map.values_mut().for_each(|value| scrub(value, more));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| scrub(value, more)),
        Value::String(text) if text.len() <= TEXT && text.contains(['=', '{', '<']) => {
            let mut bytes = std::mem::take(text).into_bytes();
            mask(&mut bytes, more);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns whether the name of a field says that its value is a secret.
fn is_secret(name: &str, more: &[String]) -> bool {
    if more.iter().any(|own| same(own, name)) {
        return true;
    }
    if name.len() < 3 || LONGEST < name.len() {
        return false;
    }
    let name = bare(name);
    name == "PWD"
        || PARTS.iter().any(|part| name.contains(part)) && !OPEN.iter().any(|part| name.contains(part))
}

/// Puts asterisks over the values of secret fields in a body or a text, whatever it is written in: JSON, XML, a form,
/// lines, the parts of a multipart body, and JSON inside a text. The length stays, and so do the zero bytes of UTF-16.
pub(crate) fn mask(text: &mut [u8], more: &[String]) {
    if !text.iter().take(4).any(|byte| *byte == 0) {
        return mask_plain(text, more);
    }
    let mut narrow: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    mask_plain(&mut narrow, more);
    text.iter_mut().filter(|byte| **byte != 0).zip(narrow).for_each(|(byte, masked)| *byte = masked);
}

/// A text with every occurrence of a secret replaced by asterisks.
pub(crate) fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mask(&mut bytes, &[]);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn mask_plain(text: &mut [u8], more: &[String]) {
    let mut at = 0;
    while let Some(word) = word(text, at) {
        at = word.end;
        let name = text.get(word.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok());
        if !name.is_some_and(|name| is_secret(name, more)) {
            continue;
        }
        let Some(value) = value(text, &word) else { continue };
        at = at.max(value.end);
        for byte in text.get_mut(value).unwrap_or_default() {
            match byte {
                b'0'..=b'9' => *byte = b'0',
                b'"' | b'\\' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'\r' | b'\n' | b' ' => {}
                _ => *byte = b'*',
            }
        }
    }
}

/// The next word from a place on.
fn word(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = from + text.get(from..)?.iter().position(is)?;
    let length = text.get(start..)?.iter().position(|byte| !is(byte));
    Some(start..length.map_or(text.len(), |length| start + length))
}

/// The value of the field that has this name.
fn value(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let before = text.get(..name.start)?;
    let is_tag = before.ends_with(b"<") || before.ends_with(b":") && !before.ends_with(b"\":");
    let rest = text.get(name.end..)?;
    let slashes = count(rest, b"\\");
    let quoted = matches!(rest.get(slashes), Some(b'"' | b'\''));
    let mut at = name.end + if quoted { slashes + 1 } else { 0 };
    if let Some(range) = escaped_value(text, at) {
        return Some(range);
    }
    if is_tag && !quoted && matches!(text.get(at), Some(b'>' | b' ' | b'\t' | b'\r' | b'\n')) {
        return element(text, at);
    }
    at += count(text.get(at..)?, b" \t");
    let sign = text.get(at).copied().filter(|sign| matches!(sign, b':' | b'='));
    match sign {
        Some(sign) => behind(text, at + 1, sign, quoted),
        None if quoted => elsewhere(text, at, before),
        None => None,
    }
}

/// The value behind a sign; `quoted`: the name before it is.
fn behind(text: &[u8], mut at: usize, sign: u8, quoted: bool) -> Option<Range<usize>> {
    at += count(text.get(at..)?, b" \t\r\n").min(if sign == b':' && quoted { 64 } else { 1 });
    let depth = count(text.get(at..)?, b"\\");
    if let Some(quote) = text.get(at + depth).filter(|quote| matches!(quote, b'"' | b'\'')) {
        let start = at + depth + 1;
        return Some(start..end_of_quoted(text, start, *quote, depth));
    }
    let rest = text.get(at..)?;
    let ends = ends(sign, quoted, rest.first().copied());
    Some(at..at + rest.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.len()))
}

/// Bytes that end a value that is not quoted, by the sign before it, whether its name is quoted, and its first byte.
fn ends(sign: u8, quoted: bool, first: Option<u8>) -> &'static [u8] {
    match (sign, quoted, first) {
        (b'=', ..) => b"&;\r\n<>\"' ",
        (_, true, Some(b'{')) => b"}",
        (_, true, Some(b'[')) => b"]",
        (_, true, _) => b",}] \r\n",
        (_, false, _) => b"\r\n",
    }
}

/// The text of an element whose name ends here.
fn element(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + memchr::memchr(b'>', text.get(at..)?)? + 1;
    let end = memchr::memmem::find(text.get(start..)?, b"</").map_or(text.len(), |end| start + end);
    (text.get(start - 2) != Some(&b'/')).then_some(start..end)
}

/// The value of a field whose name is a value itself: `"name": "token", "value": "…"`, `Name="token" Value="…"`, and
/// `name="token"` in the head of a part.
fn elsewhere(text: &[u8], at: usize, before: &[u8]) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let near = |most: usize| rest.get(..most).unwrap_or(rest);
    let is_part = before.ends_with(b"name=\"");
    let head = near(NEAR.0);
    let blank = memchr::memmem::find(head, b"\n\r\n")
        .map(|at| at + 3)
        .or_else(|| Some(memchr::memmem::find(head, b"\n\n")? + 2));
    if let Some(start) = blank.filter(|_| is_part) {
        let body = rest.get(start..)?;
        let end = memchr::memmem::find(body, b"\n--").unwrap_or(body.len());
        return Some(at + start..at + start + end);
    }
    let found = near(NEAR.1).windows(5).position(|word| word.eq_ignore_ascii_case(b"value"))?;
    let start = at + found;
    value(text, &(start..start + 5))
}

/// The value behind a name in JSON that is percent-encoded: `%22token%22%3A%22…%22`.
fn escaped_value(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?.strip_prefix(b"%22")?;
    let rest = rest
        .strip_prefix(b"%3A")
        .or_else(|| rest.strip_prefix(b"%3a"))
        .or_else(|| rest.strip_prefix(b":"))?;
    let rest = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"%20")).unwrap_or(rest);
    let start = text.len() - rest.len();
    match rest.strip_prefix(b"%22") {
        Some(inner) => {
            let end = memchr::memmem::find(inner, b"%22").unwrap_or(inner.len());
            Some(start + 3..start + 3 + end)
        }
        None => Some(start..start + rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len())),
    }
}

/// Number of bytes at the beginning that are among these.
fn count(text: &[u8], of: &[u8]) -> usize {
    text.iter().take_while(|byte| of.contains(byte)).count()
}

/// End of a quoted value: the next quote with as many backslashes before it as the first had.
fn end_of_quoted(text: &[u8], start: usize, quote: u8, depth: usize) -> usize {
    let mut slashes = 0;
    for (at, byte) in text.iter().enumerate().skip(start) {
        match *byte {
            b'\\' => slashes += 1,
            found if found == quote && slashes <= depth => return at - slashes,
            _ => slashes = 0,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{mask, masked, scrub};

    #[test]
    fn secret_fields_are_masked_in_every_carrier() {
        for text in [
            r#"{"sharedSecret":"hunter2","a":1}"#,
            r#"{"a":{"Access_Token" : "hunter2"}}"#,
            r#"{"password":{"x":"hunter2"},"a":1}"#,
            r#"{"text":"{\"token\": \"hunter2\"}"}"#,
            r#"{"name":"token","value":"hunter2"}"#,
            "<a><x:Password type=\"s\"><![CDATA[hunter2]]></x:Password></a>",
            "<i Name='token' Value='hunter2'/>",
            "a=1&PASSWORD=hunter2&b=2",
            "A[0].Token=hunter2\r\nA[0].B=1",
            "Code=X;action=Start;index=0;data={\"password\":\"hunter2\"}",
            "Authorization: Bearer hunter2\r\nA: b",
            "%7B%22token%22%3A%22hunter2%22%7D=",
            "--B\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\nhunter2\r\n--B--",
            "http://h/x?api_key=hunter2",
        ] {
            let shown = masked(text);
            assert!(!shown.contains("hunter2") && shown.len() == text.len(), "{text} -> {shown}");
        }
        let mut wide: Vec<u8> = "{\"token\":\"hunter2\"}".bytes().flat_map(|byte| [byte, 0]).collect();
        mask(&mut wide, &[]);
        assert_eq!(String::from_utf8(wide).unwrap().replace('\0', ""), "{\"token\":\"******0\"}");
    }

    #[test]
    fn other_text_stays() {
        for text in [
            "{\"event\":\"motion\",\"SourceToken\":\"v\"}",
            "no token here",
            "token",
            "\"token\"",
            "<token/><a>b</a>",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn fields_are_left_out_of_a_document() {
        let mut document = json!({"a": [{"Token": "x", "b": "{\"pwd\":\"xyz\"}"}], "pin": 7,
            "item": {"@Name": "password", "@Value": "x"}});
        scrub(&mut document, &["PIN".into()]);
        assert_eq!(document, json!({"a": [{"b": "{\"pwd\":\"***\"}"}], "item": {"@Name": "password"}}));
    }
}
