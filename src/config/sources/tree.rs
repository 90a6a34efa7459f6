//! The values that were given, of all sources in one tree. The tag of each value leads to the place it was given at.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::config::keypath::KeyPath;
use crate::config::mistake::Origin;

/// Values with their places.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// The values.
    pub(crate) dict: Dict,
    /// The place of each tag.
    places: BTreeMap<Tag, Origin>,
}

impl Tree {
    /// A new tag for values that are given at a place.
    pub(crate) fn tag(&mut self, place: Origin) -> Tag {
        // Figment makes tags only for providers.
        let tagged = Figment::from(("value", true)).find_value("value");
        let tag = tagged.map_or(Tag::Default, |value| value.tag());
        self.places.insert(tag, place);
        tag
    }

    /// Sets a value over what is there, with the sections above it.
    pub(crate) fn set(&mut self, path: &KeyPath, value: Value) {
        let tag = value.tag();
        let section = |value, step: &String| Value::Dict(tag, Dict::from([(step.clone(), value)]));
        if let Value::Dict(_, higher) = path.steps().iter().rev().fold(value, section) {
            merge(&mut self.dict, higher);
        }
    }

    /// The value at a path.
    pub(crate) fn find(&self, path: &KeyPath) -> Option<&Value> {
        let (first, rest) = path.steps().split_first()?;
        rest.iter().try_fold(self.dict.get(first)?, |value, step| match value {
            Value::Dict(_, dict) => dict.get(step),
            Value::Array(_, list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Place of a path, or of the nearest section above it.
    pub(crate) fn place(&self, path: &KeyPath) -> Option<&Origin> {
        let here = self.find(path).and_then(|value| self.places.get(&value.tag()));
        here.or_else(|| self.place(&path.parent()?))
    }

    /// The place of a value that was given.
    pub(crate) fn given(&self, path: &KeyPath) -> Option<&Origin> {
        self.find(path).and_then(|_| self.place(path))
    }

    /// Removes a value. Returns `false` if there was none.
    pub(crate) fn remove(&mut self, path: &KeyPath) -> bool {
        let Some((last, sections)) = path.steps().split_last() else { return false };
        let Some((first, rest)) = sections.split_first() else { return self.dict.remove(last).is_some() };
        let top = self.dict.get_mut(first);
        let holder = rest.iter().fold(top, |value, step| match value? {
            Value::Dict(_, dict) => dict.get_mut(step),
            Value::Array(_, list) => list.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        });
        match (holder, last.parse::<usize>()) {
            (Some(Value::Dict(_, dict)), _) => dict.remove(last).is_some(),
            (Some(Value::Array(_, list)), Ok(index)) if index < list.len() => {
                list.remove(index);
                true
            }
            _ => false,
        }
    }
}

/// Merges values over others. Figment would do it, and give all of them the tag of one provider.
fn merge(lower: &mut Dict, higher: Dict) {
    for (key, value) in higher {
        match (lower.get_mut(&key), value) {
            (Some(Value::Dict(tag, below)), Value::Dict(new, above)) => {
                *tag = new;
                merge(below, above);
            }
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

impl Provider for &Tree {
    fn metadata(&self) -> Metadata {
        Metadata::named("configuration")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
