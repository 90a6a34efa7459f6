//! What differs between two configurations, and which of it a running bridge can take up.

use std::collections::BTreeMap;

use figment::value::Value;

use super::{Config, KeyPath, Secret, leaves};

/// The keys that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// A running bridge takes these up: log level, webhooks, devices, limits, certificates.
    pub live: Vec<KeyPath>,
    /// These need a restart.
    pub restart: Vec<KeyPath>,
}

/// Compares two configurations, key by key. Contents of certificate files are not looked at: read them anew always.
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

/// Whether a running bridge takes a change of this key up.
fn is_live(key: &KeyPath) -> bool {
    let steps: Vec<&str> = key.steps().iter().map(String::as_str).collect();
    match steps.as_slice() {
        ["webhooks" | "devices" | "limits", ..] => true,
        ["log", name] => *name == "level",
        ["https" | "admin", name] => matches!(*name, "cert" | "key"),
        _ => false,
    }
}

/// Every key that has a value; secrets, which never serialize, by what they are.
fn flat(config: &Config) -> BTreeMap<KeyPath, Value> {
    let tree = Value::serialize(config).unwrap_or_else(|_| Value::from(figment::value::Dict::new()));
    let mut flat: BTreeMap<KeyPath, Value> = leaves(&tree).into_iter().collect();
    let Config { admin, mqtt, nats, broker, webhooks, .. } = config;
    let secrets = [
        ("admin.password", &admin.password),
        ("admin.token", &admin.token),
        ("mqtt.password", &mqtt.password),
        ("nats.password", &nats.password),
        ("nats.token", &nats.token),
        ("nats.nkey", &nats.nkey),
        ("broker.password", &broker.password),
    ];
    let secrets = secrets.into_iter().map(|(key, secret)| (KeyPath::parse(key), secret));
    let paths = webhooks.iter().enumerate();
    let paths = paths.map(|(at, webhook)| (KeyPath::parse(&format!("webhooks.{at}.path")), &webhook.path));
    for (key, secret) in secrets.chain(paths) {
        if let Some(secret) = secret.as_ref().map(Secret::expose) {
            flat.insert(key, Value::from(secret));
        }
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
