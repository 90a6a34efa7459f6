//! Forms: JSON in a field or as a key, or the fields themselves.

use bytes::Bytes;
use serde_json::Value;

use super::Reader;
use super::text::is_markup;
use crate::decode::BodyEnd;
use crate::decode::carrier::content::{SniffedType, is_type, sniff};
use crate::decode::carrier::{self, add};
use crate::decode::report::Document;

/// Maximum number of fields of a form.
const MAX_FIELDS: usize = 1_024;

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
        for (key, value) in url::form_urlencoded::parse(bytes.trim_ascii()).take(MAX_FIELDS) {
            let is_document = |text: &&str| is_json(text) || is_markup(text.as_bytes());
            let document = [value.as_ref(), key.as_ref()].into_iter().find(is_document);
            let before = self.taken();
            if let Some(text) = document {
                let bytes = Bytes::from(text.as_bytes().to_vec());
                if !self.tree(&bytes, None) {
                    self.json(&bytes, None);
                }
            }
            if self.taken() == before {
                add(&mut self.report.values, &key, value.into_owned().into());
            } else if let Some(document) = self.single_since(before) {
                self.named.push((key.into_owned(), document));
            }
        }
        self.take_values();
        if !self.json && self.others.is_empty() {
            self.json = true;
            let value = std::mem::take(&mut self.report.values).into();
            self.report.documents.push(Document { value, form: true });
        }
        true
    }

    /// Number of the only document added since.
    pub(super) fn single_since(&self, before: (usize, usize, usize, bool)) -> Option<usize> {
        (self.report.documents.len() == before.0 + 1).then_some(before.0)
    }

    /// Reads a form that is declared to be something else, if a maker knows its fields.
    fn undeclared_form(&mut self) -> bool {
        let Some(value) = carrier::form::parse(&self.body.bytes) else { return false };
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
