//! Objects each of whose members is an alarm: `{"motionAlarm": "true", "sensorAlarm": {"item": [...]}}`.

use serde_json::{Map, Value};

use super::find::{find, locate};
use crate::config::mapping::file::Mapping;
use crate::decode::maker::fields::items;

/// Maximum number of alarms made of the members of one object.
const MAX_ALARMS: usize = 1_024;

impl Mapping {
    /// An entry for each member, and for each item of a list of one.
    pub(super) fn members_of(&self, root: &Value) -> Vec<Value> {
        let found = self
            .members
            .iter()
            .find_map(|pointer| locate(root, pointer))
            .and_then(|path| root.pointer(&path));
        let members = found.and_then(Value::as_object).into_iter().flatten();
        let members = members.filter(|(key, _)| !key.starts_with('@'));
        let several = |value: &Value| find(value, "/item").is_some();
        members
            .flat_map(|(key, value)| {
                let list = if several(value) { value.get("item").unwrap_or(value) } else { value };
                items(list).iter().map(|item| entry(key, item)).collect::<Vec<_>>()
            })
            .take(MAX_ALARMS)
            .collect()
    }
}

/// The entry of one member: its attributes, its name and its value.
fn entry(key: &str, value: &Value) -> Value {
    let mut entry = Map::new();
    if let Some(map) = value.as_object() {
        entry.extend(
            map.iter().filter(|(name, _)| name.starts_with('@')).map(|(name, of)| (name.clone(), of.clone())),
        );
    }
    entry.insert("@key".into(), key.into());
    entry.insert("@value".into(), value.get("#text").unwrap_or(value).clone());
    entry.into()
}
