//! Validation of values against a JSON Schema of this crate, with messages in plain words, for every mistake and not
//! only the first.
//!
//! Supports only those parts of JSON Schema that schemars uses for the types of a mapping file.

use figment::value::{Dict, Value};
use serde_json::Value as Json;

use super::notes::Notes;
use super::pointer::{KIND, POINTER};
use crate::config::keypath::KeyPath;
use crate::config::nearest::nearest;

/// A schema with its definitions.
pub(super) struct Shapes(Json);

impl Shapes {
    /// Creates it from a schema.
    pub(super) fn new(schema: Json) -> Self {
        Self(schema)
    }

    /// Checks a document.
    pub(super) fn check(&self, value: &Value, notes: &mut Notes<'_>) {
        self.walk(&self.0, value, &KeyPath::default(), notes);
    }

    /// A schema, or the definition it refers to.
    fn resolved<'s>(&'s self, schema: &'s Json) -> &'s Json {
        let name = schema.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix('#'));
        name.and_then(|name| self.0.pointer(name)).unwrap_or(schema)
    }

    /// The choices of a schema; it alone, if it has none.
    fn choices<'s>(&'s self, schema: &'s Json) -> Vec<&'s Json> {
        let schema = self.resolved(schema);
        let all = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)?.as_array());
        all.map_or_else(|| vec![schema], |all| all.iter().flat_map(|one| self.choices(one)).collect())
    }

    /// Checks one value.
    fn walk(&self, schema: &Json, value: &Value, at: &KeyPath, notes: &mut Notes<'_>) {
        let choices = self.choices(schema);
        let Some(fitting) = choices.iter().find(|choice| types(choice).contains(&type_of(value))) else {
            // A plain schema without a type takes anything.
            if choices.iter().all(|choice| !types(choice).is_empty()) {
                notes.mistake(at, format!("{} is expected here, not {}", expected(&choices), shown(value)));
            }
            return;
        };
        match value {
            Value::Dict(_, dict) => self.members(fitting, dict, at, notes),
            Value::Array(_, list) => {
                let Some(items) = fitting.get("items") else { return };
                for (number, item) in list.iter().enumerate() {
                    self.walk(items, item, &at.join(&number.to_string()), notes);
                }
            }
            Value::String(_, text) => text_form(fitting, text, at, notes),
            _ => {}
        }
    }

    /// Checks the members of a section.
    fn members(&self, schema: &Json, dict: &Dict, at: &KeyPath, notes: &mut Notes<'_>) {
        let known = schema.get("properties").and_then(Json::as_object);
        let names = || known.into_iter().flat_map(|known| known.keys().map(String::as_str));
        for (name, value) in dict {
            let at = at.join(name);
            let names_form = schema.get("propertyNames");
            if let Some(form) = names_form {
                text_form(form, name, &at, notes);
            }
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.walk(schema, value, &at, notes);
            } else if let Some(schema) = schema.get("additionalProperties").filter(|more| more.is_object()) {
                self.walk(schema, value, &at, notes);
            } else if known.is_some() {
                let all = names().collect::<Vec<_>>().join(", ");
                let hint = nearest(name, names()).map_or_else(
                    || format!("this section takes {all}"),
                    |near| format!("did you mean {near}?"),
                );
                notes.mistake(&at, format!("no such key: {hint}"));
            }
        }
    }
}

/// Checks the form of a text.
fn text_form(schema: &Json, text: &str, at: &KeyPath, notes: &mut Notes<'_>) {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        if !words.contains(&text) {
            let hint = nearest(text, words.iter().copied()).map(|near| format!(": did you mean {near}?"));
            let (words, hint) = (words.join(", "), hint.unwrap_or_default());
            notes.mistake(at, format!("{text:?} is expected to be one of {words}{hint}"));
        }
    }
    match schema.get("pattern").and_then(Json::as_str) {
        Some(POINTER) if !text.starts_with('/') => {
            notes
                .mistake(at, format!("{text:?} is not a pointer: it begins with /, such as \"/event/type\""));
        }
        Some(KIND) if crate::model::device::slug::slug(text).as_deref() != Some(text) => {
            let right = crate::model::device::slug::slug(text).map(|right| format!(", such as {right:?}"));
            let right = right.unwrap_or_default();
            notes.mistake(at, format!("{text:?} is not a kind: write a-z, 0-9 and _{right}"));
        }
        _ => {}
    }
}

/// The types that a schema allows.
fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) if one == "number" => vec!["number", "integer"],
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(all)) if all.iter().any(|one| one == "number") => vec!["number", "integer"],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).filter(|one| *one != "null").collect(),
        _ if schema.get("const").is_some_and(Json::is_string) => vec!["string"],
        _ => Vec::new(),
    }
}

/// The type of a value.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "string",
        Value::Bool(..) => "boolean",
        Value::Num(_, number) if number.to_f64().is_some() => "number",
        Value::Num(..) => "integer",
        Value::Empty(..) => "null",
        Value::Dict(..) => "object",
        Value::Array(..) => "array",
    }
}

/// Expected types, in plain words.
fn expected(choices: &[&Json]) -> String {
    let word = |name: &&str| match *name {
        "string" => Some("a text in quotes"),
        "boolean" => Some("true or false"),
        "array" => Some("a list, in [ ],"),
        "object" => Some("a section"),
        "integer" => Some("a whole number"),
        _ => None,
    };
    let mut words: Vec<&str> =
        choices.iter().flat_map(|choice| types(choice)).filter_map(|name| word(&name)).collect();
    words.dedup();
    words.join(" or ")
}

/// Value that was found, in plain words.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Array(..) => "a list".into(),
        Value::Dict(..) => "a section".into(),
        Value::Char(..) | Value::Empty(..) => "nothing".into(),
    }
}
