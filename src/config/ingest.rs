//! Listeners, webhooks and time.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::keypath::KeyPath;
use super::{Config, Secret, scalar};

/// The listener cameras push to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port.
    #[serde(deserialize_with = "scalar::listener")]
    pub bind: SocketAddr,
    /// Reverse proxies (CIDR or single addresses) whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "scalar::networks")]
    pub proxies: Vec<IpNet>,
}

impl Default for Http {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 8089)), proxies: Vec::new() }
    }
}

/// The TLS listener cameras push to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Https {
    /// Address and port.
    #[serde(deserialize_with = "scalar::listener")]
    pub bind: SocketAddr,
    /// Certificate chain (PEM); without it a self-signed one is made and kept.
    pub cert: Option<PathBuf>,
    /// Private key (PEM).
    pub key: Option<PathBuf>,
}

impl Default for Https {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 8443)), cert: None, key: None }
    }
}

/// Page, API, metrics and health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    #[serde(deserialize_with = "scalar::listener")]
    pub bind: SocketAddr,
    /// How others reach it, for links (`https://alarmbus.example`).
    pub public_url: Option<String>,
    /// Password of the page.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Token for API and metrics.
    pub token: Option<Secret>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Certificate chain (PEM).
    pub cert: Option<PathBuf>,
    /// Private key (PEM).
    pub key: Option<PathBuf>,
    /// Reverse proxies (Home Assistant's ingress) whose headers are believed.
    #[serde(deserialize_with = "scalar::networks")]
    pub proxies: Vec<IpNet>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8090)),
            public_url: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            cert: None,
            key: None,
            proxies: Vec::new(),
        }
    }
}

/// A path cameras push to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// The path, secret part included: `/alarm/<secret>`.
    pub path: Option<Secret>,
    /// File with the path.
    pub path_file: Option<PathBuf>,
    /// `auto`, `vigi`, `vigi_nvr` or `generic`.
    pub vendor: String,
    /// Time zone of the devices behind it.
    pub timezone: Option<String>,
    /// Peers that may push (CIDR); empty: any.
    #[serde(deserialize_with = "scalar::networks")]
    pub allow: Vec<IpNet>,
    /// Name for log, page and `device_id`-less generic devices.
    pub id: Option<String>,
    /// JSON pointers for vendor `generic`.
    pub pointers: Pointers,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            path: None,
            path_file: None,
            vendor: "auto".into(),
            timezone: None,
            allow: Vec::new(),
            id: None,
            pointers: Pointers::default(),
        }
    }
}

/// Where vendor `generic` finds things in a JSON body (RFC 6901 pointers).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pointers {
    /// The kind of event: a string, or a list of strings.
    pub event: Option<String>,
    /// The device's MAC address.
    pub mac: Option<String>,
    /// An opaque device identifier.
    pub device_id: Option<String>,
    /// The device's name.
    pub name: Option<String>,
    /// The device's address.
    pub ip: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The device's time.
    pub time: Option<String>,
    /// The number of objects.
    pub count: Option<String>,
    /// A picture as base64.
    pub picture: Option<String>,
}

/// Time zones and lateness.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Time {
    /// Zone of devices that have no setting of their own.
    pub timezone: String,
    /// How far a configured zone may be off before receipt time is used, in seconds.
    pub max_clock_skew_seconds: u64,
    /// From receipt to rendering: past this, an alarm is `replayed`, in seconds.
    pub replay_after_seconds: u64,
}

impl Default for Time {
    fn default() -> Self {
        Self { timezone: "auto".into(), max_clock_skew_seconds: 3_600, replay_after_seconds: 10 }
    }
}

/// The vendors that a webhook can name.
const VENDORS: [&str; 4] = ["auto", "vigi", "vigi_nvr", "generic"];
/// A secret part of a path shorter than this can be guessed, in characters.
const SHORTEST_SECRET: usize = 8;

impl Config {
    /// Checks listeners, webhooks and time.
    pub(super) fn check_ingest(&self, check: &mut Check<'_>) {
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
    pub(super) fn check(&self, check: &mut Check<'_>) {
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
                format!("{text:?} is no address of a page: write one such as \"https://alarmbus.example\""),
            );
        }
    }
}

impl Webhook {
    /// Checks one webhook.
    fn check(&self, at: &KeyPath, check: &mut Check<'_>) {
        self.check_path(at, check);
        if !VENDORS.contains(&self.vendor.as_str()) {
            let text = format!("{:?} is no vendor: write {}", self.vendor, VENDORS.join(", "));
            check.mistake(&at.join("vendor"), text);
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
                    format!("{pointer:?} is no JSON pointer: it begins with /, such as \"/event/type\"");
                check.mistake(&at.join("pointers").join(name), text);
            }
        }
        if self.vendor == "generic" && self.pointers.event.is_none() {
            let text = "vendor generic needs it: the JSON pointer of the kind of event, such as \"/event\"";
            check.mistake(&at.join("pointers").join("event"), text);
        }
    }

    /// Checks the path; it is a secret, so no message shows it.
    fn check_path(&self, at: &KeyPath, check: &mut Check<'_>) {
        let key = at.join("path");
        let Some(path) = self.path.as_ref().map(Secret::expose) else {
            let file = at.join("path_file").to_string();
            if self.path_file.is_none() && check.is_sound(&file) && check.is_sound(&key.to_string()) {
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
        } else if path.split('/').map(str::len).max().unwrap_or(0) < SHORTEST_SECRET {
            let text = format!(
                "anybody can guess it: make one part of it a secret of {SHORTEST_SECRET} characters or more"
            );
            check.warn(&key, text);
        }
    }

    /// Checks it against an earlier one: paths and names must differ.
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

/// The path as requests are compared with it.
fn without_doubled_slashes(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

impl Pointers {
    /// The pointers that are given, by name.
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
