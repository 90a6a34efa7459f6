//! Forms: JSON in a field or as a key, or the fields themselves.

use bytes::Bytes;
use serde_json::Value;

use super::Reader;
use crate::decode::BodyEnd;
use crate::decode::carrier::content::{SniffedType, is_type, sniff};
use crate::decode::report::Document;

impl Reader<'_> {
    /// Converts a form: a field that holds JSON, or otherwise the fields as an object.
    pub(super) fn form(&mut self) -> bool {
        let bytes = &self.body.bytes;
        let is_form = is_type(self.header(), "application/x-www-form-urlencoded")
            && (bytes.contains(&b'=') || bytes.trim_ascii().starts_with(b"%7B"));
        if self.body.end != BodyEnd::Complete {
            return false;
        }
        if !is_form {
            return self.undeclared_form();
        }
        // Lines of fields are declared as a form too.
        if self.tree(&bytes.clone(), None) {
            return true;
        }
        self.others.clear();
        let bytes = &self.body.bytes;
        let mut fields = serde_json::Map::new();
        for (key, value) in url::form_urlencoded::parse(bytes.trim_ascii()).take(1_024) {
            if let Some(json) = [value.as_ref(), key.as_ref()].into_iter().find(|text| is_json(text)) {
                self.json(&Bytes::from(json.as_bytes().to_vec()), None);
            } else {
                fields.insert(key.into_owned(), value.into_owned().into());
            }
        }
        if !self.json {
            self.json = true;
            self.report.documents.push(Document { value: fields.into(), form: true });
        }
        true
    }

    /// Reads a form that is declared to be something else, if a maker knows its fields.
    fn undeclared_form(&mut self) -> bool {
        let Some(value) = crate::decode::carrier::form::parse(&self.body.bytes) else { return false };
        if !self.report.knows(&value, true) {
            return false;
        }
        self.json = true;
        self.report.documents.push(Document { value, form: true });
        true
    }
}

/// The JSON in the only member of an object: `{"payload": "{\"event\": \"motion\"}"}`.
pub(super) fn wrapped(document: &Value) -> Option<Value> {
    let only = document.as_object().filter(|map| map.len() == 1)?.values().next()?;
    only.as_str().filter(|text| is_json(text)).and_then(|text| serde_json::from_str(text).ok())
}

/// The JSON inside a JSON string: `"{\"event\": \"motion\"}"`.
pub(super) fn quoted(text: &str) -> Option<String> {
    let text = text.trim().strip_prefix('\u{feff}').unwrap_or(text.trim());
    let inner: String = text.starts_with('"').then(|| serde_json::from_str(text).ok()).flatten()?;
    is_json(&inner).then_some(inner)
}

/// Returns whether a field of a form is JSON.
fn is_json(text: &str) -> bool {
    sniff(text.as_bytes()) == SniffedType::Json
}
