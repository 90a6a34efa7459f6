//! JSON as devices write it: junk around it, NULs, doubled keys, values no parser takes.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

use super::json_repair::repaired;

/// Values of one document that are kept; a hostile body could make a hundred bytes of memory of each of its own.
const MOST_VALUES: usize = 400_000;
/// Deeper than this, values are passed over.
const DEEPEST: usize = 48;
/// Documents of one text that are kept.
const MOST_DOCUMENTS: usize = 256;
/// Lists that are joined when their key stands twice: dropping one would lose events.
const JOINED: [&str; 2] = ["event_list", "messages"];

/// The documents of a text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Documents {
    /// Objects and arrays, in order. Never empty.
    pub(super) documents: Vec<Value>,
    /// What had to be tolerated, in plain words.
    pub(super) repairs: Vec<&'static str>,
    /// The last document does not end.
    pub(super) unfinished: bool,
}

/// Reads every document of a text; none when there is no complete one.
pub(super) fn parse(text: &str) -> Documents {
    let mut found = Documents::default();
    let mut rest = text;
    while found.documents.len() < MOST_DOCUMENTS
        && let Some((junk, tail)) = start(rest)
    {
        if junk {
            found.repairs.push("bytes before the JSON");
        }
        match document(tail) {
            Ok((document, read)) => {
                found.take(document);
                rest = tail.get(read..).unwrap_or_default();
            }
            Err(error) if error.is_eof() => {
                found.unfinished = true;
                return found;
            }
            Err(_) => {
                if let Ok((document, _)) = document(&repaired(tail)) {
                    found.repairs.push("JSON with mistakes");
                    found.take(document);
                }
                return found;
            }
        }
    }
    if !rest.chars().all(is_blank) {
        found.repairs.push("bytes after the JSON");
    }
    found
}

impl Documents {
    /// Keeps a document.
    fn take(&mut self, document: Document) {
        if document.cut {
            self.repairs.push("more values, or deeper ones, than are kept");
        }
        self.documents.push(document.value);
    }
}

/// Where the next document begins, and whether anything but blanks stands before it.
///
/// A bracket in junk is no beginning: an object begins with a key, an array with a value.
fn start(text: &str) -> Option<(bool, &str)> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'{', b'[', text.as_bytes().get(from..)?)?;
        let (before, tail) = text.split_at_checked(at)?;
        let mut bytes = tail.bytes();
        let opened = bytes.next();
        // Blanks are few in what devices write; a bound keeps a hostile text from making this quadratic.
        let first = bytes.take(64).find(|byte| !byte.is_ascii_whitespace() && *byte != 0);
        // A bracket passed over is junk too.
        let junk = from > 0 || !before.chars().all(is_blank);
        let begins = match (opened, first) {
            (Some(b'{'), Some(first)) => matches!(first, b'"' | b'}'),
            // Brackets are common in plain text.
            (_, Some(first)) if junk => first == b'{',
            (_, Some(first)) => {
                matches!(first, b'{' | b'[' | b']' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
            }
            (_, None) => true,
        };
        if begins {
            return Some((junk, tail));
        }
        from = at + 1;
    }
}

/// What may stand around a document.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\0' | '\u{feff}')
}

/// The document a text begins with, and its length in bytes.
fn document(text: &str) -> serde_json::Result<(Document, usize)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Document>();
    let document = stream.next().unwrap_or_else(|| Err(de::Error::custom("no document")))?;
    Ok((document, stream.byte_offset()))
}

/// A document, within bounds.
struct Document {
    value: Value,
    cut: bool,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Budget { left: Cell::new(MOST_VALUES), cut: Cell::new(false) };
        let value = Bounded { budget: &budget, depth: 0 }.deserialize(deserializer)?;
        Ok(Self { value, cut: budget.cut.get() })
    }
}

/// What may still be kept of a document.
struct Budget {
    left: Cell<usize>,
    cut: Cell<bool>,
}

/// Reads one value, and nothing of it that is over the bounds.
#[derive(Clone, Copy)]
struct Bounded<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Bounded<'_> {
    /// The reader of a value inside this one.
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Whether nothing more is kept.
    fn is_spent(self) -> bool {
        self.budget.left.get() == 0
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth >= DEEPEST || self.is_spent() {
            self.budget.cut.set(true);
            // Unlike values, what is ignored is read without recursion.
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        self.budget.left.set(self.budget.left.get() - 1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while !self.is_spent() {
            match sequence.next_element_seed(self.inner())? {
                Some(value) => list.push(value),
                None => return Ok(list.into()),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            self.budget.cut.set(true);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while !self.is_spent() {
            let Some(key) = members.next_key::<String>()? else { return Ok(map.into()) };
            let value = members.next_value_seed(self.inner())?;
            put(&mut map, key, value);
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            self.budget.cut.set(true);
        }
        Ok(map.into())
    }
}

/// Adds a member: of two with one key the last counts, but lists of events are joined.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Array(kept)), Value::Array(more)) if JOINED.contains(&key.as_str()) => kept.extend(more),
        (_, value) => {
            map.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[track_caller]
    fn check(text: &str, expected: &serde_json::Value, repairs: &[&str]) {
        let found = parse(text);
        assert_eq!((&json!(found.documents), &found.repairs[..]), (expected, repairs), "{text}");
    }

    #[test]
    fn junk_around_documents() {
        check("\r\n{\"a\":1}\r\n\0\0", &json!([{"a":1}]), &[]);
        check("event={\"a\":1}", &json!([{"a":1}]), &["bytes before the JSON"]);
        check(
            "[x] {x} {\"a\":1} tail",
            &json!([{"a":1}]),
            &["bytes before the JSON", "bytes after the JSON"],
        );
        check("{\"a\":1}\n{\"b\":2}\n", &json!([{"a":1},{"b":2}]), &[]);
        check("no json", &json!([]), &["bytes after the JSON"]);
    }

    #[test]
    fn doubled_keys_lose_no_events() {
        check("{\"a\":1,\"a\":2}", &json!([{"a":2}]), &[]);
        check("{\"event_list\":[1],\"event_list\":[2]}", &json!([{"event_list":[1,2]}]), &[]);
    }

    #[test]
    fn a_document_that_does_not_end_is_none() {
        let found = parse("{\"event_list\":[{\"event_type\":\"MOTION\"}");
        assert!(found.documents.is_empty() && found.unfinished);
    }

    #[test]
    fn depth_and_number_are_bounded_not_fatal() {
        let deep = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        let found = parse(&deep);
        assert_eq!(found.documents[0]["b"], 1);
        assert_eq!(found.repairs, ["more values, or deeper ones, than are kept"]);
        let long = format!("{{\"b\":1,\"a\":[{}0]}}", "0,".repeat(1_000_000));
        let found = parse(&long);
        assert_eq!(found.documents[0]["b"], 1);
        assert!(found.documents[0]["a"].as_array().unwrap().len() < 400_000);
        check("{\"a\":1e999,\"b\":1}", &json!([{"a":"1e999","b":1}]), &["JSON with mistakes"]);
    }
}
