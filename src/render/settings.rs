//! What one sink's messages depend on, and what is checked of it.

use url::Url;

use super::topics::TopicError;
use crate::config;

/// The longest `public_url`, in bytes: so that published JSON stays within its bound.
const MAX_URL_BYTES: usize = 512;

/// What one sink's messages depend on.
#[derive(Debug, Clone)]
pub struct RenderSettings {
    /// The base topic (MQTT) or subject prefix (NATS).
    pub base: String,
    /// The level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    pub bridge: String,
    /// How the sink spells its topics.
    pub names: Names,
    /// The templates; on NATS the defaults.
    pub topics: config::Topics,
    /// The admin page as others reach it; `None` while only its own host does.
    pub public_url: Option<String>,
    /// The secret behind the keys of picture addresses.
    pub snapshot_key: Option<[u8; 32]>,
    /// Which pictures are published.
    pub snapshots: config::Snapshots,
    /// Discovery; `None` for a sink that has none.
    pub homeassistant: Option<config::HomeAssistant>,
    /// The instance's identifier, `[A-Za-z0-9_-]`.
    pub instance: String,
    /// The version of the software.
    pub version: String,
    /// Where its users find help; a full URL.
    pub support_url: Option<String>,
}

/// Why there is no renderer for these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Topics that are invalid or collide; every one of them.
    #[error("{}", join(.0))]
    Topics(Vec<TopicError>),
    /// The public address is none.
    #[error(
        "admin.public_url = {0:?} is no http:// or https:// address of at most 512 bytes, such as http://192.168.0.10:8090"
    )]
    PublicUrl(String),
    /// The instance's identifier cannot be part of a discovery topic.
    #[error("instance = {0:?}: use letters, digits, \"_\" and \"-\" only, 1 to 64 of them")]
    Instance(String),
    /// The level of the bridge's own topics could be a device's.
    #[error(
        "{0:?} cannot be the level of the bridge's own topics: it is \"bridge\" or \"bridge-\" and the instance"
    )]
    Bridge(String),
}

/// How a record or value is being sent: what differs between sinks and attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Late, or by hand.
    pub replayed: bool,
    /// What becomes of its picture on this sink.
    pub picture: PictureFate,
}

/// What becomes of a picture on a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureFate {
    /// It is published as the latest one, or by itself.
    Sent,
    /// It is not published as the latest one (the alarm is late, or a newer one is there).
    NotSent,
    /// The broker does not take one of its size.
    OverBrokerLimit,
    /// It goes to the object store under this key.
    Object(String),
}

/// How a sink spells topics. Messages have them with `/`, whatever the sink; documents name them as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Levels parted by `/`: MQTT.
    Topics,
    /// Tokens parted by `.`: NATS.
    Subjects,
}

impl Names {
    /// A topic as this sink publishes it.
    pub(super) fn spell(self, topic: String) -> String {
        match self {
            Self::Topics => topic,
            Self::Subjects => topic.replace('/', "."),
        }
    }
}

impl RenderSettings {
    /// Checks everything but the topics.
    pub(super) fn check(&self) -> Result<(), RenderError> {
        if self.bridge != "bridge" && !self.bridge.strip_prefix("bridge-").is_some_and(is_node_id) {
            return Err(RenderError::Bridge(self.bridge.clone()));
        }
        if !is_node_id(&self.instance) {
            return Err(RenderError::Instance(self.instance.clone()));
        }
        match &self.public_url {
            Some(bad) if !is_web_address(bad) => Err(RenderError::PublicUrl(bad.clone())),
            _ => Ok(()),
        }
    }
}

/// Whether a text is an address a browser can open.
pub(super) fn is_web_address(text: &str) -> bool {
    let known = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    text.len() <= MAX_URL_BYTES && Url::parse(text).is_ok_and(known)
}

/// Whether a text can be part of a discovery topic's identifier.
fn is_node_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// All errors in one line.
fn join(errors: &[TopicError]) -> String {
    errors.iter().map(TopicError::to_string).collect::<Vec<_>>().join("; ")
}
