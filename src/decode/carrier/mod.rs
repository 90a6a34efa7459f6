//! Conversion of the bytes of a body to documents and pictures: multipart, encodings of text, JSON with mistakes,
//! base64.
//!
//! Besides JSON, these formats become one tree of JSON values:
//!
//! | carrier | example | tree |
//! |---|---|---|
//! | [`xml`] | `<a id="1"><b>x</b></a>` | `{"a": {"@id": "1", "b": "x"}}` |
//! | [`lines`] | `Code=X;index=0;data={"A":1}`, `Events[0].Code=X` | `{"Code": "X", "index": "0", "data": {"A": 1}}` |
//! | [`form`] | `camera=yard&event=motion` | `{"camera": "yard", "event": "motion"}` |
//!
//! Everything here is pure, never fails on hostile bytes, and is bounded in depth and in the number of values. In a
//! tree, an element or key that occurs once is a value, and one that occurs several times is a list; so code that
//! reads a tree by pointer accepts a single value as a list of one.

use serde_json::{Map, Value};

pub(crate) mod base64;
mod charset;
mod content;
pub mod form;
pub mod inflate;
mod insert;
mod json;
pub mod lines;
pub(crate) mod multipart;
pub(crate) mod reader;
pub mod xml;

/// Repair note for values that were left out because of a limit.
const CUT: &str = "more values, or deeper ones, than are kept";

/// Maximum number of values in one tree. Alarms of real devices have fewer than 2,000.
const MAX_VALUES: usize = 100_000;

/// Maximum depth of a tree.
const DEEPEST: usize = 64;

/// Values read from a text of one carrier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// An object, or a list of objects when the text holds several records.
    pub value: Value,
    /// Mistakes tolerated and values left out, as text for a finding.
    pub repairs: Vec<&'static str>,
}

impl Tree {
    /// Adds a repair note, once.
    fn repair(&mut self, what: &'static str) {
        note(&mut self.repairs, what);
    }
}

/// Adds a note, unless it is present.
fn note(repairs: &mut Vec<&'static str>, what: &'static str) {
    if !repairs.contains(&what) {
        repairs.push(what);
    }
}

/// Adds a member; an existing key becomes a list.
fn add(map: &mut Map<String, Value>, key: &str, value: Value) {
    match map.get_mut(key) {
        None => {
            map.insert(key.to_owned(), value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let list = vec![first.take(), value];
            *first = list.into();
        }
    }
}

/// A single document, or several as a list.
fn one_or_list(mut documents: Vec<Value>) -> Option<Value> {
    match documents.len() {
        0 => None,
        1 => documents.pop(),
        _ => Some(documents.into()),
    }
}
