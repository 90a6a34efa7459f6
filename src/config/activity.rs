//! Hold times.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How long an activity is held after its last alarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Activity {
    /// Seconds after the last alarm until OFF.
    pub hold_seconds: u64,
    /// Seconds until a fault that nobody cleared goes OFF.
    pub fault_hold_seconds: u64,
    /// Hold of single kinds, in seconds: `hold.person = 30`.
    pub hold: BTreeMap<String, u64>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { hold_seconds: 20, fault_hold_seconds: 86_400, hold: BTreeMap::new() }
    }
}
