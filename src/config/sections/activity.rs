//! Hold times.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::keypath::KeyPath;

/// Hold of activities after their last alarm.
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

/// The longest hold, in seconds: a year.
const MAX_HOLD_SECONDS: u64 = 31_536_000;

impl Activity {
    /// Checks the holds and the names of kinds.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        check.within("activity.hold_seconds", self.hold_seconds, 1, MAX_HOLD_SECONDS);
        check.within("activity.fault_hold_seconds", self.fault_hold_seconds, 1, MAX_HOLD_SECONDS);
        for (kind, seconds) in &self.hold {
            let key = KeyPath::of(["activity", "hold", kind]);
            check.slug(&key, kind);
            check.within(&key.to_string(), *seconds, 1, MAX_HOLD_SECONDS);
        }
    }
}
