//! Members of a JSON object, as devices write them: keys in any case, numbers as strings, strings as numbers.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

/// The longest name kept, in characters.
const LONGEST_NAME: usize = 128;
/// The most of an alarm's `extra` that is kept, in bytes of JSON. What is published is cut further.
const EXTRA: usize = 16 << 10;

/// The members of an object that were not taken yet, in their order; read in place, since most are only looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields<'v>(Vec<(Cow<'v, str>, Cow<'v, Value>)>);

impl<'v> Fields<'v> {
    /// The members of a value; of anything but an object, one member `value`.
    pub(super) fn of(value: &'v Value) -> Self {
        match value {
            Value::Object(map) => Self(members(map).collect()),
            other => Self(vec![("value".into(), Cow::Borrowed(other))]),
        }
    }

    /// The members of an object but this one, in any case: its list of entries.
    pub(super) fn without(value: &'v Value, key: &str) -> Self {
        let members = value.as_object().into_iter().flat_map(members);
        Self(members.filter(|(name, _)| !name.eq_ignore_ascii_case(key)).collect())
    }

    /// Takes out the first of these members that is there.
    pub(super) fn take(&mut self, keys: &[&str]) -> Option<Cow<'v, Value>> {
        let found = keys.iter().find_map(|key| {
            let exact = self.0.iter().position(|(name, _)| name == key);
            exact.or_else(|| self.0.iter().position(|(name, _)| name.eq_ignore_ascii_case(key)))
        })?;
        Some(self.0.remove(found).1)
    }

    /// Takes out a member that is a text, if it says something.
    pub(super) fn text(&mut self, keys: &[&str]) -> Option<String> {
        self.take(keys).as_deref().and_then(text)
    }

    /// Takes out a member that is a name, at most 128 characters.
    pub(super) fn name(&mut self, keys: &[&str]) -> Option<String> {
        self.text(keys).map(|name| cut(&name))
    }

    /// Takes out a member that is a whole number, written as one or as a string.
    pub(super) fn number(&mut self, keys: &[&str]) -> Option<u32> {
        self.take(keys).as_deref().and_then(number)
    }

    /// Puts a member back, or adds one.
    pub(super) fn put(&mut self, key: &'v str, value: Value) {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.into(), Cow::Owned(value)));
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left, as it is.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// What is left, under what is left of an entry, within the bound; and whether something was left out.
    pub(super) fn extra(&self, entry: &Self) -> (Map<String, Value>, bool) {
        let mut room = EXTRA;
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

/// The key as the object spells it.
fn find<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m str> {
    let exact = map.get_key_value(key).map(|(key, _)| key.as_str());
    exact.or_else(|| map.keys().map(String::as_str).find(|candidate| candidate.eq_ignore_ascii_case(key)))
}

/// A member of an object, with its key in any case.
pub(super) fn member<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let map = value.as_object()?;
    map.get(find(map, key)?)
}

/// A list's items; anything else is a list of one, and `null` is an empty one.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        other => std::slice::from_ref(other),
    }
}

/// The text of a value that is one; blanks and NULs around it do not count.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A whole number, written as one or as a string.
pub(super) fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    }
}

/// The first 128 characters.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

/// About how many bytes of JSON a value is; counting stops when there are more than `most`.
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
