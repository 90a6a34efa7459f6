//! Pointers into a document.
//!
//! Written as JSON pointers, with three additions: a key is found in any case; in a list, the first item that has the
//! key is taken; `Item[@Name=State]` is the first item of a list whose member has this value.

use serde_json::Value;

use crate::decode::maker::fields::text;
use crate::decode::maker::words::same;

/// Maximum number of steps of a pointer.
const MAX_STEPS: usize = 32;
/// Maximum number of list items, and of object keys, examined for one step.
const MAX_EXAMINED: usize = 256;

/// Place that a pointer leads to, as a plain JSON pointer; `None` if nothing is there.
pub(crate) fn locate(value: &Value, pointer: &str) -> Option<String> {
    let mut path = String::new();
    let mut at = value;
    for step in pointer.split('/').skip(1).take(MAX_STEPS) {
        at = walk(at, step, &mut path)?;
    }
    (!at.is_null()).then_some(path)
}

/// All values a pointer leads to, through all items of lists.
pub(crate) fn all<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in pointer.split('/').skip(1).take(MAX_STEPS) {
        let items = found.into_iter().flat_map(|value| match value {
            Value::Array(list) if step.parse::<usize>().is_err() => list.as_slice(),
            single => std::slice::from_ref(single),
        });
        found = items
            .take(MAX_EXAMINED)
            .filter_map(|item| walk(item, step, &mut String::new()))
            .filter(|found| !found.is_null() && found.as_array().is_none_or(|list| !list.is_empty()))
            .collect();
    }
    found.into_iter().map(|found| found.get("#text").unwrap_or(found)).collect()
}

/// Follows one step.
fn walk<'v>(value: &'v Value, step: &str, path: &mut String) -> Option<&'v Value> {
    let (key, filter) = match step.split_once('[') {
        Some((key, filter)) => (key, filter.strip_suffix(']').and_then(|filter| filter.split_once('='))),
        None => (step, None),
    };
    let key = &key.replace("~1", "/").replace("~0", "~");
    let mut value = value;
    if let Value::Array(list) = value {
        let fits = |item: &Value| member(item, key).is_some();
        let index = key
            .parse()
            .ok()
            .filter(|index| *index < list.len())
            .or_else(|| list.iter().take(MAX_EXAMINED).position(fits))?;
        path.push_str(&format!("/{index}"));
        value = list.get(index)?;
        if key.parse::<usize>().is_ok() {
            return Some(value);
        }
    }
    let (spelled, found) = member(value, key)?;
    path.push_str(&format!("/{}", spelled.replace('~', "~0").replace('/', "~1")));
    let Some((name, wanted)) = filter else { return Some(found) };
    let fits = |item: &Value| {
        member(item, name).and_then(|(_, value)| text(value)).is_some_and(|text| same(&text, wanted))
    };
    match found {
        Value::Array(list) => {
            let index = list.iter().take(MAX_EXAMINED).position(fits)?;
            path.push_str(&format!("/{index}"));
            list.get(index)
        }
        single => fits(single).then_some(single),
    }
}

/// A member of an object and its key as the object spells it, which may be in another case.
fn member<'v>(value: &'v Value, key: &str) -> Option<(&'v String, &'v Value)> {
    let map = value.as_object()?;
    let in_any_case = || map.iter().take(MAX_EXAMINED).find(|(other, _)| other.eq_ignore_ascii_case(key));
    map.get_key_value(key).or_else(in_any_case)
}

/// Value at a pointer; of an element with attributes, its text.
pub(crate) fn find<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    let found = value.pointer(&locate(value, pointer)?)?;
    Some(found.get("#text").unwrap_or(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{all, find, locate};

    #[test]
    fn pointers_lead_through_lists_and_cases() {
        let value = json!({"A": [{"x": 1}, {"b": {"#text": "t", "@type": "s"}}],
            "Data": {"Item": [{"@Name": "Rule", "@Value": "r"}, {"@Name": "State", "@Value": "true"}]}, "n": null});
        assert_eq!(find(&value, "/a/b"), Some(&json!("t")));
        assert_eq!(locate(&value, "/a/b").as_deref(), Some("/A/1/b"));
        assert_eq!(find(&value, "/A/0/x"), Some(&json!(1)));
        assert_eq!(find(&value, "/Data/Item[@Name=state]/@Value"), Some(&json!("true")));
        assert_eq!((find(&value, "/n"), find(&value, "/A/7"), find(&value, "/A/x/y")), (None, None, None));
        assert_eq!(locate(&value, "").as_deref(), Some(""));
        let many = json!({"a": [{"b": {"c": 1}}, {"b": [{"c": 2}, {"c": 3}]}, {}]});
        assert_eq!(all(&many, "/a/b/c"), [&json!(1), &json!(2), &json!(3)]);
        assert!(all(&many, "/a/x").is_empty());
    }
}
