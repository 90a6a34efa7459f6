//! `/api/v1/openapi.json`, made from the table of routes and from the very types that are answered.

use axum::Json;
use axum::extract::State;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use super::{BASE, ROUTES, Route};
use crate::web::{Problem, Web};

/// Answers with the document.
pub(super) async fn document(State(web): State<Web>) -> Json<Value> {
    Json(describe(&web.bridge.schema()))
}

/// The document; `published` is the schema of what is published, whose definitions are taken over.
fn describe(published: &Value) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut generator);
        let path = paths.entry(format!("{BASE}{}", route.path)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.into(), operation);
        }
    }
    let _reference = generator.subschema_for::<Problem>();
    let mut schemas = generator.take_definitions(true);
    let foreign = published.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, mut schema) in foreign {
        if let Ok(schema) = <&mut Schema>::try_from(&mut schema) {
            Moved.transform(schema);
        }
        schemas.entry(name).or_insert(schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "alarmbus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What came, what became of it, and what to do. Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// One operation.
fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = route
        .parameters
        .iter()
        .map(|(place, name, kind, meaning)| {
            json!({"in": place, "name": name, "required": *place == "path", "description": meaning, "schema": {"type": kind}})
        })
        .collect();
    let content = match route.answer {
        Some(schema) => json!({"application/json": {"schema": schema(generator)}}),
        None => json!({"text/event-stream": {"schema": {"type": "string"}}}),
    };
    let problem =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem_document"}}});
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "Not done, and why.", "content": problem},
        },
    });
    if let (Some(body), Some(operation)) = (route.body, operation.as_object_mut()) {
        operation.insert(
            "requestBody".into(),
            json!({"content": {"application/json": {"schema": body(generator)}}}),
        );
    }
    operation
}

/// A name for generated clients: `post_devices_source_rename`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// References into `$defs` become references into the components.
#[derive(Debug, Clone)]
struct Moved;

impl Transform for Moved {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let moved =
            schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/"));
        if let Some(target) = moved.map(|name| format!("#/components/schemas/{name}")) {
            schema.insert("$ref".into(), target.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{BASE, ROUTES, describe};
    use crate::model::testing::held;

    #[test]
    fn the_document_in_the_documentation_is_this_one() {
        held("docs/openapi.json", &format!("{:#}\n", describe(&crate::render::schema())));
    }

    #[test]
    fn every_operation_is_described_and_every_parameter_of_its_path_is_declared() {
        let document = describe(&json!({"$defs": {}}));
        for route in ROUTES {
            let operation = &document["paths"][format!("{BASE}{}", route.path)][route.method];
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{}", route.path);
            for (place, name, ..) in route.parameters.iter().filter(|(place, ..)| *place == "path") {
                assert!(route.path.contains(&format!("{{{name}}}")), "{place} {name} of {}", route.path);
            }
        }
    }
}
