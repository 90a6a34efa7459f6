//! Waiting for a condition instead of a fixed time.

use std::time::Duration;

use tokio::time::Instant;

/// Interval of checks.
const EVERY: Duration = Duration::from_millis(20);

/// Probes until there is an answer, and gives it.
///
/// # Panics
/// When `limit` has passed; says `what` it waited for.
#[track_caller]
pub(crate) fn eventually<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(Instant::now() < end, "waited {limit:?} in vain for {what} (at {caller})");
            tokio::time::sleep(EVERY).await;
        }
    }
}
