//! Requests of clients over the broker.

use serde::{Deserialize, Serialize};

/// Requests over the broker. The broker's access list decides who may publish them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Answer requests at `<base>/bridge/request/<verb>` (MQTT) and `<prefix>.bridge.request.<verb>` (NATS).
    pub enabled: bool,
    /// Take mutes at `<base>/<source>/mute/set` (MQTT), which Home Assistant's switch publishes to.
    pub mute_topic: bool,
}

impl Default for Requests {
    fn default() -> Self {
        Self { enabled: false, mute_topic: true }
    }
}
