//! Text of fields `key=value`, as written by Dahua and others: one field a line, with a dotted path or a plain name
//! as key; or a record on one line, its fields separated by `;`, the last of them JSON over many lines.
//!
//! ```text
//! Events[0].EventBaseInfo.Code=CrossLineDetection      Code=AlarmLocal;action=Start;index=0;data={
//! Events[0].EventBaseInfo.Index=0                         "Name" : "Button"
//!                                                      }
//! ```
//!
//! A repeated first key begins another record. Values are text, except JSON.

use serde_json::{Map, Value};

use super::insert::{InsertError, insert, is_path};
use super::json::{json_repair, json_value};
use super::{CUT, MAX_VALUES, Tree, one_or_list};

/// Maximum length of a key.
const MAX_KEY_LENGTH: usize = 256;
/// Maximum number of damaged JSON values that are read again with tolerance.
const MAX_DAMAGED: usize = 16;
/// Line that a device sends as a sign of life.
const HEARTBEAT: &str = "Heartbeat";
/// The key whose value may be JSON.
const JSON_KEY: &str = "data";

/// Reads the fields in a text; `None` when it is not made of fields.
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    read(text).map(|tree| tree.value)
}

/// Reads the fields in a text. Several records are a list.
#[must_use]
pub fn read(text: &str) -> Option<Tree> {
    let text = text.trim_matches(|sign: char| sign.is_whitespace() || matches!(sign, '\0' | '\u{feff}'));
    if is_heartbeat(text) {
        return Some(Tree {
            value: Map::from_iter([(HEARTBEAT.to_owned(), "".into())]).into(),
            repairs: Vec::new(),
        });
    }
    if is_form(text) {
        return None;
    }
    let mut reader = Reader { rest: text, left: MAX_VALUES, damaged: MAX_DAMAGED, ..Reader::default() };
    while !reader.rest.is_empty() {
        if reader.left == 0 {
            reader.tree.repair(CUT);
            break;
        }
        reader.line()?;
    }
    reader.finish()
}

/// Returns whether a line only says that the device is there.
fn is_heartbeat(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case(HEARTBEAT)
}

/// Returns whether a text is a urlencoded form rather than one field.
fn is_form(text: &str) -> bool {
    let (first, rest) = text.split_once('&').unwrap_or((text, ""));
    let next = rest.split(['=', '&']).next().unwrap_or_default();
    rest.contains('=') && is_path(next) && !first.contains(['\n', ';', '{'])
}

/// State of the parser.
#[derive(Default)]
struct Reader<'t> {
    rest: &'t str,
    records: Vec<Value>,
    record: Map<String, Value>,
    /// First key of the record.
    first: Option<&'t str>,
    /// First key of records of which none begins on a later line.
    last: Option<&'t str>,
    /// Bytes of the text after the record, once they were counted.
    behind: Option<usize>,
    fields: usize,
    /// Lines that are not fields.
    other: usize,
    /// Number of values that may still be created.
    left: usize,
    damaged: usize,
    tree: Tree,
}

impl<'t> Reader<'t> {
    /// Reads a line and, if JSON begins in it, all of that; `None` when the text cannot be made of fields.
    fn line(&mut self) -> Option<()> {
        let (line, tail) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        if line.trim().is_empty() || is_heartbeat(line) {
            self.rest = tail;
            return Some(());
        }
        let Some((key, value)) = field(self.rest) else {
            self.rest = tail;
            self.other += 1;
            self.tree.repair("a line that is not a field");
            // Prose is detected early; one line that is cut off does not make it prose.
            return (self.fields >= 4 * self.other || (self.fields > 0 && tail.is_empty())).then_some(());
        };
        self.field(key, value);
        while let Some(next) = self.rest.strip_prefix(';') {
            let Some((key, value)) = field(next) else {
                let (line, tail) = next.split_once('\n').unwrap_or((next, ""));
                if !line.trim().is_empty() {
                    self.tree.repair("text behind a field");
                }
                self.rest = tail;
                break;
            };
            self.field(key, value);
        }
        Some(())
    }

    /// Parses a field whose value begins here.
    fn field(&mut self, key: &'t str, value: &'t str) {
        self.fields += 1;
        if self.first == Some(key) {
            self.end_record();
        }
        self.first.get_or_insert(key);
        let value = value.trim_start_matches([' ', '\t']);
        if key.eq_ignore_ascii_case(JSON_KEY) && value.starts_with(['{', '[']) && self.json(key, value) {
            return;
        }
        let (text, tail) = value.split_at_checked(end_of(key, value)).unwrap_or((value, ""));
        self.rest = tail.strip_prefix('\n').unwrap_or(tail);
        self.put(key, text.trim().into());
    }

    /// Parses JSON; `false` if the value is text after all. JSON that cannot be parsed is left out.
    fn json(&mut self, key: &str, value: &'t str) -> bool {
        if self.damaged == 0 {
            return false;
        }
        let own = self.own(value);
        let (read, document) = match json_value::document(own) {
            Ok((document, read)) => (read, Some(document)),
            Err(_) if !object(own) => return false,
            Err(_) => {
                self.damaged -= 1;
                let end = balanced(own);
                let repaired = end.and_then(|end| own.get(..end)).map(json_repair::repaired);
                let document = repaired.and_then(|text| json_value::document(&text).ok());
                let note =
                    if document.is_some() { "JSON with mistakes" } else { "a field's JSON cannot be read" };
                self.tree.repair(note);
                (end.unwrap_or(own.len()), document.map(|(document, _)| document))
            }
        };
        self.rest = value.get(read..).unwrap_or_default().trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some(document) = document {
            self.left = self.left.saturating_sub(document.values);
            if document.cut {
                self.tree.repair(CUT);
            }
            self.put(key, document.value);
        }
        true
    }

    /// The part of a text that belongs to the record: up to the line at which the next one begins.
    fn own(&mut self, text: &'t str) -> &'t str {
        let behind = match (self.behind, self.first) {
            (Some(behind), _) => behind,
            (None, Some(first)) if self.last != Some(first) => {
                let next = text.find(&format!("\n{first}="));
                self.last = if next.is_none() { Some(first) } else { None };
                next.map_or(0, |end| text.len() - end)
            }
            _ => 0,
        };
        self.behind = Some(behind);
        text.get(..text.len().saturating_sub(behind)).unwrap_or(text)
    }

    /// Inserts a value into the record.
    fn put(&mut self, key: &str, value: Value) {
        match insert(&mut self.record, key, value, &mut self.left) {
            Ok(()) => {}
            Err(InsertError::Limit) => self.tree.repair(CUT),
            Err(InsertError::Conflict) => self.tree.repair("a field that contradicts another"),
        }
    }

    /// Ends a record.
    fn end_record(&mut self) {
        (self.first, self.behind) = (None, None);
        if self.record.is_empty() {
            return;
        }
        self.left = self.left.saturating_sub(1);
        self.records.push(std::mem::take(&mut self.record).into());
    }

    /// Returns the values read.
    fn finish(mut self) -> Option<Tree> {
        let blank = |value: &Value| value.as_str().is_some_and(|text| text.trim_matches('=').is_empty());
        // Base64 ends like a field without a value.
        if self.fields == 1 && self.record.values().all(blank) {
            return None;
        }
        self.end_record();
        self.tree.value = one_or_list(self.records)?;
        Some(self.tree)
    }
}

/// Returns whether a text begins as a key does.
fn begins_as_key(text: &str) -> bool {
    text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// The key of the field a text begins with, and the text after its `=`.
fn field(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr2(b'=', b'\n', text.as_bytes().get(..MAX_KEY_LENGTH).unwrap_or(text.as_bytes()))?;
    let (key, value) = text.split_at_checked(at)?;
    let key = key.trim();
    Some((key, value.strip_prefix('=')?)).filter(|_| is_path(key))
}

/// End of a text value: the end of the line, or a `;` that is followed by a field. A field with a dotted path has a
/// line of its own.
fn end_of(key: &str, value: &str) -> usize {
    let dotted = key.contains(['.', '[']);
    let ends = |at: &usize| {
        let rest = value.get(*at..).unwrap_or_default();
        let Some(next) = rest.strip_prefix(';') else { return true };
        let blank = next.trim_start_matches([' ', '\t', '\r']);
        !dotted
            && (blank.is_empty() || blank.starts_with('\n') || begins_as_key(blank) && field(next).is_some())
    };
    memchr::memchr2_iter(b';', b'\n', value.as_bytes()).find(ends).unwrap_or(value.len())
}

/// Returns whether a text begins as a JSON object does.
fn object(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}

/// Length of the JSON at the beginning of a text, found by counting brackets.
fn balanced(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
