//! Every key there is, with a value of its type: what names are known, and what a variable's text becomes.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::keypath::KeyPath;
use super::{ByteSize, Config, DeviceSettings, Https, Webhook};

/// Stands for any key of a map.
pub(super) const ANY: &str = "*";

/// A configuration with every optional section and every map and list filled.
///
/// Options that hold texts stay empty; those of other types are filled so that the type shows.
#[must_use]
pub(super) fn config() -> Config {
    let mut config =
        Config { https: Some(Https::default()), webhooks: vec![Webhook::default()], ..Config::default() };
    config.snapshots.max_bytes = Some(ByteSize(0));
    config.activity.hold = BTreeMap::from([(ANY.to_owned(), 20)]);
    let device = DeviceSettings {
        enabled: Some(true),
        hold_seconds: Some(20),
        expected_every_seconds: Some(60),
        snapshots: Some(true),
        ..DeviceSettings::default()
    };
    config.devices.insert(ANY.to_owned(), device);
    config
}

/// The tree of [`config`].
pub(super) fn tree() -> Dict {
    // A plain structure of numbers, texts and maps always serializes; an empty tree would only cost suggestions.
    Value::serialize(config()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// The path of every key, sections left out; list elements as `0`, map keys as `*`.
pub(super) fn paths() -> Vec<KeyPath> {
    leaves(&Value::from(tree())).into_iter().map(|(path, _)| path).collect()
}

/// Every leaf of a tree with its path. An empty map, and a list of plain values, is a leaf.
pub fn leaves(tree: &Value) -> Vec<(KeyPath, Value)> {
    let mut found = Vec::new();
    let mut open = vec![(KeyPath::default(), tree.clone())];
    while let Some((path, value)) = open.pop() {
        match &value {
            Value::Dict(_, dict) if !dict.is_empty() => {
                open.extend(dict.iter().rev().map(|(key, value)| (path.join(key), value.clone())));
            }
            Value::Array(_, list) if list.iter().any(|element| element.as_dict().is_some()) => {
                let elements = list.iter().enumerate().rev();
                open.extend(elements.map(|(at, value)| (path.join(&at.to_string()), value.clone())));
            }
            _ => found.push((path, value)),
        }
    }
    found
}
