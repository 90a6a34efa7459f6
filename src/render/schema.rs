//! The JSON Schema of what is published. (Stands in until the renderer is merged.)

use serde_json::Value;

/// The schema.
#[must_use]
pub fn schema() -> Value {
    serde_json::json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" })
}
