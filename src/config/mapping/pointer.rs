//! Pointers and other texts of a mapping file with a fixed form, and that form as JSON Schema.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Pattern of a pointer.
pub(super) const POINTER: &str = "^/";
/// Pattern of a kind.
pub(super) const KIND: &str = "^[a-z0-9_]{1,64}$";
/// Names of the states of an event.
pub(super) const STATES: [&str; 3] = ["start", "end", "once"];

/// Pointers of which the first that exists is used; a single one may be written without brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct PointerList(Vec<String>);

/// A text, or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for PointerList {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(pointer) => Self(vec![pointer]),
            OneOrMany::Many(pointers) => Self(pointers),
        }
    }
}

impl From<Vec<String>> for PointerList {
    fn from(pointers: Vec<String>) -> Self {
        Self(pointers)
    }
}

impl Deref for PointerList {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a PointerList {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl JsonSchema for PointerList {
    fn schema_name() -> Cow<'static, str> {
        "pointers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A pointer into a document, such as /event/type, or a list of which the first that exists counts.",
            "anyOf": [
                {"type": "string", "pattern": POINTER},
                {"type": "array", "items": {"type": "string", "pattern": POINTER}},
            ],
        })
    }
}

/// A pointer.
pub(super) fn pointer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": POINTER})
}

/// A kind, or `alive`, `test` or `ignore`.
pub(super) fn kind(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": KIND})
}

/// Words to kinds.
pub(super) fn kinds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "pattern": KIND}})
}

/// A word for the state of an event.
pub(super) fn state(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": STATES})
}

/// Pointers to a word or to several.
pub(super) fn words_at(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": {"pattern": POINTER},
        "additionalProperties": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
    })
}
