//! From a message to its receipt.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;

use async_nats::client::PublishErrorKind as CoreErrorKind;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::denied::Watch;
use super::failure::down;
use super::link::Shared;
use super::message::Outgoing;
use super::store::{BUCKET, Store};
use crate::sink::{Outcome, Receipt, Refusal, SinkDown};

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

/// A refusal for good.
pub(super) fn refused(code: &'static str, reason: impl Into<String>) -> Outcome {
    Outcome::Refused(Refusal { code, reason: reason.into() })
}

fn delivered(object: Option<String>) -> Outcome {
    Outcome::Delivered { object, heard: None }
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
    let Outgoing { subject, headers, payload, picture, empties } = message;
    let watch = shared.ending.denied.watch(&subject);
    let publish = PublishMessage::build().payload(payload.clone()).headers(headers);
    match store.js.send_publish(subject.clone(), publish).await {
        Ok(ack) => {
            let pending = Pending { shared: Arc::clone(shared), subject, payload, picture, empties };
            Ok(promise(shared, permit, pending.acknowledged(ack, watch)))
        }
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
            let pending = Pending { shared: Arc::clone(shared), subject, payload, picture, empties };
            Ok(promise(shared, permit, pending.too_large()))
        }
        Err(error) if error.kind() == PublishErrorKind::TimedOut => {
            Ok(settled(Outcome::Later("the link to the NATS server is congested".into())))
        }
        Err(error) => Err(hand_over_failed(shared, &error.to_string())),
    }
}

/// The client took nothing more: the session is over.
fn hand_over_failed(shared: &Shared, words: &str) -> SinkDown {
    let reason = format!("the connection to the NATS server broke ({words}); connecting again");
    shared.ending.end(down("broker_unreachable", reason));
    shared.ending.reason()
}

fn permission(words: &str) -> Outcome {
    refused("permission", format!("{words}; allow the user to publish to this subject"))
}

fn too_large(shared: &Shared, size: usize) -> Outcome {
    let limit = shared.client.max_payload();
    refused(
        "too_large",
        format!(
            "{size} bytes and headers pass the server's max_payload of {limit} bytes; raise max_payload there"
        ),
    )
}

/// A message that was handed over.
struct Pending {
    shared: Arc<Shared>,
    subject: String,
    payload: Bytes,
    picture: Option<String>,
    empties: bool,
}

impl Pending {
    /// What became of it.
    async fn acknowledged(self, ack: PublishAckFuture, mut watch: Watch) -> Outcome {
        let answer = tokio::select! {
            biased;
            words = watch.denied() => return permission(&words),
            answer = ack.into_future() => answer,
        };
        match answer {
            Ok(ack) if self.empties => {
                self.forget(&ack.stream, ack.sequence).await;
                delivered(None)
            }
            // A duplicate is a delivery whose acknowledgement was lost.
            Ok(_) => delivered(None),
            Err(error) => self.failed(&error, &watch).await,
        }
    }

    async fn failed(self, error: &PublishError, watch: &Watch) -> Outcome {
        match error.kind() {
            PublishErrorKind::TimedOut => match watch.earlier() {
                Some(words) => permission(&words),
                None => Outcome::Later("JetStream did not acknowledge in time".into()),
            },
            PublishErrorKind::StreamNotFound => {
                // Nothing waits for the streams here: the receipt comes at once.
                let (shared, subject) = (Arc::clone(&self.shared), self.subject.clone());
                tokio::spawn(async move {
                    if let Some(store) = &shared.store {
                        store.look_after(&shared.ending, &subject).await;
                    }
                });
                Outcome::Later(format!("no stream takes {}: it was deleted, or has no leader", self.subject))
            }
            PublishErrorKind::BrokenPipe => {
                hand_over_failed(&self.shared, "the client stopped");
                std::future::pending().await
            }
            PublishErrorKind::MaxPayloadExceeded => self.too_large().await,
            _ => match error.source().and_then(|source| source.downcast_ref::<ApiError>()) {
                Some(api) => self.not_stored(api).await,
                None => Outcome::Later(error.to_string()),
            },
        }
    }

    /// The stream answered with an error.
    async fn not_stored(self, api: &ApiError) -> Outcome {
        match api.error_code() {
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM if self.picture.is_some() => self.too_large().await,
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
                refused("too_large", format!("{api}; raise the stream's max_msg_size"))
            }
            // Full with "discard new", offline, out of resources, sealed: all may pass.
            _ => Outcome::Later(format!("the stream for {} did not take it: {api}", self.subject)),
        }
    }

    /// A picture goes to the object store, anything else nowhere.
    async fn too_large(self) -> Outcome {
        let (Some(sha256), Some(store)) = (&self.picture, &self.shared.store) else {
            return too_large(&self.shared, self.payload.len());
        };
        let denied = &self.shared.ending.denied;
        let mut create = denied.watch(&format!("$JS.API.STREAM.CREATE.OBJ_{BUCKET}"));
        let mut write = denied.watch(&format!("$O.{BUCKET}."));
        tokio::select! {
            biased;
            words = create.denied() => permission(&words),
            words = write.denied() => permission(&words),
            put = store.put(sha256, &self.payload, self.shared.client.max_payload()) => match put {
                Ok(key) => delivered(Some(key)),
                Err(words) => Outcome::Later(words),
            },
        }
    }

    /// Takes a value out of the stream: the empty message that was just stored, and all before it. Not what may
    /// have come after it.
    async fn forget(&self, stream: &str, sequence: u64) {
        let Some(store) = &self.shared.store else { return };
        let mut watch = self.shared.ending.denied.watch(&format!("$JS.API.STREAM.PURGE.{stream}"));
        let purge = async {
            let stream = store.js.get_stream_no_info(stream).await.map_err(|error| error.to_string())?;
            let purge = stream.purge().filter(self.subject.clone()).sequence(sequence + 1);
            purge.await.map_err(|error| error.to_string())
        };
        let done = tokio::select! {
            biased;
            words = watch.denied() => Err(words),
            done = purge => done,
        };
        if let Err(error) = done {
            // The empty message stands there in its stead, which readers take for nothing as well.
            tracing::debug!(subject = self.subject, %error, "an emptied value could not be purged");
        }
    }
}
