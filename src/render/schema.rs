//! JSON Schema of all published JSON, derived from the structs that are serialised.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::payload::{ActivityJson, AlarmJson, BridgeHealth, BridgeInfo, DeviceStatus};

/// One document (draft 2020-12) with a definition for each kind of message: `alarm` (also `last` and
/// `snapshot_info`), `activity`, `device`, `bridge_info`, `bridge_health`. A message fits exactly one of them.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(Closed).for_serialize();
    let mut generator = settings.into_generator();
    let kinds = kinds(&mut generator);
    let definitions: Map<String, Value> = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "alarmbus messages",
        "description": "Every JSON document that alarmbus publishes. All keys are always present, null where unknown.",
        "oneOf": kinds,
        "$defs": definitions,
    })
}

/// References to the definitions of the documents.
fn kinds(generator: &mut SchemaGenerator) -> Vec<Schema> {
    vec![
        generator.subschema_for::<AlarmJson<'_>>(),
        generator.subschema_for::<ActivityJson<'_>>(),
        generator.subschema_for::<DeviceStatus>(),
        generator.subschema_for::<BridgeInfo>(),
        generator.subschema_for::<BridgeHealth>(),
    ]
}

/// Makes all keys of every struct required and forbids other keys.
#[derive(Debug, Clone)]
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let keys = schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().map(Value::String).collect::<Vec<_>>());
        if let Some(keys) = keys {
            schema.insert("required".into(), keys.into());
            schema.insert("additionalProperties".into(), false.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::schema;

    #[test]
    fn every_document_has_a_definition_and_every_struct_is_closed() {
        let schema = schema();
        for name in ["alarm", "activity", "device", "bridge_info", "bridge_health"] {
            assert!(schema["$defs"][name]["properties"].is_object(), "{name} is missing: {schema:#}");
        }
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            if let Some(properties) = definition["properties"].as_object() {
                let required = definition["required"].as_array().unwrap();
                assert_eq!(required.len(), properties.len(), "{name}");
                assert_eq!(definition["additionalProperties"], Value::Bool(false), "{name}");
            }
        }
    }

    #[test]
    fn every_field_is_described() {
        for (name, definition) in schema()["$defs"].as_object().unwrap() {
            for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
                let described = schema["description"].is_string() || schema["$ref"].is_string();
                assert!(described, "{name}.{field}: {schema}");
            }
        }
    }
}
