//! Fields of an entry that no pointer reads.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Entry;
use super::find::locate;
use crate::config::mapping::file::Mapping;
use crate::decode::maker::fields::Fields;
use crate::decode::maker::generic::take;

impl Mapping {
    /// Returns the fields of an entry that no pointer reads, within the limit, and whether some were left out.
    pub(super) fn rest_of(&self, entry: Entry<'_>) -> (Map<String, Value>, bool) {
        // The model is at most a part of the name, so it stays.
        let lists = self.lists().into_iter().filter(|(key, _)| *key != "device.model");
        let details = self.details.values().flat_map(|detail| detail.pointers());
        let mut read: BTreeSet<String> = BTreeSet::new();
        for pointer in lists.flat_map(|(_, pointers)| pointers).chain(details) {
            read.extend(locate(entry.own, pointer));
        }
        let mut rest = entry.own.clone();
        // Later places first, so that earlier ones stay where they are.
        for path in read.iter().rev() {
            take(&mut rest, path);
        }
        tidy(&mut rest);
        Fields::default().extra(&Fields::of(&rest))
    }
}

/// Removes empty values, and turns elements whose attributes only name their type into text.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            if let Some(text) = map.get_mut("#text").map(Value::take) {
                *value = text;
                return;
            }
            map.values_mut().for_each(tidy);
            map.retain(|_, value| !is_empty(value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns whether a value is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.keys().all(|key| key.starts_with('@')),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
