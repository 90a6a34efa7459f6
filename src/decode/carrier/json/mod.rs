//! JSON as devices write it: with surrounding bytes, NULs, repeated keys, and malformed values.

use serde_json::Value;

use json_repair::repaired;
use json_value::{JsonDocument, MAX_VALUES, document};

pub(super) mod json_repair;
pub(super) mod json_value;

/// Maximum number of documents kept of one text.
const MAX_DOCUMENTS: usize = 256;
/// Repair note for values that were left out.
pub(crate) const CUT: &str = "more values, or deeper ones, than are kept";

/// The documents of a text.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Documents {
    /// Objects and arrays, in order. Never empty.
    pub(crate) documents: Vec<Value>,
    /// Mistakes that were tolerated, as text for a finding.
    pub(crate) repairs: Vec<&'static str>,
    /// Number of values that they hold.
    pub(crate) values: usize,
    /// Set if the last document does not end.
    pub(crate) unfinished: bool,
}

/// Reads every document of a text; none when there is no complete one.
pub(crate) fn parse(text: &str) -> Documents {
    let mut found = Documents::default();
    let mut rest = text;
    while found.documents.len() < MAX_DOCUMENTS
        && found.values < MAX_VALUES
        && let Some((junk, tail)) = start(rest)
    {
        if junk {
            found.repair("bytes before the JSON");
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
                    found.repair("JSON with mistakes");
                    found.take(document);
                }
                return found;
            }
        }
    }
    if !rest.chars().all(is_blank) {
        found.repair("bytes after the JSON");
    }
    found
}

impl Documents {
    /// Adds a repair note, once.
    fn repair(&mut self, what: &'static str) {
        if !self.repairs.contains(&what) {
            self.repairs.push(what);
        }
    }

    /// Adds a document.
    fn take(&mut self, document: JsonDocument) {
        if document.cut {
            self.repair(CUT);
        }
        self.values += document.values;
        self.documents.push(document.value);
    }
}

/// Finds the beginning of the next document, and whether anything but blanks precedes it.
///
/// A bracket in junk is not a beginning: an object begins with a key, an array with a value.
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

/// Returns whether a character may surround a document.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\0' | '\u{feff}')
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
