//! Input and output of tests of the whole bridge: reports as devices write them, pictures, and the JSON Schema of
//! published documents.

use std::process::Command;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The camera of these reports, as a topic level.
pub(crate) const CAMERA: &str = "98ba5f8b1003";

/// A report of the enhanced camera format of one kind, with two objects.
pub(crate) fn report(event_type: &str) -> Value {
    report_of("98-ba-5f-8b-10-03", event_type)
}

/// The same report of another camera.
pub(crate) fn report_of(mac: &str, event_type: &str) -> Value {
    let box_of = |x: u32| json!({"x": x, "y": 4722, "height": 5278, "width": 1797});
    json!({
        "ip": "192.0.2.101", "mac": mac, "protocol": "HTTP", "device_name": "InSight S445 1.0_1003",
        "event_list": [{
            "camera": "1", "dateTime": "2026-10-05 16:25:31", "event_type": event_type,
            "extra_text": [{"region_id": [1], "obj_rect_info": [box_of(2109), box_of(4062)], "obj_num": 2}],
        }],
    })
}

/// A small picture whose bytes depend on `shade`.
pub(crate) fn jpeg(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
    encoder
        .encode(&[shade; 32 * 16], 32, 16, jpeg_encoder::ColorType::Luma)
        .expect("a small picture can be encoded");
    bytes
}

/// SHA-256 in hexadecimal, as in documents.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Validates a document against the definition of its kind in the output of `alarmbus schema`.
#[track_caller]
pub(crate) fn assert_valid(kind: &str, document: &Value) {
    let mut schema = schema().clone();
    assert!(schema["$defs"][kind].is_object(), "the schema has no {kind}");
    let top = schema.as_object_mut().expect("a schema is an object");
    top.remove("oneOf");
    top.insert("$ref".into(), format!("#/$defs/{kind}").into());
    let validator: Validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let mistakes: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(mistakes.is_empty(), "no valid {kind}: {mistakes:#?}\n{document:#}");
}

/// Output of `alarmbus schema`.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_alarmbus")).arg("schema").output();
        serde_json::from_slice(&output.expect("the binary runs").stdout).expect("the schema is JSON")
    })
}
