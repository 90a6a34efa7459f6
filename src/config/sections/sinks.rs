//! Sinks: MQTT, NATS, standard output; and the embedded broker.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::scalar;
use crate::config::Secret;
use crate::model::picture::variant::PictureForm;

/// The MQTT sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://host:1883`, `mqtts://host:8883`, `ws://…`, `wss://…`, or `host[:port]`; absent: no MQTT sink.
    pub server: Option<String>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Client identifier; absent: made from the instance id.
    pub client_id: Option<String>,
    /// First level of all topics.
    pub base_topic: String,
    /// `5` or `3.1.1`.
    pub version: MqttVersion,
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Client key (PEM).
    pub key: Option<PathBuf>,
    /// Name the server's certificate must have, if not that of `server`.
    pub server_name: Option<String>,
    /// Do not check the server's certificate.
    pub insecure: bool,
    /// MQTT 5 message expiry of the log lane, in seconds; 0: never.
    pub expire_seconds: u32,
    /// Keep-alive, in seconds.
    pub keep_alive_seconds: u16,
    /// Variants of each picture to publish.
    pub pictures: Vec<PictureForm>,
    /// Add the attributes of CloudEvents 1.0 to log messages, as user properties (MQTT 5).
    pub cloudevents: bool,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            server: None,
            user: None,
            password: None,
            password_file: None,
            client_id: None,
            base_topic: "alarmbus".into(),
            version: MqttVersion::V5,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            insecure: false,
            expire_seconds: 0,
            keep_alive_seconds: 30,
            pictures: Vec::new(),
            cloudevents: false,
        }
    }
}

/// Warning about MQTT 3.1.1: its PUBACK has no reason code, so a message that the access list denies is acknowledged
/// and dropped.
pub const REFUSALS_INVISIBLE: &str = "MQTT 3.1.1 has no way to report a refused message: what the broker's access list \
    denies is lost without a trace; set mqtt.version = \"5\", or check at the broker that the user may publish every topic";

impl Mqtt {
    /// Returns whether the broker may drop messages that it acknowledged.
    #[must_use]
    pub fn refuses_silently(&self) -> bool {
        self.server.is_some() && self.version == MqttVersion::V311
    }
}

/// The protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MqttVersion {
    /// MQTT 5: the broker gives reasons.
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1: refusals are not reported.
    #[serde(rename = "3.1.1")]
    V311,
}

impl<'de> Deserialize<'de> for MqttVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VersionVisitor)
    }
}

/// Deserializes a version; `5` without quotes too, which is the common spelling.
struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = MqttVersion;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"5\" or \"3.1.1\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MqttVersion, E> {
        match text {
            "5" | "5.0" => Ok(MqttVersion::V5),
            "3.1.1" => Ok(MqttVersion::V311),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<MqttVersion, E> {
        if number == 5 {
            Ok(MqttVersion::V5)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }
}

/// The NATS sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// `nats://host:4222`, `tls://…`; empty: no NATS sink.
    pub servers: Vec<String>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Token.
    pub token: Option<Secret>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Seed of an nkey.
    pub nkey: Option<Secret>,
    /// File with the seed.
    pub nkey_file: Option<PathBuf>,
    /// Credentials file.
    pub credentials: Option<PathBuf>,
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Client key (PEM).
    pub key: Option<PathBuf>,
    /// First token of all subjects.
    pub subject_prefix: String,
    /// Use JetStream; `false`: core NATS, best effort.
    pub jetstream: bool,
    /// Replicas of the streams that are created.
    pub replicas: usize,
    /// Variants of each picture to publish.
    pub pictures: Vec<PictureForm>,
    /// Add the attributes of CloudEvents 1.0 to log messages, as headers.
    pub cloudevents: bool,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey: None,
            nkey_file: None,
            credentials: None,
            ca: None,
            cert: None,
            key: None,
            subject_prefix: "alarmbus".into(),
            jetstream: true,
            replicas: 1,
            pictures: Vec::new(),
            cloudevents: false,
        }
    }
}

/// Several instances with one result, over JetStream; on when `servers` is not empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// `nats://host:4222`, `tls://…`; empty: this instance is alone.
    pub servers: Vec<String>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Token.
    pub token: Option<Secret>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Seed of an nkey.
    pub nkey: Option<Secret>,
    /// File with the seed.
    pub nkey_file: Option<PathBuf>,
    /// Credentials file.
    pub credentials: Option<PathBuf>,
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Client key (PEM).
    pub key: Option<PathBuf>,
    /// First token of all subjects.
    pub prefix: String,
    /// Partitions: each has an owner of its own.
    pub partitions: u64,
    /// Streams that the partitions share, for reports and for decisions.
    pub streams: u64,
    /// Replicas of the streams and buckets that are created.
    pub replicas: usize,
    /// Instances that keep a partition; 0: every instance keeps all.
    pub copies: u64,
    /// Seconds of silence after which an owner is replaced.
    pub lease_seconds: u64,
    /// Time at which a camera is answered.
    pub ack: Acknowledge,
    /// Longest wait for JetStream before the answer, in milliseconds.
    pub ack_ms: u64,
}

/// Time at which a camera is answered in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// Once the report is on the disk of this instance.
    Local,
    /// Once JetStream has it too, or the longest wait is over.
    Cluster,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey: None,
            nkey_file: None,
            credentials: None,
            ca: None,
            cert: None,
            key: None,
            prefix: "alarmbus-cluster".into(),
            partitions: 1,
            streams: 1,
            replicas: 3,
            copies: 0,
            lease_seconds: 15,
            ack: Acknowledge::Local,
            ack_ms: 1_000,
        }
    }
}

impl Cluster {
    /// Returns whether this instance is in a cluster.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Connection settings of its servers, as a NATS sink.
    #[must_use]
    pub fn nats(&self) -> Nats {
        let of = self.clone();
        Nats {
            servers: of.servers,
            user: of.user,
            password: of.password,
            password_file: of.password_file,
            token: of.token,
            token_file: of.token_file,
            nkey: of.nkey,
            nkey_file: of.nkey_file,
            credentials: of.credentials,
            ca: of.ca,
            cert: of.cert,
            key: of.key,
            subject_prefix: of.prefix,
            jetstream: true,
            replicas: of.replicas,
            pictures: Vec::new(),
            cloudevents: false,
        }
    }
}

/// The JSON lines sink.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stdout {
    /// Print events as JSON lines.
    pub enabled: bool,
}

/// The embedded broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Address and port; the next free port if taken.
    #[serde(deserialize_with = "scalar::listener")]
    pub bind: SocketAddr,
    /// User name; required on other addresses than loopback.
    pub user: Option<String>,
    /// Password; required on other addresses than loopback.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 1883)),
            user: None,
            password: None,
            password_file: None,
        }
    }
}
