//! Differences of two configurations, and which of them a running bridge can apply.

use std::collections::BTreeMap;

use figment::value::Value;

use super::sources::secrets;
use super::{Config, KeyPath, leaves};

/// Keys that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that a running bridge applies: log level, webhooks, devices, limits, certificates.
    pub live: Vec<KeyPath>,
    /// Keys that need a restart.
    pub restart: Vec<KeyPath>,
}

/// Compares two configurations, key by key. Contents of certificate files are not compared; they are always read
/// again.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Changes {
    let (before, after) = (flat(old), flat(new));
    let mut changed: Vec<KeyPath> =
        before.iter().filter(|(k, v)| after.get(*k) != Some(*v)).map(|(k, _)| k.clone()).collect();
    changed.extend(after.keys().filter(|key| !before.contains_key(*key)).cloned());
    changed.sort();
    let (live, restart) = changed.into_iter().partition(is_live);
    Changes { live, restart }
}

/// Returns whether a running bridge applies a change of this key.
fn is_live(key: &KeyPath) -> bool {
    let steps: Vec<&str> = key.steps().iter().map(String::as_str).collect();
    match steps.as_slice() {
        ["webhooks" | "devices" | "limits", ..] => true,
        ["log", name] => *name == "level",
        ["https" | "admin", name] => matches!(*name, "cert" | "key"),
        _ => false,
    }
}

/// All keys with a value; secrets, which never serialize, by their plain text.
fn flat(config: &Config) -> BTreeMap<KeyPath, Value> {
    let tree = Value::serialize(config).unwrap_or_else(|_| Value::from(figment::value::Dict::new()));
    let mut flat: BTreeMap<KeyPath, Value> = leaves(&tree).into_iter().collect();
    for (key, secret, _) in secrets::all(&mut config.clone()) {
        if let Some(secret) = secret {
            flat.insert(key, Value::from(secret.expose()));
        }
    }
    for (name, value) in &config.notify.headers {
        flat.insert(KeyPath::of(["notify", "headers", name.as_str()]), Value::from(value.expose()));
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::changes;
    use crate::config::{Config, DeviceSettings, Secret, Webhook};

    #[test]
    fn changes_are_told_apart_by_what_a_running_bridge_can_take_up() {
        let webhook = |path: &str| Webhook { path: Some(Secret::new(path)), ..Webhook::default() };
        let old = Config { webhooks: vec![webhook("/a")], ..Config::default() };
        assert_eq!(changes(&old, &old.clone()), super::Changes::default());
        let mut new = Config { webhooks: vec![webhook("/b")], ..old.clone() };
        new.limits.connections = 5;
        new.log.level = "debug".into();
        new.http.bind = "127.0.0.1:0".parse().unwrap();
        new.mqtt.password = Some(Secret::new("x"));
        new.devices.insert("98ba5f8b1003".into(), DeviceSettings::default());
        let found = changes(&old, &new);
        let text = |keys: &[crate::config::KeyPath]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&found.restart), ["http.bind", "mqtt.password"]);
        assert!(text(&found.live).contains(&"webhooks.0.path".to_owned()));
        assert!(text(&found.live).contains(&"log.level".to_owned()));
        assert!(found.live.iter().any(|key| key.to_string().starts_with("devices.98ba5f8b1003.")));
    }
}
