//! The values of a document, each with its pointer.

use serde_json::Value;

use crate::decode::maker::fields::text;

/// Maximum number of values listed.
const MAX_VALUES: usize = 200;
/// Maximum depth of a value listed.
const MAX_DEPTH: usize = 12;
/// Maximum number of items listed of a list of plain values.
const MAX_ITEMS: usize = 4;

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Pointer to it.
    pub pointer: String,
    /// Its text, whole.
    pub text: String,
    /// Set if it is beside the list of alarms, not in it.
    pub outside: bool,
}

impl Leaf {
    /// Last step of the pointer, in lower case without punctuation.
    pub(super) fn key(&self) -> String {
        let last = self.pointer.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap_or_default();
        last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    }

    /// Its text, cut to `most` characters.
    #[must_use]
    pub fn shown(&self, most: usize) -> String {
        let mut text: String = self.text.chars().take(most).collect();
        if text.len() < self.text.len() {
            text.push('…');
        }
        text
    }
}

/// Values of the document in its order. Of a list of objects only the first is listed, without its index, as pointers
/// find it.
pub(super) fn leaves(document: &Value) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(document, String::new(), 0, &mut found);
    found
}

fn walk(value: &Value, at: String, depth: usize, found: &mut Vec<Leaf>) {
    if found.len() >= MAX_VALUES || depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                // The text of an element with attributes stands at the element itself.
                let step = if key == "#text" {
                    String::new()
                } else {
                    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
                };
                walk(value, format!("{at}{step}"), depth + 1, found);
            }
        }
        Value::Array(list) if list.first().is_some_and(Value::is_object) => {
            if let Some(first) = list.first() {
                walk(first, at, depth + 1, found);
            }
        }
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate().take(MAX_ITEMS) {
                walk(value, format!("{at}/{number}"), depth + 1, found);
            }
        }
        plain => found.extend(text(plain).map(|text| Leaf { pointer: at, text, outside: false })),
    }
}

/// The list of alarms: the first list of two or more objects at the top of the document or one step below.
pub(super) fn list(document: &Value) -> Option<String> {
    let is_list = |value: &Value| {
        value.as_array().is_some_and(|list| list.len() > 1 && list.iter().all(Value::is_object))
    };
    let members = |value: &Value| -> Vec<(String, Value)> {
        value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let top = members(document);
    let first = top.iter().find(|(_, value)| is_list(value)).map(|(key, _)| format!("/{}", escaped(key)));
    first.or_else(|| {
        top.iter().find_map(|(key, value)| {
            let below = members(value);
            let (inner, _) = below.iter().find(|(_, value)| is_list(value))?;
            Some(format!("/{}/{}", escaped(key), escaped(inner)))
        })
    })
}
