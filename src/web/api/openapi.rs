//! `/api/v1/openapi.json`: parameters, bodies and answers are the types of the handlers.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{BASE, ROUTES, Route};
use crate::web::{ApiQuery, JsonBody, Problem, SecretDisplay, Web};

/// An operation while it is described.
pub(crate) struct Operation<'a> {
    /// Makes the schemas that operations share.
    pub(super) generator: &'a mut SchemaGenerator,
    parameters: Vec<Value>,
    body: Option<Schema>,
    answer: Value,
}

impl Operation<'_> {
    /// Sets media type and schema of the answer.
    pub(super) fn answer(&mut self, media: &str, schema: &Schema) {
        self.answer = json!({media: {"schema": schema}});
    }

    /// Adds each field of a type as a parameter.
    fn parameters<T: JsonSchema>(&mut self, place: &str) {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, mut schema) in fields {
            let mut meaning = Value::Null;
            if let Some(schema) = schema.as_object_mut() {
                meaning = schema.remove("description").unwrap_or_default();
                // A parameter is left out, and never null.
                if let Some([kind, _]) = schema.get("type").and_then(Value::as_array).map(Vec::as_slice) {
                    let kind = kind.clone();
                    schema.insert("type".into(), kind);
                }
            }
            let required = place == "path";
            self.parameters.push(
                json!({"in": place, "name": name, "required": required, "description": meaning, "schema": schema}),
            );
        }
    }
}

/// Argument of a handler. What is no parameter or body of the API is not described.
pub(crate) trait Input {
    /// Adds it to the operation.
    fn describe(_: &mut Operation<'_>) {}
}

impl Input for State<Web> {}
impl Input for HeaderMap {}
impl Input for Bytes {}
impl Input for SecretDisplay {}

impl<T: JsonSchema> Input for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<T>("path");
    }
}

impl<T: JsonSchema> Input for ApiQuery<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameters::<T>("query");
    }
}

impl<T: JsonSchema> Input for JsonBody<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.body = Some(operation.generator.subschema_for::<T>());
    }
}

/// Answer of a handler.
pub(crate) trait Output {
    /// Adds it to the operation.
    fn describe(operation: &mut Operation<'_>);
}

impl<T: JsonSchema> Output for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.generator.subschema_for::<T>();
        operation.answer("application/json", &schema);
    }
}

impl<T> Output for Sse<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer("text/event-stream", &json_schema!({"type": "string"}));
    }
}

impl<T: Output> Output for Result<T, Problem> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

/// A handler with arguments and an answer that can be described.
pub(crate) trait Described<Arguments> {
    /// Adds them to the operation.
    fn describe(operation: &mut Operation<'_>);
}

/// Describes handlers with these arguments.
macro_rules! described {
    ($($input:ident)+) => {
        impl<F, Answer, $($input),+> Described<($($input,)+)> for F
        where
            F: Fn($($input),+) -> Answer,
            Answer: Future<Output: Output>,
            $($input: Input,)+
        {
            fn describe(operation: &mut Operation<'_>) {
                $($input::describe(operation);)+
                Answer::Output::describe(operation);
            }
        }
    };
}

described! { A }
described! { A B }
described! { A B C }

/// Describes the operation of a handler.
pub(super) fn described<Arguments, H: Described<Arguments>>(_: &H, operation: &mut Operation<'_>) {
    H::describe(operation);
}

/// Answers with the document.
pub(super) async fn document(State(web): State<Web>) -> Json<Value> {
    Json(describe(&web.bridge.schema()))
}

/// Answers with the AsyncAPI document.
pub(super) async fn topics(State(web): State<Web>) -> Json<Value> {
    Json(web.bridge.asyncapi())
}

/// The document; `published` is the schema of what is published, whose definitions are included.
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
            "description": "Alarms, devices, requests and settings of a bridge. Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// Description of one operation.
fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = Operation { generator, parameters: Vec::new(), body: None, answer: Value::Null };
    (route.describe)(&mut operation);
    let Operation { parameters, body, answer, .. } = operation;
    let problem =
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem_document"}}});
    let mut described = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": answer},
            "default": {"description": "Not done, and why.", "content": problem},
        },
    });
    if let (Some(body), Some(described)) = (body, described.as_object_mut()) {
        described.insert("requestBody".into(), json!({"content": {"application/json": {"schema": body}}}));
    }
    described
}

/// Name for generated clients: `post_devices_source_rename`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.method.to_owned(), |id, word| format!("{id}_{word}"))
}

/// Transform that turns references into `$defs` into references into the components.
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
    fn every_operation_has_a_summary_and_declares_the_parameters_of_its_path_and_no_other() {
        let document = describe(&json!({"$defs": {}}));
        for route in ROUTES {
            let operation = &document["paths"][format!("{BASE}{}", route.path)][route.method];
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{}", route.path);
            let declared: Vec<String> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .inspect(|of| assert!(of["description"].is_string(), "{}: {of}", route.path))
                .filter(|of| of["in"] == "path")
                .map(|of| format!("{{{}}}", of["name"].as_str().unwrap()))
                .collect();
            let named: Vec<&str> = route.path.split('/').filter(|part| part.starts_with('{')).collect();
            assert_eq!(declared, named, "{}", route.path);
        }
    }
}
