//! One JSON document, with limits on depth and number of values; if a key is given twice, no events are lost.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

/// Maximum number of values kept of one document; a hostile body could use a hundred bytes of memory for each of its
/// own.
pub(crate) const MAX_VALUES: usize = 400_000;
/// Maximum depth; deeper values are skipped.
const DEEPEST: usize = 48;
/// Lists that are joined when their key is repeated: dropping one would lose events.
const JOINED: [&str; 2] = ["event_list", "messages"];

/// The document a text begins with, and its length in bytes.
pub(crate) fn document(text: &str) -> serde_json::Result<(JsonDocument, usize)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<JsonDocument>();
    let document = stream.next().unwrap_or_else(|| Err(de::Error::custom("no document")))?;
    Ok((document, stream.byte_offset()))
}

/// A document, within bounds.
pub(crate) struct JsonDocument {
    /// The part of the document that is kept.
    pub(crate) value: Value,
    /// Number of values kept.
    pub(crate) values: usize,
    /// Set if something was left out.
    pub(crate) cut: bool,
}

impl<'de> Deserialize<'de> for JsonDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Budget { left: Cell::new(MAX_VALUES), cut: Cell::new(false) };
        let value = Bounded { budget: &budget, depth: 0 }.deserialize(deserializer)?;
        Ok(Self { value, values: MAX_VALUES - budget.left.get(), cut: budget.cut.get() })
    }
}

/// Remaining limits for values of a document.
struct Budget {
    left: Cell<usize>,
    cut: Cell<bool>,
}

/// Deserializer of one value that leaves out what exceeds the limits.
#[derive(Clone, Copy)]
struct Bounded<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Bounded<'_> {
    /// Deserializer of a nested value.
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Returns whether the limits are reached.
    fn is_spent(self) -> bool {
        self.budget.left.get() == 0
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth >= DEEPEST || self.is_spent() {
            self.budget.cut.set(true);
            // Unlike values, what is ignored is read without recursion.
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        self.budget.left.set(self.budget.left.get() - 1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while !self.is_spent() {
            match sequence.next_element_seed(self.inner())? {
                Some(value) => list.push(value),
                None => return Ok(list.into()),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            self.budget.cut.set(true);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while !self.is_spent() {
            let Some(key) = members.next_key::<String>()? else { return Ok(map.into()) };
            let value = members.next_value_seed(self.inner())?;
            put(&mut map, key, value);
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            self.budget.cut.set(true);
        }
        Ok(map.into())
    }
}

/// Adds a member: of a repeated key the last value is kept, but lists of events are joined.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Array(kept)), Value::Array(more)) if JOINED.contains(&key.as_str()) => kept.extend(more),
        (_, value) => {
            map.insert(key, value);
        }
    }
}
