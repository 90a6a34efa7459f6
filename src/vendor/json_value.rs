//! One JSON document, within bounds on its depth and its values; of a key that stands twice, no events are lost.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

/// Values of one document that are kept; a hostile body could make a hundred bytes of memory of each of its own.
pub(super) const MOST_VALUES: usize = 400_000;
/// Deeper than this, values are passed over.
const DEEPEST: usize = 48;
/// Lists that are joined when their key stands twice: dropping one would lose events.
const JOINED: [&str; 2] = ["event_list", "messages"];

/// The document a text begins with, and its length in bytes.
pub(super) fn document(text: &str) -> serde_json::Result<(Document, usize)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Document>();
    let document = stream.next().unwrap_or_else(|| Err(de::Error::custom("no document")))?;
    Ok((document, stream.byte_offset()))
}

/// A document, within bounds.
pub(super) struct Document {
    /// What is kept of it.
    pub(super) value: Value,
    /// How many values that is.
    pub(super) values: usize,
    /// Something was not kept.
    pub(super) cut: bool,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Budget { left: Cell::new(MOST_VALUES), cut: Cell::new(false) };
        let value = Bounded { budget: &budget, depth: 0 }.deserialize(deserializer)?;
        Ok(Self { value, values: MOST_VALUES - budget.left.get(), cut: budget.cut.get() })
    }
}

/// What may still be kept of a document.
struct Budget {
    left: Cell<usize>,
    cut: Cell<bool>,
}

/// Reads one value, and nothing of it that is over the bounds.
#[derive(Clone, Copy)]
struct Bounded<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Bounded<'_> {
    /// The reader of a value inside this one.
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Whether nothing more is kept.
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

/// Adds a member: of two with one key the last counts, but lists of events are joined.
fn put(map: &mut Map<String, Value>, key: String, value: Value) {
    match (map.get_mut(&key), value) {
        (Some(Value::Array(kept)), Value::Array(more)) if JOINED.contains(&key.as_str()) => kept.extend(more),
        (_, value) => {
            map.insert(key, value);
        }
    }
}
