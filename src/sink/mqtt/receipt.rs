//! From messages in flight to their receipts: one task for all of a session, since an acknowledgement is not worth a
//! task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::Pending;
use super::{LastToken, lock};
use crate::sink::Outcome;

/// A message in flight; holds its place in the window.
pub(super) struct Unsettled {
    pub(super) pending: Pending,
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

/// Settles what is in flight, in whatever order acknowledgements come, until the link ends. An acknowledgement that
/// came by then counts, whatever came after.
pub(super) async fn settle(mut sent: Receiver<Unsettled>, ended: CancellationToken) {
    let mut waiting = FuturesUnordered::new();
    let ended = ended.cancelled_owned();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => break,
            Some(()) = waiting.next(), if !waiting.is_empty() => {}
            Some(unsettled) = sent.recv() => waiting.push(unsettled.settled()),
            else => break,
        }
    }
    while let Ok(unsettled) = sent.try_recv() {
        waiting.push(unsettled.settled());
    }
    while let Some(Some(())) = waiting.next().now_or_never() {}
}

impl Unsettled {
    /// Waits for the acknowledgement.
    async fn settled(self) {
        let Some(mut outcome) = self.pending.outcome().await else { return };
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
