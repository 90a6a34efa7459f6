//! Render settings of one sink and their validation.

use url::Url;

use super::topics::TopicError;
use crate::config;

/// Maximum length of `public_url` in bytes. It keeps published JSON within its bound.
const MAX_URL_BYTES: usize = 512;

/// Render settings of one sink.
#[derive(Debug, Clone)]
pub struct RenderSettings {
    /// The base topic (MQTT) or subject prefix (NATS).
    pub base: String,
    /// The level of the bridge's own topics: `bridge`, or `bridge-<instance>`.
    pub bridge: String,
    /// Spelling of topics on this sink.
    pub names: Names,
    /// The templates; on NATS the defaults.
    pub topics: config::Topics,
    /// Address of the admin page for other hosts; `None` while only its own host can reach it.
    pub public_url: Option<String>,
    /// The secret behind the keys of picture addresses.
    pub snapshot_key: Option<[u8; 32]>,
    /// Selection of pictures that are published.
    pub snapshots: config::Snapshots,
    /// Settings of Home Assistant discovery; `None` for a sink without discovery.
    pub homeassistant: Option<config::HomeAssistant>,
    /// True if mutes of devices can be set through topics of their own.
    pub mute_topic: bool,
    /// The instance's identifier, `[A-Za-z0-9_-]`.
    pub instance: String,
    /// The version of the software.
    pub version: String,
    /// Support page; a full URL.
    pub support_url: Option<String>,
}

/// Reason why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// All topics that are invalid or collide.
    #[error("{}", join(.0))]
    Topics(Vec<TopicError>),
    /// The public address is not a valid URL.
    #[error(
        "admin.public_url = {0:?} is not an http:// or https:// address of at most 512 bytes, such as http://192.168.0.10:8090"
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

/// Properties of a record or value that differ between sinks and attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// True if it is published late, or again by hand.
    pub replayed: bool,
    /// Outcome of its picture on this sink.
    pub picture: PictureFate,
}

/// Outcome of a picture on a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PictureFate {
    /// The picture is published as the latest one, or as a message of its own.
    Sent,
    /// The picture is not published as the latest one: the alarm is late, or a newer picture exists.
    NotSent,
    /// The picture is larger than the broker's limit.
    OverBrokerLimit,
    /// The picture is put into the object store under this key.
    Object(String),
}

/// Spelling of topics on a sink. A [`Message`](super::Message) always has `/` between levels; documents contain the
/// spelling that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Levels separated by `/`: MQTT.
    Topics,
    /// Tokens separated by `.`: NATS.
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
    /// Checks all settings except the topics.
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

/// Returns whether a text is an address a browser can open.
pub(super) fn is_web_address(text: &str) -> bool {
    let known = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    text.len() <= MAX_URL_BYTES && Url::parse(text).is_ok_and(known)
}

/// Returns whether a text can be part of a discovery topic's identifier.
fn is_node_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// All errors in one line.
fn join(errors: &[TopicError]) -> String {
    errors.iter().map(TopicError::to_string).collect::<Vec<_>>().join("; ")
}
