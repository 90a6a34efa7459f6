//! Details of the detected object, under the same names for all makers.

use serde_json::{Map, Value};

use super::Entry;
use crate::config::mapping::file::{Detail, DetailMore, Mapping};
use crate::decode::maker::fields::{cut, text};
use crate::decode::maker::words::same;

impl Detail {
    /// Pointers to it.
    pub(super) fn pointers(&self) -> &[String] {
        match self {
            Self::At(pointers) => pointers,
            Self::More(more) => &more.at,
        }
    }
}

impl Mapping {
    /// The details of an entry.
    pub(super) fn details_of(&self, entry: Entry<'_>, event: &str, code: Option<&str>) -> Map<String, Value> {
        let mut details = Map::new();
        for (name, detail) in &self.details {
            let found = match detail {
                Detail::At(pointers) => entry.values(pointers).find_map(plain),
                Detail::More(more) => more.found(entry, event),
            };
            if let Some(value) = found {
                details.insert(name.clone(), value);
            }
        }
        if let Some(code) = code {
            details.insert("code".into(), code.into());
        }
        details
    }
}

impl DetailMore {
    /// The detail of an entry.
    fn found(&self, entry: Entry<'_>, event: &str) -> Option<Value> {
        if !self.events.is_empty() && !self.events.iter().any(|slug| slug == event) {
            return None;
        }
        let read = entry.values(&self.at).find_map(|value| changed(self, value));
        let exists = || {
            let mut words = self.exists.iter().filter(|(pointer, _)| entry.has(pointer));
            words.next().map(|(_, word)| word.clone().into())
        };
        // An empty value is looked up as the empty word where no pointer has one that is not.
        let empty = || entry.at(&self.at).and_then(|_| self.words.get("")).map(|word| replaced(word));
        read.or_else(exists).or_else(empty)
    }
}

/// A word of a mapping file as a detail.
fn replaced(word: &str) -> Value {
    match word {
        "" => Value::Null,
        "true" => true.into(),
        word => word.into(),
    }
}

/// A value as a detail: a text, a number or a boolean; of a list, the first.
fn plain(value: &Value) -> Option<Value> {
    match value {
        Value::Array(list) => list.first().and_then(plain),
        Value::Object(map) => map.get("#text").and_then(plain),
        Value::Null => None,
        Value::String(_) => text(value).map(|text| cut(&text).into()),
        Value::Number(_) | Value::Bool(_) => Some(value.clone()),
    }
}

/// A value as a detail, converted as the mapping requires.
fn changed(more: &DetailMore, value: &Value) -> Option<Value> {
    let value = plain(value)?;
    let word = text(&value)?;
    if let Some((_, replacement)) = more.words.iter().find(|(key, _)| same(key, &word)) {
        return Some(replaced(replacement));
    }
    if more.only {
        return None;
    }
    if !more.number {
        return Some(value);
    }
    let whole = word.parse::<i64>().ok().and_then(|number| number.checked_add(more.add));
    whole
        .map(Value::from)
        .or_else(|| word.parse::<f64>().ok().filter(|it| it.is_finite()).map(Value::from))
        .or(Some(value))
}
