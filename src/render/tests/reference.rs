//! `docs/topics.md` and `docs/schema.json`, made from what is really rendered.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::super::testing::{live, settings};
use super::super::{Content, Message, MessagePart, Names, RenderSettings, Renderer, What, schema};
use super::{entry, value};
use crate::config::{Snapshots, Topics};
use crate::model::event::KINDS;
use crate::model::picture::variant::PictureForm;
use crate::model::testing::{ID, ended, held, held_part, person, started};
use crate::model::{ActivityRecord, Record};
use crate::render::LogEntry;

/// The page.
const PAGE: &str = "docs/topics.md";

/// A renderer with everything on.
fn renderer() -> Renderer {
    let snapshots = Snapshots { each: true, ..Snapshots::default() };
    Renderer::new(RenderSettings { snapshots, names: Names::Topics, ..settings() }).unwrap()
}

/// The sample's topic with names in place of the sample's values.
fn named(topic: &str) -> String {
    let (alarm, ended, started) = (person(), ended(), started());
    let ids = [ID, ended.id, started.id];
    let topic = topic.replace(alarm.source.as_str(), "<source>");
    let topic = ids.iter().fold(topic, |topic, id| topic.replace(&id.to_string(), "<id>"));
    topic.replace("/person", "/<event>")
}

/// Payload of a message, as one word.
fn payload(message: &Message) -> String {
    match message.content_type {
        "image/jpeg" => "JPEG".into(),
        "text/plain" => "text".into(),
        _ => {
            let document: Value = serde_json::from_slice(&message.payload).unwrap();
            let known = |key: &str| document.get(key).is_some();
            let name = match () {
                () if known("event_raw") => "alarm",
                () if known("activity_id") => "activity",
                () => return "JSON".into(),
            };
            format!("JSON, [`{name}`](#{name})")
        }
    }
}

/// A row of a table of topics.
fn row(topic: &str, payload: &str, meaning: &str) -> String {
    let subject = topic.replace('/', ".");
    format!("| `{topic}` | `{subject}` | {payload} | {meaning} |\n")
}

/// The head of such a table.
const HEAD: &str = "| MQTT topic | NATS subject | payload | what it is |\n|---|---|---|---|\n";

/// Meaning of a log message.
fn log_meaning(part: MessagePart) -> Option<&'static str> {
    match part {
        MessagePart::Event => Some("every alarm"),
        MessagePart::ActivityStart => Some("the start and the end of an activity, one message each"),
        MessagePart::Picture => Some("every picture, just before its event; only with `snapshots.each`"),
        MessagePart::Variant(PictureForm::Small) => {
            Some("every picture, 320 pixels wide; only with `\"small\"` in `pictures` of the sink")
        }
        MessagePart::Variant(PictureForm::Boxes) => {
            Some("every picture with its boxes drawn; only with `\"boxes\"` in `pictures` of the sink")
        }
        MessagePart::ActivityEnd | MessagePart::Value => None,
    }
}

#[test]
fn the_page_lists_the_topics_of_the_log() {
    let activity = |record: ActivityRecord| LogEntry {
        no: 2,
        record: Record::Activity(Box::new(record)),
        picture: None,
    };
    let entries = [entry(person()), activity(started()), activity(ended())];
    let mut table = HEAD.to_owned();
    let variant = |form| renderer().variant(&person(), form, Bytes::new());
    let variants = [PictureForm::Small, PictureForm::Boxes].map(variant);
    for message in entries.iter().flat_map(|entry| renderer().log(entry, &live())).chain(variants) {
        assert!(!message.retain, "{}", message.topic);
        if let Some(meaning) = log_meaning(message.part) {
            table += &row(&named(&message.topic), &payload(&message), meaning);
        }
    }
    held_part(PAGE, "log", &table);
}

/// Meaning of a value, by its scope: one kind, the device, the bridge.
fn value_meaning(what: What, of_kind: bool) -> Option<&'static str> {
    Some(match (what, of_kind) {
        (What::State, true) => "`ON` while alarms come, `OFF` after the hold; for kinds with a state",
        (What::Count, true) => "how many objects; 0 at the end; for kinds that are counted",
        (What::SnapshotInfo, true) => "the alarm of the picture retained for this kind; sent just before it",
        (What::Snapshot, true) => "the latest picture of this kind, as the device sent it",
        (What::SnapshotInfo, false) => "the alarm of the latest picture of any kind; sent just before it",
        (What::Snapshot, false) => "the latest picture of any kind",
        (What::Last, false) => "the latest alarm",
        (What::Device, false) => {
            "the device: name, address, kind, first and last heard, clock offset, availability"
        }
        // Discovery has its own table; the bridge's values follow in another.
        (What::Discovery | What::Info | What::Health, _) | (What::State | What::Count, false) => return None,
        (What::Last | What::Device, true) => return None,
    })
}

/// Sample content of a value.
fn content(what: What) -> Content {
    let alarm = Arc::new(person());
    match what {
        What::Snapshot => Content::Picture(alarm, Bytes::from_static(b"\xff\xd8\xff")),
        What::SnapshotInfo | What::Last => Content::Alarm(alarm),
        What::State | What::Count => Content::Text("ON".into()),
        What::Device | What::Info | What::Health | What::Discovery => Content::Json("{}".into()),
    }
}

#[test]
fn the_page_lists_the_current_values() {
    let mut table = HEAD.to_owned();
    for (what, event) in What::ALL.into_iter().flat_map(|what| [(what, Some("person")), (what, None)]) {
        let Some(meaning) = value_meaning(what, event.is_some()) else { continue };
        let message = renderer().value(&value(what, event, content(what)), &live()).unwrap();
        assert!(message.retain, "{}", message.topic);
        let payload =
            if what == What::Device { "JSON, [`device`](#device)".into() } else { payload(&message) };
        table += &row(&named(&message.topic), &payload, meaning);
    }
    let renderer = renderer();
    for (topic, payload, meaning) in [
        (
            renderer.bridge_state(true).topic,
            "text",
            "`online` or `offline`, also when the bridge dies (on NATS: JSON, see below)",
        ),
        (renderer.topics.bridge("info"), "JSON, [`bridge_info`](#bridge_info)", "version, start, sinks"),
        (
            renderer.topics.bridge("health"),
            "JSON, [`bridge_health`](#bridge_health)",
            "backlog, counts, problems; each minute and on change",
        ),
        (
            renderer.bridge_token("x").topic,
            "text",
            "a marker that changes, to detect that the broker lost its retained messages or that the database is older than the published state",
        ),
    ] {
        table += &row(&topic, payload, meaning);
    }
    held_part(PAGE, "values", &table);
}

#[test]
fn the_page_lists_the_templates() {
    let topics = serde_json::to_value(Topics::default()).unwrap();
    let mut table = String::from("| key | default |\n|---|---|\n");
    for (key, template) in topics.as_object().unwrap() {
        writeln!(table, "| `topics.{key}` | `{}` |", template.as_str().unwrap()).unwrap();
    }
    held_part(PAGE, "templates", &table);
}

#[test]
fn the_page_lists_the_kinds() {
    let mut table =
        String::from("| event | title | mode | device class in Home Assistant |\n|---|---|---|---|\n");
    for kind in KINDS {
        let mode = format!("{:?}", kind.mode).to_lowercase();
        writeln!(table, "| `{}` | {} | {mode} | {} |", kind.slug, kind.title, kind.class.unwrap_or("-"))
            .unwrap();
    }
    held_part(PAGE, "kinds", &table);
}

/// The type of a field, in words.
fn type_of(schema: &Value) -> String {
    let joined =
        |list: &Vec<Value>, one: fn(&Value) -> String| list.iter().map(one).collect::<Vec<_>>().join(" or ");
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.trim_start_matches("#/$defs/");
        return format!("[`{name}`](#{})", name.to_lowercase());
    }
    if let Some(either) = schema["anyOf"].as_array() {
        return joined(either, type_of);
    }
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    let name = match &schema["type"] {
        Value::Array(names) => joined(names, |name| name.as_str().unwrap().to_owned()),
        Value::String(name) if name == "array" => return format!("list of {}", type_of(&schema["items"])),
        Value::String(name) => name.clone(),
        other => panic!("no type: {other}"),
    };
    match schema["format"].as_str() {
        Some(format @ ("uuid" | "date-time")) => format!("{name} ({format})"),
        _ => name,
    }
}

/// The table of a definition: its fields, or its words.
fn described(definition: &Map<String, Value>) -> String {
    let text = |value: &Value| value["description"].as_str().unwrap_or_default().replace('\n', " ");
    if let Some(words) = definition.get("oneOf").and_then(Value::as_array) {
        let rows =
            words.iter().map(|word| format!("| `{}` | {} |\n", word["const"].as_str().unwrap(), text(word)));
        return format!("| value | what it means |\n|---|---|\n{}", rows.collect::<String>());
    }
    let fields = definition["properties"].as_object().unwrap();
    let rows =
        fields.iter().map(|(name, field)| format!("| `{name}` | {} | {} |\n", type_of(field), text(field)));
    format!("| field | type | what it is |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_page_lists_the_fields_of_every_document() {
    let schema = schema();
    let tables =
        schema["$defs"].as_object().unwrap().iter().map(|(name, definition)| {
            format!("### `{name}`\n\n{}", described(definition.as_object().unwrap()))
        });
    held_part(PAGE, "fields", &tables.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_schema_in_the_documentation_is_this_one() {
    held("docs/schema.json", &format!("{:#}\n", schema()));
}
