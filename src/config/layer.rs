//! One source of values: a tree, and for each key the place it was given at.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

use super::keypath::KeyPath;
use super::mistake::Origin;

/// The values of one source: the file, the variables or the flags.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// The values.
    pub(super) dict: Dict,
    /// The place of each key, sections included.
    pub(super) places: BTreeMap<KeyPath, Origin>,
}

impl Layer {
    /// The value at a path.
    pub(super) fn find(&self, path: &KeyPath) -> Option<&Value> {
        let (first, rest) = path.steps().split_first()?;
        rest.iter().try_fold(self.dict.get(first)?, |value, step| match value {
            Value::Dict(_, dict) => dict.get(step),
            Value::Array(_, list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Whether it gives a list at or above a path: then it hides whatever lower layers have there.
    pub(super) fn hides(&self, path: &KeyPath) -> bool {
        let mut above = path.clone();
        while let Some(parent) = above.parent() {
            if matches!(self.find(&parent), Some(value) if value.as_dict().is_none()) {
                return true;
            }
            above = parent;
        }
        false
    }

    /// The place of a path, or of the nearest section above it.
    pub(super) fn place(&self, path: &KeyPath) -> Option<&Origin> {
        let mut at = Some(path.clone());
        while let Some(here) = at {
            if let Some(place) = self.places.get(&here) {
                return Some(place);
            }
            at = here.parent();
        }
        None
    }

    /// Sets a value, making the sections above it. `false` when something that is no section is in the way.
    pub(super) fn set(&mut self, path: &KeyPath, value: Value, place: Origin) -> bool {
        let Some((last, sections)) = path.steps().split_last() else { return false };
        let (mut dict, mut at) = (&mut self.dict, KeyPath::default());
        for section in sections {
            at = at.join(section);
            self.places.entry(at.clone()).or_insert_with(|| place.clone());
            let below = dict.entry(section.clone()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
            let Value::Dict(_, next) = below else { return false };
            dict = next;
        }
        dict.insert(last.clone(), value);
        self.places.insert(path.clone(), place);
        true
    }

    /// Takes a value away. `false` when there was none.
    pub(super) fn remove(&mut self, path: &KeyPath) -> bool {
        let Some((last, sections)) = path.steps().split_last() else { return false };
        let Some((first, rest)) = sections.split_first() else { return self.dict.remove(last).is_some() };
        let top = self.dict.get_mut(first);
        let holder = rest.iter().fold(top, |value, step| match value? {
            Value::Dict(_, dict) => dict.get_mut(step),
            Value::Array(_, list) => list.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        });
        match holder {
            Some(Value::Dict(_, dict)) => dict.remove(last).is_some(),
            Some(Value::Array(_, list)) => match last.parse::<usize>() {
                Ok(index) if index < list.len() => {
                    list.remove(index);
                    self.close_gap(path, index);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Moves the places of the elements behind a removed one forward, so that they stay with their values.
    fn close_gap(&mut self, removed: &KeyPath, index: usize) {
        let Some(list) = removed.parent() else { return };
        let depth = list.steps().len();
        let places = std::mem::take(&mut self.places);
        for (path, place) in places {
            let element = path.steps().get(depth).and_then(|step| step.parse::<usize>().ok());
            match element {
                Some(at) if path.starts_with(&list) && at == index => {}
                Some(at) if path.starts_with(&list) && index < at => {
                    let mut steps = path.steps().to_vec();
                    if let Some(step) = steps.get_mut(depth) {
                        *step = (at - 1).to_string();
                    }
                    self.places.insert(KeyPath::of(steps), place);
                }
                _ => {
                    self.places.insert(path, place);
                }
            }
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("configuration")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
