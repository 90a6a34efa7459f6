//! Listeners, webhooks and time.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::scalar;
use crate::config::Secret;
use crate::config::mapping::Mapping;
use crate::model::Mac;

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
    /// URL for other hosts, for links (`https://alarmbus.example`).
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
    /// `auto`, or the name of a maker: `vigi`, `vigi_nvr`, `generic`, or one whose mapping is built in.
    pub vendor: String,
    /// Mapping files; relative paths start at the folder of the configuration file.
    #[serde(deserialize_with = "scalar::paths")]
    pub mapping: Vec<PathBuf>,
    /// Contents of the mapping files.
    #[serde(skip)]
    pub mappings: Vec<Arc<Mapping>>,
    /// Device that all reports of this webhook belong to, whatever they say themselves.
    pub device: FixedDevice,
    /// Time zone of the devices behind it.
    pub timezone: Option<String>,
    /// Peers that may push (CIDR); empty: any.
    #[serde(deserialize_with = "scalar::networks")]
    pub allow: Vec<IpNet>,
    /// Identifier for log, page and generic devices without `device_id`.
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
            mapping: Vec::new(),
            mappings: Vec::new(),
            device: FixedDevice::default(),
            timezone: None,
            allow: Vec::new(),
            id: None,
            pointers: Pointers::default(),
        }
    }
}

/// A device fixed by the configuration; if nothing is set, the device is taken from each report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FixedDevice {
    /// Identifier, as in topics.
    pub id: Option<String>,
    /// MAC address; if set, the identifier is not used.
    pub mac: Option<Mac>,
    /// Name; by default the reported one, or the identifier.
    pub name: Option<String>,
}

/// A fixed device written as a table.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct DeviceTable {
    id: Option<String>,
    mac: Option<Mac>,
    name: Option<String>,
}

impl<'de> Deserialize<'de> for FixedDevice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DeviceVisitor)
    }
}

/// Deserializes an identifier alone, or a table.
struct DeviceVisitor;

impl<'de> Visitor<'de> for DeviceVisitor {
    type Value = FixedDevice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier such as \"yard\", or a section with id, mac or name,")
    }

    fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<FixedDevice, E> {
        Ok(FixedDevice { id: Some(id.to_owned()), ..FixedDevice::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FixedDevice, A::Error> {
        let DeviceTable { id, mac, name } = DeviceTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(FixedDevice { id, mac, name })
    }
}

/// JSON pointers (RFC 6901) for vendor `generic`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pointers {
    /// Kind of event: a string, or a list of strings.
    pub event: Option<String>,
    /// MAC address of the device.
    pub mac: Option<String>,
    /// Opaque identifier of the device.
    pub device_id: Option<String>,
    /// Name of the device.
    pub name: Option<String>,
    /// IP address of the device.
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
    /// Maximum offset of a configured zone before the time of receipt is used, in seconds.
    pub max_clock_skew_seconds: u64,
    /// Time from receipt to rendering after which an alarm is `replayed`, in seconds.
    pub replay_after_seconds: u64,
}

impl Default for Time {
    fn default() -> Self {
        Self { timezone: "auto".into(), max_clock_skew_seconds: 3_600, replay_after_seconds: 10 }
    }
}
