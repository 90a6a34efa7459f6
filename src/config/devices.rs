//! Settings of single devices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Mac;

/// Settings by MAC (any spelling), source or device id.
pub type Devices = BTreeMap<String, DeviceSettings>;

/// Settings of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSettings {
    /// The name to show.
    pub name: Option<String>,
    /// Gives an identity to a device that sends none.
    pub mac: Option<Mac>,
    /// The area suggested to Home Assistant.
    pub area: Option<String>,
    /// Its time zone.
    pub timezone: Option<String>,
    /// `false`: its alarms are answered and forgotten.
    pub enabled: Option<bool>,
    /// Its hold, in seconds; goes before the hold of the kind.
    pub hold_seconds: Option<u64>,
    /// Heard at least so often, in seconds, or it is unavailable.
    pub expected_every_seconds: Option<u64>,
    /// Checks that it is there: `tcp:554`.
    pub probe: Option<String>,
    /// `false`: its pictures are thrown away.
    pub snapshots: Option<bool>,
    /// Home Assistant entities to leave out, by kind.
    pub entities_off: Vec<String>,
}
