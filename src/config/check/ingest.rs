//! Checks of listeners, webhooks and time.

use super::Check;
use crate::config::ingest::Pointers;
use crate::config::nearest::nearest;
use crate::config::{Admin, Config, KeyPath, Secret, Webhook, mapping};
use crate::model::Source;

/// Minimum length of the secret part of a path, in characters; shorter ones can be guessed.
const MIN_SECRET_LENGTH: usize = 8;

impl Config {
    /// Checks listeners, webhooks and time.
    pub(in crate::config) fn check_ingest(&self, check: &mut Check<'_>) {
        if let Some(https) = &self.https {
            check.both_or_neither(("https.cert", https.cert.is_some()), ("https.key", https.key.is_some()));
        }
        for (at, webhook) in self.webhooks.iter().enumerate() {
            webhook.check(&KeyPath::of(["webhooks".to_owned(), at.to_string()]), check);
            for earlier in self.webhooks.iter().take(at) {
                webhook.check_against(earlier, at, check);
            }
        }
        check.zone(&KeyPath::parse("time.timezone"), &self.time.timezone);
        check.within("time.max_clock_skew_seconds", self.time.max_clock_skew_seconds, 1, 31_536_000);
        check.within("time.replay_after_seconds", self.time.replay_after_seconds, 1, 86_400);
    }
}

impl Admin {
    /// Checks the public address and the certificate.
    pub(in crate::config) fn check(&self, check: &mut Check<'_>) {
        check.both_or_neither(("admin.cert", self.cert.is_some()), ("admin.key", self.key.is_some()));
        check.filled("admin.password", self.password.as_ref().map(Secret::expose));
        check.filled("admin.token", self.token.as_ref().map(Secret::expose));
        let Some(text) = &self.public_url else { return };
        let right = url::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
        if !right {
            check.wrong(
                "admin.public_url",
                format!(
                    "{text:?} is not an address of a page: write one such as \"https://alarmbus.example\""
                ),
            );
        }
    }
}

impl Webhook {
    /// Checks one webhook.
    fn check(&self, at: &KeyPath, check: &mut Check<'_>) {
        self.check_path(at, check);
        self.check_vendor(&at.join("vendor"), check);
        if let Some(id) = self.device.id.as_ref().filter(|id| Source::of_id(id).is_none()) {
            let text = format!("{id:?} names no device: write letters and digits, such as \"yard\"");
            check.mistake(&at.join("device").join("id"), text);
        }
        if let Some(zone) = &self.timezone {
            check.zone(&at.join("timezone"), zone);
        }
        if let Some(id) = &self.id {
            check.slug(&at.join("id"), id);
        }
        for (name, pointer) in self.pointers.given() {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let text =
                    format!("{pointer:?} is not a JSON pointer: it begins with /, such as \"/event/type\"");
                check.mistake(&at.join("pointers").join(name), text);
            }
        }
        if self.vendor == "generic" && self.pointers.event.is_none() {
            let text =
                "it is missing, so all its alarms are of kind `unknown`: give the JSON pointer of the kind";
            check.warn(&at.join("pointers").join("event"), text);
        }
    }

    /// Checks the vendor.
    fn check_vendor(&self, at: &KeyPath, check: &mut Check<'_>) {
        if mapping::vendors().all(|vendor| vendor != self.vendor) {
            let near = nearest(&self.vendor, mapping::vendors());
            let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            let all = mapping::vendors().collect::<Vec<_>>().join(", ");
            check.mistake(at, format!("{:?} is not a known vendor{near}: write one of {all}", self.vendor));
        }
    }

    /// Checks the path; it is a secret, so no message shows it.
    fn check_path(&self, at: &KeyPath, check: &mut Check<'_>) {
        let key = at.join(if self.path_file.is_some() { "path_file" } else { "path" });
        let Some(path) = self.path.as_ref().map(Secret::expose) else {
            if check.is_sound(&at.join("path").to_string()) {
                check.mistake(&key, "a webhook needs one: write path = \"/alarm/<secret>\" or path_file");
            }
            return;
        };
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '%' | '\\' | '"' | '<' | '>');
        if !path.starts_with('/') {
            check.mistake(&key, "it must begin with /, such as \"/alarm/<secret>\"");
        } else if !path.chars().all(plain) {
            let text = "cameras send it as it is: use letters, digits and - . _ ~ only";
            check.mistake(&key, text);
        } else if path.split('/').map(str::len).max().unwrap_or(0) < MIN_SECRET_LENGTH {
            let text = format!(
                "anybody can guess it: make one part of it a secret of {MIN_SECRET_LENGTH} characters or more"
            );
            check.warn(&key, text);
        }
    }

    /// Checks a webhook against an earlier one: paths and ids must differ.
    fn check_against(&self, earlier: &Self, at: usize, check: &mut Check<'_>) {
        let at = KeyPath::of(["webhooks".to_owned(), at.to_string()]);
        let path = |webhook: &Self| webhook.path.as_ref().map(|path| without_doubled_slashes(path.expose()));
        if self.path.is_some() && path(self) == path(earlier) {
            check.mistake(&at.join("path"), "another webhook has the same path: give each its own");
        }
        if self.id.is_some() && self.id == earlier.id {
            check.mistake(&at.join("id"), "another webhook has the same id: give each its own");
        }
    }
}

/// A path in the form that is compared with requests.
fn without_doubled_slashes(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

impl Pointers {
    /// Pointers that are set, by name.
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("event", &self.event),
            ("mac", &self.mac),
            ("device_id", &self.device_id),
            ("name", &self.name),
            ("ip", &self.ip),
            ("channel", &self.channel),
            ("time", &self.time),
            ("count", &self.count),
            ("picture", &self.picture),
        ];
        all.into_iter().filter_map(|(name, pointer)| pointer.as_deref().map(|pointer| (name, pointer)))
    }
}
