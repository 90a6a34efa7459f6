//! Listeners, webhooks and time.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Secret, scalar};

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
