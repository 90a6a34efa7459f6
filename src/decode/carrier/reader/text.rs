//! XML, lines of fields and plain text in a body, and the text parts of a form.

use bytes::Bytes;
use serde_json::Value;

use super::Reader;
use crate::decode::BodyEnd;
use crate::decode::carrier::content::{SniffedType, sniff};
use crate::decode::carrier::json::json_value;
use crate::decode::carrier::multipart::BodyPart;
use crate::decode::carrier::{CUT, add, charset, lines, note, xml};
use crate::decode::error::head;
use crate::decode::report::{Document, cut, shown};
use crate::findings::FindingCode;

/// Maximum bytes of a text part of a form that is kept as a value.
const MAX_VALUE_BYTES: usize = 4 << 10;
/// Maximum number of words of a text that are examined.
const MAX_WORDS: usize = 64;
/// Maximum number of records of one text that are examined.
const MAX_RECORDS: usize = 4_096;
/// Maximum number of documents of unknown makers that are kept.
const MAX_OTHERS: usize = 16;

impl Reader<'_> {
    /// Uses documents of unknown makers if there is no other, and notes them if there is.
    pub(super) fn take_others(&mut self) {
        let alone = self.report.documents.is_empty();
        for value in std::mem::take(&mut self.others) {
            if alone {
                self.report.documents.push(Document { value, form: false });
            } else {
                let detail = format!("{} stands beside the report and is of no known maker", shown(&value));
                self.report.problem(FindingCode::PartIgnored, detail);
            }
        }
    }

    /// Numbers of results so far.
    pub(super) fn taken(&self) -> (usize, usize, usize, bool) {
        (self.report.documents.len(), self.report.images.len(), self.others.len(), self.json)
    }

    /// Keeps a text part as a named value; any other part is noted.
    pub(super) fn value(&mut self, part: &BodyPart, charset: Option<&str>) {
        let text = charset::read(&part.data, charset).text;
        let is_text = part.data.len() <= MAX_VALUE_BYTES
            && sniff(&part.data) == SniffedType::Other
            && !text.chars().any(|sign| sign.is_control() && !sign.is_whitespace());
        match &part.name {
            Some(name) if is_text && part.whole => {
                add(&mut self.report.values, &cut(name), text.trim().into())
            }
            // The end of a body that was cut off is noted as that.
            _ if !part.whole && self.body.end != BodyEnd::Complete => {}
            name => {
                let (name, kind) = (name.as_deref().unwrap_or("none"), part.content_type.as_deref());
                let detail = format!(
                    "a part of {} bytes is neither JSON, XML, fields nor a picture: name {:?}, type {:?}, beginning with \"{}\"",
                    part.data.len(),
                    cut(name),
                    cut(kind.unwrap_or("none")),
                    head(&part.data)
                );
                self.report.problem(FindingCode::PartIgnored, detail);
            }
        }
    }

    /// Uses the text parts of a form as its fields, if a maker knows their names. A document that no maker knows is a
    /// field too, as in a form whose `data` is JSON.
    pub(super) fn take_values(&mut self) {
        let named = std::mem::take(&mut self.named);
        let is_known = |document: &Document| self.report.reads(document);
        if named.len() != self.report.documents.len() || self.report.documents.iter().any(is_known) {
            return;
        }
        let mut fields = self.report.values.clone();
        for (name, index) in &named {
            if let Some(document) = self.report.documents.get(*index) {
                add(&mut fields, &cut(name), document.value.clone());
            }
        }
        let value = Value::Object(fields);
        if self.report.knows(&value, true) {
            self.json = true;
            self.report.values.clear();
            self.report.documents.clear();
            self.report.documents.push(Document { value, form: true });
        }
    }

    /// Converts a body of plain text, if a maker knows its words.
    pub(super) fn words(&mut self) -> bool {
        let bytes = self.body.bytes.get(..MAX_VALUE_BYTES).unwrap_or(&self.body.bytes);
        let text = charset::read(bytes, None).text;
        let words: Vec<Value> =
            text.split_whitespace().take(MAX_WORDS).map(|word| cut(word).into()).collect();
        let value = serde_json::json!({ "@words": words, "@text": text });
        let known = self.report.knows(&value, false);
        if known {
            self.json = true;
            self.report.documents.push(Document { value, form: false });
        }
        known
    }

    /// Converts XML or lines of fields, if a maker recognises them.
    pub(super) fn tree(&mut self, bytes: &Bytes, charset: Option<&str>) -> bool {
        if sniff(bytes) != SniffedType::Other || bytes.is_empty() || self.values >= json_value::MAX_VALUES {
            return false;
        }
        let is_xml = is_markup(bytes) || bytes.iter().take(4).any(|byte| *byte == 0);
        let (tree, encoding) = if is_xml {
            (xml::read(bytes, charset), None)
        } else {
            let text = charset::read(bytes, charset);
            (lines::read(&text.text), text.repaired)
        };
        let Some(mut tree) = tree else { return false };
        let mut known: Vec<Value> = match tree.value {
            Value::Array(list) => list,
            single => vec![single],
        };
        if known.len() > MAX_RECORDS {
            known.truncate(MAX_RECORDS);
            note(&mut tree.repairs, CUT);
        }
        let (mut known, others): (Vec<Value>, Vec<Value>) =
            known.into_iter().partition(|value| self.report.knows(value, false));
        let readable = |value: &Value| {
            if is_xml { has_members(value) } else { tree.repairs.is_empty() && 2 <= count(value) }
        };
        self.others.extend(others.into_iter().filter(readable).take(MAX_OTHERS));
        if known.is_empty() {
            return false;
        }
        (self.json, self.tree) = (true, true);
        if let Some(encoding) = encoding {
            self.report.problem(FindingCode::CharsetRepaired, format!("the text was read as {encoding}"));
        }
        if !tree.repairs.is_empty() {
            self.report.problem(FindingCode::JsonRepaired, tree.repairs.join("; "));
        }
        self.report.documents.extend(known.drain(..).map(|value| Document { value, form: false }));
        true
    }
}

/// Returns whether a text begins as XML does; a byte order mark and blanks may precede it.
pub(super) fn is_markup(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0) == Some(&b'<')
}

/// Returns whether a document is an element with others in it.
fn has_members(value: &Value) -> bool {
    value.as_object().is_some_and(|root| root.values().any(Value::is_object))
}

/// Number of members that a document has.
fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}
