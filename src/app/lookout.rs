//! Looks now and then for what no event tells: time that has passed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::hooks::Hooks;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at what time changes.
pub(super) struct Lookout {
    /// Old paths of webhooks end.
    pub(super) hooks: Arc<Hooks>,
}

impl Lookout {
    /// Looks until the stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            self.look();
        }
    }

    fn look(&self) {
        self.hooks.expire();
    }
}
