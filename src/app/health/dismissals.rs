//! Dismissed findings, stored so that they stay dismissed after a restart.

use tokio_util::sync::CancellationToken;

use crate::findings::Findings;
use crate::outbox::Outbox;

/// Name of the outbox note that stores them.
const NOTE: &str = "dismissed";

/// Restores the dismissals of earlier runs.
pub(in crate::app) fn restore(outbox: &Outbox, findings: &Findings) {
    match outbox.reader().note(NOTE) {
        Ok(kept) => {
            let kept = kept.and_then(|text| serde_json::from_str(&text).ok());
            findings.remember(kept.unwrap_or_default());
        }
        Err(error) => tracing::debug!("the dismissed findings cannot be read: {error}"),
    }
}

/// Stores every change until the stop.
pub(in crate::app) async fn store_changes(outbox: Outbox, findings: Findings, stop: CancellationToken) {
    let work = async {
        loop {
            findings.dismissals_changed().await;
            let text = serde_json::to_string(&findings.dismissed()).unwrap_or_default();
            if outbox.note(NOTE, text).await.is_err() {
                break;
            }
        }
    };
    stop.run_until_cancelled(work).await;
}
