//! Mapping files: a maker's format as data.
//!
//! The types in [`mod@file`] define the format: the JSON Schema ([`schema()`]) is made from them, and the reader
//! checks a file against that schema, so that every mistake is found at once, with its line.

pub mod built_in;
pub mod file;
mod notes;
pub mod pointer;
pub mod read;
mod shape;
mod webhooks;
mod words;

pub use built_in::{BUILT_IN, maker_of, vendors};
pub use file::Mapping;
pub use pointer::PointerList;
pub use read::{read, read_files};
pub(super) use webhooks::resolve;
pub use words::NO_ALARM;

#[cfg(test)]
mod tests;

/// The JSON Schema of a mapping file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Mapping);
    schema.insert("title".into(), "alarmbus mapping file".into());
    schema.insert("required".into(), serde_json::json!(["name"]));
    schema.to_value()
}
