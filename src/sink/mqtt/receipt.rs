//! Settles messages in flight. One task serves all messages of a session, because a task per acknowledgement costs too
//! much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::events::PendingPublish;
use super::{LastToken, lock};
use crate::sink::Outcome;

/// Message in flight; it holds its permits of the window.
pub(super) struct Unsettled {
    pub(super) pending: PendingPublish,
    pub(super) sender: oneshot::Sender<Outcome>,
    /// Subscribers known to the embedded broker: `Some(false)` if there is none.
    pub(super) heard: Option<bool>,
    /// Its token, and the list of acknowledged tokens.
    pub(super) token: Option<(String, LastToken)>,
    /// Set if the broker answered "no matching subscribers" in this session, so that a plain success means a
    /// subscriber exists.
    pub(super) tells_silence: Arc<AtomicBool>,
    /// Permits for one message in the window and for its payload.
    pub(super) permits: [OwnedSemaphorePermit; 2],
}

/// Passes a message in flight to the settling task. If the connection ended meanwhile, it is settled here: it may have
/// been sent, and may be the cause of the end.
pub(super) async fn hand_over(in_flight: &Sender<Unsettled>, unsettled: Unsettled) {
    if let Err(SendError(unsettled)) = in_flight.send(unsettled).await {
        unsettled.settled().now_or_never();
    }
}

/// Settles messages in the order of their acknowledgements until the connection ends. An acknowledgement that arrived
/// before the end counts.
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
    // From now on the sending task settles its message itself.
    sent.close();
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
        // The receiver may have been dropped.
        self.sender.send(outcome).ok();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::sink::RefusalCode;
    use crate::sink::mqtt::link::events::refused;

    #[tokio::test]
    async fn a_refusal_counts_though_the_link_ended_before_the_message_was_handed_over() {
        let permits = Arc::new(Semaphore::new(2));
        let permit = || Arc::clone(&permits).try_acquire_owned().expect("there are two");
        let (in_flight, sent) = mpsc::channel(1);
        let (sender, receipt) = oneshot::channel();
        let unsettled = Unsettled {
            pending: PendingPublish::Settled(refused(RefusalCode::Permission, "no".into())),
            sender,
            heard: None,
            token: None,
            tells_silence: Arc::default(),
            permits: [permit(), permit()],
        };
        drop(sent);
        hand_over(&in_flight, unsettled).await;
        assert!(matches!(receipt.await, Ok(Outcome::Refused(_))));
        assert_eq!(permits.available_permits(), 2);
    }
}
