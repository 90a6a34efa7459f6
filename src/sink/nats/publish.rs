//! From a message to its receipt.

use std::future::Future;
use std::sync::Arc;

use async_nats::client::PublishErrorKind as CoreErrorKind;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::failure::down;
use super::link::Shared;
use super::message::Outgoing;
use super::pending::{Pending, delivered, hand_over_failed, permission, too_large};
use super::store::Store;
use crate::sink::{Outcome, Receipt, SinkDown};

/// Publishes one message. The order of calls is the order on the wire.
///
/// # Errors
/// When the session is over.
pub(super) async fn publish(shared: &Arc<Shared>, message: Outgoing) -> Result<Receipt, SinkDown> {
    let permit = tokio::select! {
        biased;
        () = shared.ending.gone.cancelled() => return Err(shared.ending.reason()),
        permit = Arc::clone(&shared.window).acquire_owned() => permit.map_err(|_| shared.ending.reason())?,
    };
    if shared.client.connection_state() != async_nats::connection::State::Connected {
        // The event of it may still be on its way; what is handed over now would go to the client's buffer.
        shared
            .ending
            .end(down("broker_unreachable", "the connection to the NATS server broke; connecting again"));
        return Err(shared.ending.reason());
    }
    match &shared.store {
        Some(store) => stored(shared, store, permit, message).await,
        None => plain(shared, permit, message).await,
    }
}

/// An outcome that is known already.
pub(super) fn settled(outcome: Outcome) -> Receipt {
    let (tell, receipt) = oneshot::channel();
    tell.send(outcome).ok();
    receipt
}

/// Runs until the outcome is known or the session ends; then the receipt is dropped without one.
fn promise(
    shared: &Shared,
    permit: OwnedSemaphorePermit,
    outcome: impl Future<Output = Outcome> + Send + 'static,
) -> Receipt {
    let (tell, receipt) = oneshot::channel();
    let gone = shared.ending.gone.clone();
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            biased;
            outcome = outcome => {
                tell.send(outcome).ok();
            }
            () = gone.cancelled() => {}
        }
    });
    receipt
}

/// Core NATS: best effort, done once it is written out.
async fn plain(
    shared: &Arc<Shared>,
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

/// JetStream: done when the stream has it.
async fn stored(
    shared: &Arc<Shared>,
    store: &Store,
    permit: OwnedSemaphorePermit,
    message: Outgoing,
) -> Result<Receipt, SinkDown> {
    let Outgoing { subject, headers, payload, picture, retain } = message;
    let watch = shared.ending.denied.watch(&subject);
    let publish = PublishMessage::build().payload(payload.clone()).headers(headers);
    let handed = store.js.send_publish(subject.clone(), publish).await;
    let pending = Pending { shared: Arc::clone(shared), subject, payload, picture, retain };
    match handed {
        Ok(ack) => Ok(promise(shared, permit, pending.acknowledged(ack, watch))),
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            // Here and not later: what is sent to this subject from now on must come after the emptying.
            let emptied = match pending.stands_for_an_older() {
                true => store.js.send_publish(pending.subject.clone(), PublishMessage::build()).await.ok(),
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
