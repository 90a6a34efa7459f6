//! Members of a JSON object as devices write them: keys in any case, numbers as strings, strings as numbers.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

pub(crate) use crate::decode::report::cut;

/// Maximum bytes of JSON of an alarm's `extra` that are kept. When published, it is cut further.
const MAX_EXTRA_BYTES: usize = 16 << 10;

/// Members of an object that were not read yet, in order; borrowed, since most are only read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields<'v>(Vec<(Cow<'v, str>, Cow<'v, Value>)>);

impl<'v> Fields<'v> {
    /// The members of a value; of anything but an object, one member `value`.
    pub(crate) fn of(value: &'v Value) -> Self {
        match value {
            Value::Object(map) => Self(members(map).collect()),
            other => Self(vec![("value".into(), Cow::Borrowed(other))]),
        }
    }

    /// The members of an object but this one, in any case: its list of entries.
    pub(crate) fn without(value: &'v Value, key: &str) -> Self {
        let members = value.as_object().into_iter().flat_map(members);
        Self(members.filter(|(name, _)| !name.eq_ignore_ascii_case(key)).collect())
    }

    /// Removes and returns the first of these members that exists.
    pub(crate) fn take(&mut self, keys: &[&str]) -> Option<Cow<'v, Value>> {
        let found = keys.iter().find_map(|key| {
            let exact = self.0.iter().position(|(name, _)| name == key);
            exact.or_else(|| self.0.iter().position(|(name, _)| name.eq_ignore_ascii_case(key)))
        })?;
        Some(self.0.remove(found).1)
    }

    /// Removes a member that is a text, unless it is empty.
    pub(crate) fn text(&mut self, keys: &[&str]) -> Option<String> {
        self.take(keys).as_deref().and_then(text)
    }

    /// Removes a member that is a name, cut to 128 characters.
    pub(crate) fn name(&mut self, keys: &[&str]) -> Option<String> {
        self.text(keys).map(|name| cut(&name))
    }

    /// Removes a member that is a whole number, written as a number or a string.
    pub(crate) fn number(&mut self, keys: &[&str]) -> Option<u32> {
        self.take(keys).as_deref().and_then(number)
    }

    /// Adds a member, such as one removed before.
    pub(crate) fn put(&mut self, key: &'v str, value: Value) {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.into(), Cow::Owned(value)));
    }

    /// Returns whether no members are left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Members that were not read.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// Members that were not read, merged with those of an entry, within the limit, and whether some were left out.
    pub(crate) fn extra(&self, entry: &Self) -> (Map<String, Value>, bool) {
        let mut room = MAX_EXTRA_BYTES;
        let mut extra = Map::new();
        let mut truncated = false;
        let names = if self.is_empty() { &[][..] } else { &entry.0 };
        let names: HashSet<&str> = names.iter().map(|(name, _)| &**name).collect();
        let outer = self.0.iter().filter(|(name, _)| !names.contains(&**name));
        for (name, value) in entry.0.iter().chain(outer) {
            match name.len().checked_add(size(value, room)).and_then(|size| room.checked_sub(size)) {
                Some(left) => {
                    room = left;
                    extra.insert(name.clone().into_owned(), value.clone().into_owned());
                }
                None => truncated = true,
            }
        }
        (extra, truncated)
    }
}

/// The members of a map.
fn members(map: &Map<String, Value>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, Value>)> {
    map.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(value)))
}

/// Key as the object spells it.
fn find<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m str> {
    let exact = map.get_key_value(key).map(|(key, _)| key.as_str());
    exact.or_else(|| map.keys().map(String::as_str).find(|candidate| candidate.eq_ignore_ascii_case(key)))
}

/// A member of an object, with its key in any case.
pub(crate) fn member<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let map = value.as_object()?;
    map.get(find(map, key)?)
}

/// A list's items; anything else is a list of one, and `null` is an empty one.
pub(crate) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        other => std::slice::from_ref(other),
    }
}

/// The text of a value that is one; blanks and NULs around it do not count.
pub(crate) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A whole number, written as one or as a string.
pub(crate) fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    }
}

/// Approximate bytes of a value as JSON; counting stops above `most`.
fn size(value: &Value, most: usize) -> usize {
    let mut total = 4;
    match value {
        Value::String(text) => total += text.len(),
        Value::Number(_) => total += 8,
        Value::Array(list) => {
            for item in list {
                if total > most {
                    break;
                }
                total += size(item, most - total);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                if total > most {
                    break;
                }
                total += key.len() + 4 + size(item, most - total);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fields, items, member};

    #[test]
    fn keys_in_any_case_and_numbers_in_any_spelling() {
        let document = json!({"MAC": " x\u{0}", "n": "2", "m": 3, "e": "", "f": 1.5, "k": null});
        let mut fields = Fields::of(&document);
        assert_eq!(fields.text(&["mac"]).as_deref(), Some("x"));
        assert_eq!((fields.number(&["N"]), fields.number(&["a", "m"])), (Some(2), Some(3)));
        assert_eq!((fields.text(&["e"]), fields.number(&["f"]), fields.text(&["k"])), (None, None, None));
        assert!(fields.is_empty());
        assert_eq!(member(&json!({"Event_List": 1}), "event_list"), Some(&json!(1)));
        assert_eq!(
            (items(&json!(null)).len(), items(&json!(1)).len(), items(&json!([1, 2])).len()),
            (0, 1, 2)
        );
    }

    #[test]
    fn extra_is_the_entrys_before_the_envelopes_and_bounded() {
        let document = json!({"a": 1, "b": "x".repeat(9_000), "c": "x".repeat(9_000)});
        let (envelope, entry) = (Fields::of(&document), json!({"a": 2}));
        let (extra, truncated) = envelope.extra(&Fields::of(&entry));
        assert_eq!(
            (extra["a"].as_i64(), extra.contains_key("b"), extra.contains_key("c"), truncated),
            (Some(2), true, false, true)
        );
        let entry = json!({"z": "x".repeat(20_000)});
        let (extra, truncated) = envelope.extra(&Fields::of(&entry));
        assert_eq!((extra.contains_key("z"), truncated), (false, true));
    }
}
