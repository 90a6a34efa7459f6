//! Guesses of the meaning of a value, by its key and its text.

use std::net::IpAddr;

use serde_json::Value;

use super::role::Role;
use super::tree::Leaf;
use crate::config::NO_ALARM;
use crate::config::mapping::BUILT_IN;
use crate::decode::maker::mapping::time;
use crate::decode::maker::names;
use crate::decode::maker::words::same;
use crate::model::Mac;

/// Roles, and keys that suggest them, the most certain first. Of each role but details the first value is used.
const KEYS: &[(Role, &[&str])] = &[
    (
        Role::Kind,
        &[
            "eventtype",
            "alarmtype",
            "alerttypeid",
            "notificationtype",
            "smarttype",
            "event",
            "eventname",
            "type",
            "kind",
            "alarm",
            "trigger",
            "code",
            "topic",
            "activity",
            "activitytrigger",
            "label",
            "category",
            "alerttype",
            "classname",
        ],
    ),
    (
        Role::Time,
        &[
            "eventtime",
            "alarmtime",
            "occurredat",
            "datetime",
            "timestamp",
            "time",
            "createdat",
            "created",
            "date",
            "localtime",
            "timestampms",
            "when",
            "ts",
        ],
    ),
    (Role::State, &["eventstate", "state", "status", "action", "phase", "active"]),
    (
        Role::Id,
        &[
            "deviceid",
            "cameraid",
            "serialnumber",
            "deviceserial",
            "serial",
            "sn",
            "deviceuuid",
            "uid",
            "camera",
            "cam",
            "device",
            "id",
        ],
    ),
    (Role::Name, &["devicename", "cameraname", "channelname", "name", "camera", "device", "title"]),
    (Role::Model, &["devicemodel", "model"]),
    (Role::Channel, &["channelid", "channel", "channelno", "ch", "chn"]),
    (Role::Ip, &["ipaddress", "ip", "deviceip", "cameraip", "host"]),
    (Role::Count, &["objectcount", "objnum", "count", "number"]),
    (Role::Detail("plate"), &["licenseplatenumber", "platenumber", "licenseplate", "plate", "platetext"]),
    (Role::Detail("confidence"), &["confidence", "score", "confidencelevel", "probability"]),
    (Role::Detail("direction"), &["direction"]),
    (Role::Detail("list"), &["listname", "vehiclelistname", "list"]),
    (Role::Detail("vehicle_color"), &["vehiclecolor", "carcolor"]),
    (Role::Detail("target"), &["target", "objecttype", "targettype", "objectclass", "labelname"]),
    (Role::Detail("region"), &["region", "zone", "area", "regionid", "zonename"]),
    (Role::Detail("rule"), &["rule", "rulename"]),
    (Role::Detail("person"), &["personname", "person", "username", "employeename"]),
    (Role::Detail("person_id"), &["personid", "employeeno", "userid", "cardno"]),
    (Role::Detail("door"), &["doorno", "door", "doorname"]),
    (Role::Detail("input"), &["inputno", "input", "inputioportid"]),
    (Role::Detail("message"), &["message", "description", "text"]),
];

/// Words for the start of an event.
pub(super) const START: [&str; 5] = ["start", "on", "active", "1", "true"];
/// Words for the end of an event.
pub(super) const END: [&str; 6] = ["stop", "end", "off", "inactive", "0", "false"];

/// Probable role of each value.
pub(super) fn roles(leaves: &[Leaf]) -> Vec<Role> {
    let mut roles: Vec<Role> = leaves.iter().map(|leaf| by_text(leaf).unwrap_or(Role::Unused)).collect();
    for (role, keys) in KEYS {
        let best = keys.iter().find_map(|key| {
            let free = |(_, (leaf, of)): &(usize, (&Leaf, &Role))| {
                **of == Role::Unused && leaf.key() == **key && fits(role, &leaf.text)
            };
            leaves.iter().zip(&roles).enumerate().find(free).map(|(index, _)| index)
        });
        if let Some(slot) = best.and_then(|index| roles.get_mut(index)) {
            slot.clone_from(role);
        }
    }
    let is_time = |leaf: &Leaf| {
        let key = leaf.key();
        (key.contains("time") || key.contains("date") || key.ends_with("at")) && fits(&Role::Time, &leaf.text)
    };
    if !roles.contains(&Role::Time) {
        let free = leaves.iter().zip(&mut roles).find(|(leaf, role)| **role == Role::Unused && is_time(leaf));
        if let Some((_, role)) = free {
            *role = Role::Time;
        }
    }
    roles
}

/// Role guessed from the text alone.
fn by_text(leaf: &Leaf) -> Option<Role> {
    let text = leaf.text.trim();
    let key = leaf.key();
    if text.len() > 200 && (text.starts_with("/9j/") || text.starts_with("data:image/")) {
        return Some(Role::Picture);
    }
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    (key.contains("mac") && digits == 12 && text.parse::<Mac>().is_ok()).then_some(Role::Mac)
}

/// Returns whether a text can have a role.
fn fits(role: &Role, text: &str) -> bool {
    match role {
        Role::Time => time::time(&Value::from(text)).is_some(),
        Role::Ip => text.parse::<IpAddr>().is_ok(),
        Role::Channel | Role::Count => text.chars().any(|c| c.is_ascii_digit()) && text.len() < 12,
        Role::State => START.iter().chain(&END).any(|word| same(word, text)),
        Role::Kind => !text.is_empty() && text.len() <= 64 && text.parse::<f64>().is_err(),
        _ => !text.is_empty() && text.len() <= 200,
    }
}

/// Probable kind of a word: as known to alarmbus or a built-in maker, otherwise by a part of it.
pub(super) fn kind(word: &str) -> String {
    let own = names::event(word);
    if own.kind().is_some() {
        return own.as_str().to_owned();
    }
    let of_makers = BUILT_IN.iter().flat_map(|mapping| mapping.kinds.iter());
    let known = of_makers.clone().find(|(key, _)| same(key, word)).map(|(_, kind)| kind.clone());
    if let Some(kind) = known {
        return kind;
    }
    let lower = word.to_lowercase();
    let parts = [
        ("plate", "license_plate"),
        ("anpr", "license_plate"),
        ("heartbeat", "alive"),
        ("keepalive", "alive"),
        ("test", "test"),
        ("doorbell", "doorbell"),
        ("ring", "doorbell"),
        ("person", "person"),
        ("human", "person"),
        ("people", "person"),
        ("vehicle", "vehicle"),
        ("car", "vehicle"),
        ("face", "face"),
        ("line", "line_crossing"),
        ("intrusion", "intrusion"),
        ("loiter", "loitering"),
        ("tamper", "tamper"),
        ("smoke", "smoke"),
        ("fire", "smoke"),
        ("glass", "glass_break"),
        ("motion", "motion"),
        ("offline", "device_offline"),
        ("audio", "audio_anomaly"),
        ("animal", "pet"),
        ("input", "alarm_input"),
    ];
    let part = parts.iter().find(|(part, _)| lower.contains(part)).map(|(_, kind)| (*kind).to_owned());
    part.unwrap_or_else(|| {
        if NO_ALARM.contains(&own.as_str()) { "unknown".into() } else { own.as_str().to_owned() }
    })
}
