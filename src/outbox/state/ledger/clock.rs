//! The clock of a source in a cluster: alarms of several instances arrive in another order than they were received.

use std::time::Duration;

use super::Ledger;
use crate::activity::Now;
use crate::model::Source;

/// An alarm that was received so long before the latest decided one of its source, in milliseconds, is late.
const LATE: i64 = 2_000;

impl Ledger {
    /// The time at which an alarm of a source counts as received: not before the latest decided one. Also returns
    /// whether it is late. Without a cluster it is the time of receipt.
    pub(super) fn clock_of(&self, source: &Source, at: Now) -> (Now, bool) {
        let Some(device) = self.devices.get(source).filter(|_| self.settings.clustered) else {
            return (at, false);
        };
        let before_ms = device.last_heard_ms - at.wall.as_millisecond();
        let Ok(behind) = u64::try_from(before_ms).map(Duration::from_millis) else { return (at, false) };
        let wall = at.wall.checked_add(behind).unwrap_or(at.wall);
        (Now { mono: at.mono + behind, wall }, LATE < before_ms)
    }
}
