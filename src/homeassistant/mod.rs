//! Home Assistant discovery: what is announced of a device. Pure; `HOME-ASSISTANT` facts live here.

use serde::{Deserialize, Serialize};

use crate::model::{EventName, Source, record::DeviceRecord};

/// What Home Assistant is told of one source; a change of it is a new announcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The topic level.
    pub source: Source,
    /// The device.
    pub device: DeviceRecord,
    /// The area to suggest, if configured.
    pub area: Option<String>,
    /// The kinds seen, in order of first sight.
    pub kinds: Vec<KindSeen>,
    /// Kinds whose entities are left out by setting.
    pub entities_off: Vec<String>,
    /// A per-device availability is published (`expected_every_seconds` or `probe`).
    pub availability: bool,
}

/// One kind a source has sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSeen {
    /// The kind.
    pub event: EventName,
    /// It came with a picture at least once.
    pub picture: bool,
    /// It came with a count at least once.
    pub counted: bool,
}
