//! `bridge.state`: NATS has no will, so `online` is published again during the session, and a state older than 90 s
//! means offline.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::link::shared::SessionState;
use super::message::Outgoing;
use super::publish::publish;

/// Running renewal.
pub(super) struct Presence {
    /// Subject.
    pub(super) subject: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Presence {
    /// Starts to publish `online` again; the caller has published the first one.
    pub(super) fn start(shared: &Arc<SessionState>, subject: String, period: Duration) -> Self {
        let stop = shared.ending.gone.child_token();
        let task = tokio::spawn(renew(Arc::clone(shared), subject.clone(), period, stop.clone()));
        Self { subject, stop, task }
    }

    /// Stops it; no `online` follows.
    pub(super) async fn stop(self) -> String {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "the renewal of bridge.state ended with an error");
        }
        self.subject
    }
}

async fn renew(shared: Arc<SessionState>, subject: String, period: Duration, stop: CancellationToken) {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // The next renewal replaces a failed one; the end of the session is reported elsewhere.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            receipt = publish(&shared, state(subject.clone(), "online")) => if receipt.is_err() { return },
        }
    }
}

/// State as published: `{"state": "online", "at": "2026-10-05T08:25:32Z"}`.
pub(super) fn state(subject: String, state: &str) -> Outgoing {
    let at = jiff::Timestamp::now().to_string();
    let json = serde_json::json!({ "state": state, "at": at });
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/json");
    headers.insert("time", at);
    Outgoing { subject, headers, payload: Bytes::from(json.to_string()), picture: None, retain: true }
}
