//! Kinds of devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod identity;
pub mod mac;
pub mod mute;
pub mod slug;
pub mod source;

/// Type of the device behind a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// A camera that reports by itself.
    Camera,
    /// A recorder; its own alarms are faults of the recorder.
    Recorder,
    /// One channel of a recorder: a camera that reports through it.
    Channel,
}

impl DeviceKind {
    /// Name in JSON and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Recorder => "recorder",
            Self::Channel => "channel",
        }
    }
}
