//! Explanation of a mapping: the value each pointer found in a document, and the pointers that found nothing.

use serde_json::Value;

use super::{Entry, EntryKind};
use crate::config::PointerList;
use crate::config::mapping::Mapping;
use crate::config::mapping::file::Shape;
use crate::decode::maker::fields::text;
use crate::decode::report::Document;

/// Maximum characters of a value that are shown.
const MAX_SHOWN: usize = 60;

/// Result of a mapping for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The name of the mapping.
    pub mapping: String,
    /// Set if it recognises the document.
    pub recognised: bool,
    /// Its pointers in the order of the file.
    pub lines: Vec<Looked>,
    /// Kind of the first alarm, and how it was found.
    pub kind: String,
}

/// A pointer and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The key of the mapping file.
    pub key: String,
    /// The pointer.
    pub pointer: String,
    /// Value found; `None` if there is none.
    pub found: Option<String>,
}

impl Mapping {
    /// Explains the result for a document.
    pub(crate) fn explain(&self, document: &Document, headers: &Value) -> Explanation {
        let (mut value, form) = (document.value.clone(), document.form);
        self.scrub(&mut value);
        let recognised = self.recognises(&value, form, headers);
        let (own, root) = self.first(&value);
        let members = self.members_of(root);
        let entry = Entry { own: members.first().unwrap_or(own), root, headers };
        let top = Entry { own: &value, root: &value, headers };
        let mut lines = Vec::new();
        for shape in &self.recognise {
            shape_lines(shape, top, &mut lines);
        }
        evaluate("root", &self.root, top, &mut lines);
        evaluate("alarms", &self.alarms, Entry { own: root, root, headers }, &mut lines);
        evaluate("members", &self.members, Entry { own: root, root, headers }, &mut lines);
        for (key, pointers) in self.lists() {
            evaluate(key, pointers, entry, &mut lines);
        }
        evaluate("regions", &self.regions, entry, &mut lines);
        for (name, detail) in &self.details {
            evaluate(&format!("details.{name}"), detail.pointers(), entry, &mut lines);
        }
        for picture in &self.pictures {
            evaluate("pictures", std::slice::from_ref(&picture.at), entry, &mut lines);
        }
        Explanation { mapping: self.name.clone(), recognised, lines, kind: kind_text(&self.kind_of(entry)) }
    }

    /// All lists of pointers that are read in an alarm, by their keys.
    pub(super) fn lists(&self) -> Vec<(&'static str, &PointerList)> {
        let device = &self.device;
        let mut all = vec![
            ("kind", &self.kind),
            ("code", &self.code),
            ("state.at", &self.state.at),
            ("time", &self.time),
            ("count", &self.count),
            ("device.mac", &device.mac),
            ("device.id", &device.id),
            ("device.name", &device.name),
            ("device.ip", &device.ip),
            ("device.channel", &device.channel),
            ("device.channel_name", &device.channel_name),
            ("device.model", &device.model),
        ];
        all.extend(self.object.as_ref().map(|object| ("object.at", &object.at)));
        all
    }
}

/// Evaluates each pointer.
fn evaluate(key: &str, pointers: &[String], entry: Entry<'_>, lines: &mut Vec<Looked>) {
    lines.extend(pointers.iter().map(|pointer| Looked {
        key: key.to_owned(),
        pointer: pointer.clone(),
        found: entry.at(std::slice::from_ref(pointer)).map(shown),
    }));
}

/// The pointers of a shape.
fn shape_lines(shape: &Shape, entry: Entry<'_>, lines: &mut Vec<Looked>) {
    evaluate("recognise.has", &shape.has, entry, lines);
    evaluate("recognise.any", &shape.any, entry, lines);
    let is: Vec<String> = shape.is.keys().cloned().collect();
    evaluate("recognise.is", &is, entry, lines);
}

/// A value, short.
pub(crate) fn shown(value: &Value) -> String {
    let whole = match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => {
            format!("a section with {}", map.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
        other => text(other).map_or_else(|| other.to_string(), |text| format!("{text:?}")),
    };
    if whole.chars().count() <= MAX_SHOWN {
        return whole;
    }
    whole.chars().take(MAX_SHOWN).chain(['…']).collect()
}

/// Describes how a kind was found.
fn kind_text(kind: &EntryKind) -> String {
    let word = match &kind.code {
        Some(code) => format!("{:?} with the code {code:?}", kind.raw),
        None if kind.raw.is_empty() => "no word for the kind".into(),
        None => format!("{:?}", kind.raw),
    };
    format!("{word} is {}", kind.event)
}
