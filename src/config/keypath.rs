//! Paths of keys: `mqtt.server`, `webhooks.0.path`, `devices."98:ba:5f:8b:10:03".name`.

use std::fmt;

/// Path from the top of the configuration to a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// Path of these steps.
    pub fn of<S: Into<String>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }

    /// Parses a path in TOML syntax; text that is not a dotted key becomes a path of one step.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // TOML's bare keys may be digits, so indexes of list elements need no syntax of their own.
        let keys = toml_edit::Key::parse(text);
        keys.map_or_else(|_| Self::of([text]), |keys| Self::of(keys.iter().map(toml_edit::Key::get)))
    }

    /// Steps, outermost first.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// Path extended by one step.
    #[must_use]
    pub fn join(&self, step: &str) -> Self {
        Self(self.0.iter().cloned().chain([step.to_owned()]).collect())
    }

    /// Path without its last step; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, head)| Self(head.to_vec()))
    }

    /// Last step; empty at the top.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Returns whether the path is `head` or lies below it.
    #[must_use]
    pub fn starts_with(&self, head: &Self) -> bool {
        self.0.starts_with(&head.0)
    }

    /// Name of the environment variable that sets this key.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("ALARMBUS_{}", self.0.join("__").to_uppercase())
    }

    /// Returns whether its value is or contains a secret, and must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        let webhook_path = self.0.first().is_some_and(|step| step == "webhooks") && self.last() == "path";
        let notify = self.0.first().is_some_and(|step| step == "notify")
            && self.0.get(1).is_some_and(|step| step == "url" || step == "headers");
        webhook_path || notify || matches!(self.last(), "password" | "token" | "nkey")
    }
}

impl From<&str> for KeyPath {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            if !step.is_empty() && step.chars().all(is_bare) {
                write!(f, "{dot}{step}")?;
            } else {
                write!(f, "{dot}{step:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyPath;

    #[test]
    fn a_path_is_spelled_as_it_is_read() {
        for text in ["mqtt.server", "devices.\"98:ba:5f:8b:10:03\".name", "webhooks.0.path", "instance"] {
            assert_eq!(KeyPath::parse(text).to_string(), text);
        }
        assert_eq!(KeyPath::parse("mqtt.base_topic").variable(), "ALARMBUS_MQTT__BASE_TOPIC");
    }
}
