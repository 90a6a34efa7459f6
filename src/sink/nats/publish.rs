//! Publishes a message and creates its receipt.

use std::future::Future;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::client::PublishErrorKind as CoreErrorKind;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::failure::down;
use super::link::shared::SessionState;
use super::message::Outgoing;
use super::pending::{PendingMessage, delivered, hand_over_failed, permission, too_large};
use super::store::JetStreamStore;
use crate::findings::FindingCode;
use crate::sink::{Outcome, Receipt, SinkDown};

/// Publishes one message. The order of calls is the order on the connection.
///
/// # Errors
/// Fails when the session is over.
pub(super) async fn publish(shared: &Arc<SessionState>, message: Outgoing) -> Result<Receipt, SinkDown> {
    let permit = tokio::select! {
        biased;
        () = shared.ending.gone.cancelled() => return Err(shared.ending.reason()),
        permit = Arc::clone(&shared.window).acquire_owned() => permit.map_err(|_| shared.ending.reason())?,
    };
    if shared.client.connection_state() != async_nats::connection::State::Connected {
        // The disconnect event may not have arrived yet; the client would buffer what is sent now.
        shared.ending.end(down(
            FindingCode::BrokerUnreachable,
            "the connection to the NATS server broke; connecting again",
        ));
        return Err(shared.ending.reason());
    }
    match &shared.store {
        Some(store) => stored(shared, store, permit, message).await,
        None => plain(shared, permit, message).await,
    }
}

/// Receipt with an outcome that is known already.
pub(super) fn settled(outcome: Outcome) -> Receipt {
    let (sender, receipt) = oneshot::channel();
    sender.send(outcome).ok();
    receipt
}

/// Runs until the outcome is known or the session ends; then the receipt is dropped without an outcome.
fn promise(
    shared: &SessionState,
    permit: OwnedSemaphorePermit,
    outcome: impl Future<Output = Outcome> + Send + 'static,
) -> Receipt {
    let (sender, receipt) = oneshot::channel();
    let gone = shared.ending.gone.clone();
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            biased;
            outcome = outcome => {
                sender.send(outcome).ok();
            }
            () = gone.cancelled() => {}
        }
    });
    receipt
}

/// Publishes with core NATS: best effort, delivered once it is written to the connection.
async fn plain(
    shared: &Arc<SessionState>,
    permit: OwnedSemaphorePermit,
    message: Outgoing,
) -> Result<Receipt, SinkDown> {
    let Outgoing { subject, headers, payload, .. } = message;
    let size = payload.len();
    let mut watch = shared.ending.denied.watch(&subject);
    match shared.client.publish_with_headers(subject, headers, payload).await {
        Ok(()) => {
            let client = shared.client.clone();
            Ok(promise(shared, permit, async move {
                tokio::select! {
                    biased;
                    words = watch.denied() => permission(&words),
                    flushed = client.flush() => match flushed {
                        Ok(()) => delivered(None),
                        Err(error) => Outcome::Later(format!("not written to the NATS server: {error}")),
                    },
                }
            }))
        }
        Err(error) if error.kind() == CoreErrorKind::MaxPayloadExceeded => {
            Ok(settled(too_large(shared, size)))
        }
        Err(error) => Err(hand_over_failed(shared, &error.to_string())),
    }
}

/// Publishes with JetStream: delivered when the stream has stored it.
async fn stored(
    shared: &Arc<SessionState>,
    store: &JetStreamStore,
    permit: OwnedSemaphorePermit,
    message: Outgoing,
) -> Result<Receipt, SinkDown> {
    let Outgoing { subject, mut headers, payload, picture, retain } = message;
    let watch = shared.ending.denied.watch(&subject);
    let fence = shared.fence.get().filter(|_| retain);
    if let Some(fence) = fence {
        fence.expect(&mut headers);
    }
    let publish = PublishMessage::build().payload(payload.clone()).headers(headers);
    let handed = store.js.send_publish(subject.clone(), publish).await;
    let pending = PendingMessage { shared: Arc::clone(shared), subject, payload, picture, retain };
    match handed {
        Ok(ack) => Ok(promise(shared, permit, pending.acknowledged(ack, watch))),
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            // The subject is emptied before this returns, so that later messages to it come after the emptying.
            let emptied = match pending.stands_for_an_older() {
                true => {
                    let mut headers = HeaderMap::new();
                    if let Some(fence) = fence {
                        fence.expect(&mut headers);
                    }
                    let empty = PublishMessage::build().headers(headers);
                    store.js.send_publish(pending.subject.clone(), empty).await.ok()
                }
                false => None,
            };
            Ok(promise(shared, permit, pending.elsewhere(emptied)))
        }
        Err(error) if error.kind() == PublishErrorKind::TimedOut => {
            Ok(settled(Outcome::Later("the link to the NATS server is congested".into())))
        }
        Err(error) => Err(hand_over_failed(shared, &error.to_string())),
    }
}
