//! All keys with a value of their type: names of known keys, and types for the texts of variables.

use std::collections::BTreeMap;

use figment::value::{Dict, Empty, Value};

use crate::config::{ByteSize, Config, DeviceSettings, Https, KeyPath, Secret, Webhook};

/// Placeholder for any key of a map.
pub(crate) const ANY: &str = "*";

/// A configuration with every optional section, map and list filled.
///
/// Optional texts stay empty; options of other types are filled, so that the type is visible.
#[must_use]
pub(crate) fn config() -> Config {
    let mut config =
        Config { https: Some(Https::default()), webhooks: vec![Webhook::default()], ..Config::default() };
    config.snapshots.max_bytes = Some(ByteSize(0));
    config.activity.hold = BTreeMap::from([(ANY.to_owned(), 20)]);
    config.notify.headers = BTreeMap::from([(ANY.to_owned(), Secret::new(""))]);
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
pub(crate) fn tree() -> Dict {
    // A plain structure of numbers, texts and maps always serializes; an empty tree would only cost suggestions.
    Value::serialize(config()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// Paths of all keys, without sections; list elements as `0`, map keys as `*`.
pub(crate) fn paths() -> Vec<KeyPath> {
    leaves(&Value::from(tree())).into_iter().map(|(path, _)| path).collect()
}

/// All leaves of a tree with their paths. An empty map and a list of plain values are leaves.
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

/// A value in TOML; `None` if it is not set.
#[must_use]
pub fn spelled(value: &Value) -> Option<String> {
    Some(match value {
        Value::Empty(_, Empty::None | Empty::Unit) => return None,
        Value::Dict(_, dict) if dict.is_empty() => return None,
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => {
            number.to_u128().map(|n| n.to_string()).or_else(|| number.to_i128().map(|n| n.to_string()))?
        }
        Value::Array(_, list) => {
            format!("[{}]", list.iter().filter_map(spelled).collect::<Vec<_>>().join(", "))
        }
        other => toml_edit::Value::from(other.as_str().unwrap_or_default()).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use figment::value::Value;

    use super::{ANY, config, leaves};
    use crate::config::{Config, KeyPath, Sources, load};

    const EXAMPLE: &str = include_str!("../../../config.example.toml");

    /// The example file with everything switched on.
    fn uncommented() -> String {
        let on = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(on).collect::<Vec<_>>().join("\n")
    }

    /// Leaves by key, with map keys replaced by one placeholder.
    fn by_key(tree: &Value) -> BTreeMap<String, Value> {
        let any = |path: KeyPath| {
            let mut steps = path.steps().to_vec();
            match steps.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["devices", ..] => steps[1] = ANY.into(),
                ["activity", "hold", _] | ["notify", "headers", _] => steps[2] = ANY.into(),
                _ => {}
            }
            KeyPath::of(steps).to_string()
        };
        leaves(tree).into_iter().map(|(path, value)| (any(path), value)).collect()
    }

    #[test]
    fn the_example_shows_every_key_with_its_default_and_no_other() {
        let mut tree =
            crate::config::sources::file::parse(Path::new("config.example.toml"), &uncommented()).unwrap();
        let shown = by_key(&Value::from(tree.dict.clone()));
        let known = by_key(&Value::serialize(config()).unwrap());
        assert_eq!(shown.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
        let filled = ["snapshots.max_bytes", "activity.hold", "notify.headers", "devices"];
        for (key, default) in known {
            let sample = filled.iter().any(|head| key.starts_with(head));
            if !sample && !matches!(default, Value::Empty(..)) {
                assert_eq!(shown[&key], default, "{key}");
            }
        }
        let extracted = crate::config::sources::extract::extract(&mut tree);
        assert_eq!(extracted.mistakes, []);
    }

    #[test]
    fn the_example_as_it_is_changes_nothing() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
        let loaded = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn the_defaults_are_sound() {
        let sources = Sources { search: Vec::new(), ..Sources::default() };
        let loaded = load(&sources).unwrap();
        assert_eq!((loaded.warnings.len(), loaded.origins.0.len(), loaded.file), (0, 0, None));
    }
}
