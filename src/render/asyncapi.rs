//! AsyncAPI 3.0 document of everything that is published and subscribed to, made from the topic templates and from the
//! schema of the published JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema;
use crate::config::address::Address;
use crate::config::{self, Config};
use crate::model::picture::variant::PictureForm;

/// One topic: its key, its message, whether it is retained, and what it is for.
type Topic = (&'static str, &'static str, bool, &'static str);

/// Topics of devices, by the key of their template in `[topics]`.
const DEVICE: &[Topic] = &[
    ("event", "alarm", false, "Every alarm."),
    ("activity", "activity", false, "Start and end of an activity, one message each."),
    ("picture", "picture", false, "Every picture, just before its event; only with `snapshots.each`."),
    ("state", "state", true, "`ON` while alarms come, `OFF` after the hold."),
    ("count", "count", true, "Number of objects; 0 at the end."),
    ("snapshot_event", "picture", true, "The latest picture of a kind."),
    ("snapshot", "picture", true, "The latest picture of any kind."),
    ("snapshot_info_event", "alarm", true, "The alarm of the picture retained for this kind."),
    ("snapshot_info", "alarm", true, "The alarm of the latest picture of any kind."),
    ("last", "alarm", true, "The latest alarm."),
    ("device", "device", true, "The device."),
];

/// Topics of the bridge itself.
const BRIDGE: &[Topic] = &[
    ("state", "bridge_state", true, "Whether the bridge is connected."),
    ("info", "bridge_info", true, "Version, start, sinks."),
    ("health", "bridge_health", true, "Backlog, counts, problems; each minute and on change."),
    ("token", "token", true, "A changing word by which lost retained messages are noticed."),
];

/// Placeholders of topics, and what stands there.
const PARAMETERS: &[(&str, &str)] = &[
    ("source", "The device: the MAC as twelve hex digits, or another identifier."),
    ("event", "The kind of event, such as `person`."),
    ("id", "The id of the alarm or activity."),
    ("mac", "The MAC of the device as twelve hex digits."),
    ("channel", "The channel of a recorder."),
    ("name", "The name of the device, as a slug."),
    ("vendor", "The maker that decoded it."),
    ("node", "The identifier in Home Assistant: of a device or of the bridge."),
    ("verb", "What is asked for: `list`, `rename`, `mute`, `unmute`, `replay` or `clear`."),
];

/// The document for a configuration. It describes MQTT and NATS, whether or not they are on.
#[must_use]
pub fn asyncapi(config: &Config) -> Value {
    let mut document = Document::default();
    document.mqtt(config);
    document.nats(config);
    let instance = config.instance.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("alarmbus{instance}"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Alarms of network cameras as events, states and pictures. An empty payload at a retained topic means that the value no longer exists.",
            "license": {"name": "Apache-2.0 OR MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "mqtt": {"host": mqtt_host(config), "protocol": "mqtt", "description": "The MQTT broker."},
            "nats": {"host": nats_host(config), "protocol": "nats", "description": "The NATS server."},
        },
        "channels": document.channels,
        "operations": document.operations,
        "components": {"messages": messages(), "schemas": schemas()},
    })
}

/// Channels and operations, as they are collected.
#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
}

/// A channel before it is written.
struct Channel<'a> {
    server: &'static str,
    /// Identifier, without that of the server.
    key: &'a str,
    address: String,
    message: &'a str,
    meaning: &'a str,
}

impl Document {
    fn mqtt(&mut self, config: &Config) {
        let base = &config.mqtt.base_topic;
        let of_topics = templates(&config.topics);
        let topics =
            DEVICE.iter().filter_map(|topic| Some((topic, of_topics.get(topic.0)?.replace("{base}", base))));
        for ((key, message, retain, meaning), address) in topics {
            if *key == "picture" {
                self.variants("mqtt", &format!("{address}/"));
            }
            self.sends(&Channel { server: "mqtt", key, address, message, meaning }, *retain);
        }
        let bridge = format!("{base}/{}", level(config));
        for (key, message, retain, meaning) in BRIDGE {
            let (key, address) = (&format!("bridge_{key}"), format!("{bridge}/{key}"));
            self.sends(&Channel { server: "mqtt", key, address, message, meaning }, *retain);
        }
        let prefix = &config.homeassistant.discovery_topic;
        let discovery = Channel {
            server: "mqtt",
            key: "discovery",
            address: format!("{prefix}/device/{{node}}/config"),
            message: "discovery",
            meaning: "Announcement of a device for Home Assistant; only with `homeassistant.enabled`.",
        };
        self.sends(&discovery, true);
        let mute = Channel {
            server: "mqtt",
            key: "mute_set",
            address: format!("{base}/{{source}}/mute/set"),
            message: "mute_command",
            meaning: "Mutes a device or one kind of it; only with `requests.mute_topic`.",
        };
        self.receives(&mute, None);
        self.requests("mqtt", &bridge, '/');
    }

    fn nats(&mut self, config: &Config) {
        let prefix = &config.nats.subject_prefix;
        let subject = |topic: &str| topic.replace("{base}", prefix).replace('/', ".");
        let of_topics = templates(&config::Topics::default());
        let topics = DEVICE.iter().filter_map(|topic| Some((topic, subject(of_topics.get(topic.0)?))));
        for ((key, message, _, meaning), address) in topics {
            if *key == "picture" {
                self.variants("nats", &format!("{address}."));
            }
            self.sends(&Channel { server: "nats", key, address, message, meaning }, false);
        }
        let bridge = format!("{prefix}.{}", level(config));
        for (key, message, _, meaning) in BRIDGE {
            let message = if *key == "state" { "bridge_presence" } else { *message };
            let (key, address) = (&format!("bridge_{key}"), format!("{bridge}.{key}"));
            self.sends(&Channel { server: "nats", key, address, message, meaning }, false);
        }
        self.requests("nats", &bridge, '.');
    }

    /// Variants of each picture, below its own topic.
    fn variants(&mut self, server: &'static str, below: &str) {
        for (form, meaning) in [
            (
                PictureForm::Small,
                "Every picture, 320 pixels wide; only with `small` in `pictures` of the sink.",
            ),
            (
                PictureForm::Boxes,
                "Every picture with its boxes drawn; only with `boxes` in `pictures` of the sink.",
            ),
        ] {
            let (key, address) = (&format!("picture_{}", form.as_str()), format!("{below}{}", form.as_str()));
            self.sends(&Channel { server, key, address, message: "picture", meaning }, false);
        }
    }

    /// Requests of clients, and the answers.
    fn requests(&mut self, server: &'static str, bridge: &str, separator: char) {
        let channel = |key, word, message, meaning| Channel {
            server,
            key,
            address: format!("{bridge}{separator}{word}{separator}{{verb}}"),
            message,
            meaning,
        };
        let meaning = "The answer to a request that names no place for it.";
        self.sends(&channel("response", "response", "response", meaning), false);
        let meaning = "A request to the bridge; only with `requests.enabled`.";
        self.receives(&channel("request", "request", "request", meaning), Some("response"));
    }

    /// Adds a channel that is published to.
    fn sends(&mut self, channel: &Channel<'_>, retain: bool) {
        let id = self.channel(channel);
        let mut operation = operation("send", &id, channel);
        if channel.server == "mqtt" {
            let binding = json!({"mqtt": {"qos": 1, "retain": retain, "bindingVersion": "0.2.0"}});
            operation.insert("bindings".into(), binding);
        }
        self.operations.insert(format!("send_{id}"), operation.into());
    }

    /// Adds a channel that is subscribed to. `answer`: the key of the channel of answers.
    fn receives(&mut self, channel: &Channel<'_>, answer: Option<&str>) {
        let id = self.channel(channel);
        let mut operation = operation("receive", &id, channel);
        if let Some(answer) = answer {
            let reply = format!("#/channels/{}_{answer}", channel.server);
            operation.insert("reply".into(), json!({"channel": {"$ref": reply}}));
        }
        self.operations.insert(format!("receive_{id}"), operation.into());
    }

    /// Adds a channel. Returns its identifier.
    fn channel(&mut self, channel: &Channel<'_>) -> String {
        let Channel { server, key, address, message, meaning } = channel;
        let id = format!("{server}_{key}");
        let parameters: Map<String, Value> = PARAMETERS
            .iter()
            .filter(|(name, _)| address.contains(&format!("{{{name}}}")))
            .map(|(name, description)| ((*name).to_owned(), json!({"description": description})))
            .collect();
        let mut written = json!({
            "address": address,
            "description": meaning,
            "servers": [{"$ref": format!("#/servers/{server}")}],
            "messages": {*message: {"$ref": format!("#/components/messages/{message}")}},
        });
        if let Some(written) = written.as_object_mut().filter(|_| !parameters.is_empty()) {
            written.insert("parameters".into(), parameters.into());
        }
        self.channels.insert(id.clone(), written);
        id
    }
}

/// An operation on a channel.
fn operation(action: &str, id: &str, channel: &Channel<'_>) -> Map<String, Value> {
    let operation = json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{id}")},
        "summary": channel.meaning,
        "messages": [{"$ref": format!("#/channels/{id}/messages/{}", channel.message)}],
    });
    operation.as_object().cloned().unwrap_or_default()
}

/// Every message.
fn messages() -> Value {
    const TEXT: &str = "text/plain";
    const JSON: &str = "application/json";
    let message = |kind: &str, title: &str, payload: Value| json!({"contentType": kind, "title": title, "payload": payload});
    let published = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let object = json!({"type": "object"});
    let words = |words: &[&str]| json!({"type": "string", "enum": words});
    let mut messages = json!({
        "alarm": message(JSON, "An alarm", published("alarm")),
        "activity": message(JSON, "Start or end of an activity", published("activity")),
        "device": message(JSON, "A device", published("device")),
        "bridge_info": message(JSON, "The bridge", published("bridge_info")),
        "bridge_health": message(JSON, "Health of the bridge", published("bridge_health")),
        "picture": message("image/jpeg", "A picture", json!({"type": "string", "format": "binary"})),
        "state": message(TEXT, "State of a kind", words(&["ON", "OFF"])),
        "count": message(TEXT, "Number of objects", json!({"type": "string", "pattern": "^[0-9]+$"})),
        "bridge_state": message(TEXT, "State of the bridge", words(&["online", "offline"])),
        "bridge_presence": message(JSON, "State of the bridge", presence()),
        "token": message(TEXT, "Marker of this session", json!({"type": "string", "minLength": 1})),
        "discovery": message(JSON, "Announcement for Home Assistant", object.clone()),
        "mute_command": message(TEXT, "ON, OFF, seconds, or a JSON object", json!({"type": ["string", "integer", "object"]})),
        "request": message(JSON, "A request", object.clone()),
        "response": message(JSON, "An answer", object),
    });
    for name in ["alarm", "activity", "picture"] {
        if let Some(message) = messages.get_mut(name).and_then(Value::as_object_mut) {
            message.insert("headers".into(), json!({"$ref": "#/components/schemas/headers"}));
        }
    }
    messages
}

/// `bridge.state` of NATS.
fn presence() -> Value {
    let state = json!({"type": "string", "enum": ["online", "offline"]});
    let at = json!({"type": "string", "format": "date-time"});
    json!({"type": "object", "properties": {"state": state, "at": at}, "required": ["state", "at"]})
}

/// Schemas of the published JSON, and of the headers.
fn schemas() -> Value {
    let mut schemas = schema().get("$defs").cloned().unwrap_or_default();
    move_references(&mut schemas);
    let text = |description: &str| json!({"type": "string", "description": description});
    let headers = json!({
        "type": "object",
        "description": "User properties of MQTT 5. Headers of NATS have the same names; those of CloudEvents begin with `ce-`.",
        "properties": {
            "id": text("The id of the alarm or activity; with CloudEvents, of a picture: its alarm's id and /picture."),
            "event": text("The kind of event."),
            "time": text("Time of the event, RFC 3339."),
            "specversion": text("CloudEvents; only with `cloudevents`."),
            "source": text("CloudEvents: the bridge."),
            "type": text("CloudEvents: `alarmbus.alarm`, `alarmbus.activity.start`, `alarmbus.activity.end` or `alarmbus.picture`."),
            "subject": text("CloudEvents: the topic."),
        },
    });
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.insert("headers".into(), headers);
    }
    schemas
}

/// Transform that turns references into `$defs` into references into the components.
fn move_references(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let target =
                    member.as_str().filter(|_| name == "$ref").and_then(|text| text.strip_prefix("#/$defs/"));
                match target.map(|target| format!("#/components/schemas/{target}")) {
                    Some(moved) => *member = moved.into(),
                    None => move_references(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

/// Templates by key.
fn templates(topics: &config::Topics) -> BTreeMap<String, String> {
    // A struct of texts always serialises.
    serde_json::to_value(topics)
        .ok()
        .and_then(|topics| serde_json::from_value(topics).ok())
        .unwrap_or_default()
}

/// Level of the bridge's own topics.
fn level(config: &Config) -> String {
    config.instance.as_ref().map_or_else(|| "bridge".into(), |instance| format!("bridge-{instance}"))
}

fn mqtt_host(config: &Config) -> String {
    let address = config.mqtt.server.as_deref().and_then(|server| Address::mqtt(server).ok());
    address.map_or_else(|| "localhost:1883".into(), |address| format!("{}:{}", address.host, address.port))
}

fn nats_host(config: &Config) -> String {
    let address = config.nats.servers.first().and_then(|server| Address::nats(server).ok());
    address.map_or_else(|| "localhost:4222".into(), |address| format!("{}:{}", address.host, address.port))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{DEVICE, asyncapi, templates};
    use crate::config::{Config, Topics};
    use crate::model::testing::held;

    #[test]
    fn the_document_in_the_documentation_is_this_one() {
        held("docs/asyncapi.json", &format!("{:#}\n", asyncapi(&Config::default())));
    }

    #[test]
    fn every_template_is_a_channel() {
        let mut keys: Vec<String> = templates(&Topics::default()).keys().cloned().collect();
        let mut known: Vec<String> = DEVICE.iter().map(|topic| topic.0.to_owned()).collect();
        keys.sort();
        known.sort();
        assert_eq!(known, keys);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_parameter_is_declared() {
        let document = asyncapi(&Config::default());
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                    }
                    open.extend(members.values());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        for (id, channel) in document["channels"].as_object().unwrap() {
            let address = channel["address"].as_str().unwrap();
            for name in address.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                assert!(channel["parameters"][name].is_object(), "{id} lacks {name}");
            }
        }
    }
}
