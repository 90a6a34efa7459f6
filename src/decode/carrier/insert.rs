//! Insertion of a value at a dotted path: `Events[0].Object.Text`.

use serde_json::{Map, Value};

use super::{DEEPEST, add};

/// Smallest index that is refused, since the entries before it would have to be created.
const MAX_ENTRIES: usize = 1_024;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// Reason why a value cannot be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InsertError {
    /// The path is too deep, an index too big, or the tree too large.
    Limit,
    /// The path goes through a value.
    Conflict,
}

/// Returns whether a text is a path: names joined by dots, each with indexes in brackets or none.
pub(super) fn is_path(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(is_level)
}

/// Returns whether a text is a name with or without indexes.
fn is_level(level: &str) -> bool {
    let (name, indexes) = level.split_at(level.find('[').unwrap_or(level.len()));
    let named = name.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
        && name.chars().all(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '-'));
    let mut rest = indexes;
    while let Some(tail) = rest.strip_prefix('[') {
        let Some((digits, tail)) = tail.split_once(']') else { return false };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        rest = tail;
    }
    named && rest.is_empty()
}

/// Inserts a value at a path; a path with a value already becomes a list. `left` is the number of values that may
/// still be created.
pub(super) fn insert(
    map: &mut Map<String, Value>,
    path: &str,
    value: Value,
    left: &mut usize,
) -> Result<(), InsertError> {
    if !path.contains(['.', '[']) {
        *left = left.checked_sub(1).ok_or(InsertError::Limit)?;
        add(map, path, value);
        return Ok(());
    }
    let steps = steps(path)?;
    let Some((Step::Key(first), rest)) = steps.split_first() else { return Err(InsertError::Limit) };
    let mut place = map.entry(*first).or_insert(Value::Null);
    for step in rest {
        place = entry(place, *step, left)?;
    }
    *left = left.checked_sub(1).ok_or(InsertError::Limit)?;
    match place {
        Value::Null => *place = value,
        Value::Object(_) => return Err(InsertError::Conflict),
        Value::Array(list) => list.push(value),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let list = vec![place.take(), value];
            *place = list.into();
        }
    }
    Ok(())
}

/// The steps of a path.
fn steps(path: &str) -> Result<Vec<Step<'_>>, InsertError> {
    let mut steps = Vec::new();
    for level in path.split('.') {
        let mut parts = level.split('[');
        steps.push(Step::Key(parts.next().unwrap_or_default()));
        for index in parts {
            let index = index.trim_end_matches(']').parse().ok().filter(|index| *index < MAX_ENTRIES);
            steps.push(Step::Index(index.ok_or(InsertError::Limit)?));
        }
        if steps.len() > DEEPEST {
            return Err(InsertError::Limit);
        }
    }
    Ok(steps)
}

/// The value at the next step, created if it is absent.
fn entry<'v>(place: &'v mut Value, step: Step<'_>, left: &mut usize) -> Result<&'v mut Value, InsertError> {
    if place.is_null() {
        *left = left.checked_sub(1).ok_or(InsertError::Limit)?;
        *place = match step {
            Step::Key(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    match (place, step) {
        (Value::Object(map), Step::Key(key)) => Ok(map.entry(key).or_insert(Value::Null)),
        (Value::Array(list), Step::Index(index)) => {
            let missing = (index + 1).saturating_sub(list.len());
            *left = left.checked_sub(missing).ok_or(InsertError::Limit)?;
            list.resize(list.len() + missing, Value::Null);
            list.get_mut(index).ok_or(InsertError::Limit)
        }
        _ => Err(InsertError::Conflict),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{InsertError, insert, is_path};

    #[track_caller]
    fn check(fields: &[(&str, &str)], expected: &Value) {
        let (mut map, mut left) = (Map::new(), 1_000);
        for (path, value) in fields {
            insert(&mut map, path, (*value).into(), &mut left).unwrap();
        }
        assert_eq!(&Value::from(map), expected);
    }

    #[test]
    fn paths_make_objects_and_lists() {
        check(
            &[("A[0].B.C", "1"), ("A[0].B.D", "2"), ("A[1].B.C", "3")],
            &json!({"A": [{"B": {"C": "1", "D": "2"}}, {"B": {"C": "3"}}]}),
        );
        check(&[("A[1][2]", "x")], &json!({"A": [null, [null, null, "x"]]}));
        check(&[("a", "1"), ("a", "2"), ("a", "3")], &json!({"a": ["1", "2", "3"]}));
        check(&[("a.b", "1"), ("a.b", "2")], &json!({"a": {"b": ["1", "2"]}}));
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused = |fields: &[&str], left: usize| {
            let (mut map, mut left) = (Map::new(), left);
            let results = fields.iter().map(|path| insert(&mut map, path, "x".into(), &mut left));
            results.collect::<Vec<_>>().pop().unwrap()
        };
        assert_eq!(refused(&["a[4294967295].b"], 1_000), Err(InsertError::Limit));
        assert_eq!(refused(&["a[99999999999999999999999]"], 1_000), Err(InsertError::Limit));
        assert_eq!(refused(&["a[1023].b"], 1_000), Err(InsertError::Limit));
        assert_eq!(refused(&[&["a"; 200].join(".")], 1_000), Err(InsertError::Limit));
        assert_eq!(refused(&["a", "a.b"], 1_000), Err(InsertError::Conflict));
        assert_eq!(refused(&["a[0]", "a.b"], 1_000), Err(InsertError::Conflict));
        assert_eq!(refused(&["a.b", "a"], 1_000), Ok(()));
    }

    #[test]
    fn paths_and_what_is_none() {
        for path in ["a", "_a-b", "Events[0].EventBaseInfo.Code", "a[0][1].b", "Größe"] {
            assert!(is_path(path), "{path}");
        }
        for text in ["", "1", "a b", "a.", ".a", "a[", "a[]", "a[x]", "a[-1]", "a[0]b", "/9j/4AAQ", "{\"a\""]
        {
            assert!(!is_path(text), "{text}");
        }
    }
}
