//! From a message in flight to its receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::Pending;
use super::{LastToken, lock};
use crate::sink::Outcome;

/// A message in flight; holds its place in the window.
pub(super) struct Unsettled {
    pub(super) tell: oneshot::Sender<Outcome>,
    /// What the embedded broker knows of subscribers.
    pub(super) heard: Option<bool>,
    /// The token it carries, and where an acknowledged one is kept.
    pub(super) token: Option<(String, LastToken)>,
    /// The broker said "no matching subscribers" once in this session, so a plain success means that somebody listens.
    pub(super) tells_silence: Arc<AtomicBool>,
    /// Its place in the window, and the room its payload takes.
    pub(super) permits: [OwnedSemaphorePermit; 2],
}

impl Unsettled {
    /// Waits for the acknowledgement or the end of the link. An acknowledgement that came counts, whatever came after.
    pub(super) async fn settle(self, pending: Pending, ended: CancellationToken) {
        let outcome = tokio::select! {
            biased;
            outcome = pending.outcome() => outcome,
            () = ended.cancelled() => None,
        };
        let Some(mut outcome) = outcome else { return };
        if let Outcome::Delivered { heard, .. } = &mut outcome {
            if *heard == Some(false) {
                self.tells_silence.store(true, Ordering::Relaxed);
            } else {
                *heard = self.heard.or_else(|| self.tells_silence.load(Ordering::Relaxed).then_some(true));
            }
            if let Some((token, last)) = self.token {
                *lock(&last) = vec![token];
            }
        }
        drop(self.permits);
        // Who does not wait for the receipt does not want to know.
        self.tell.send(outcome).ok();
    }
}
