//! `alarmbus schema`: the JSON Schema of what is published.

use super::{Failure, out};
use crate::render::schema;

/// Prints the schema.
pub(super) fn run() -> Result<(), Failure> {
    out::print_json(&schema::schema())
}
