//! What became of a message: the server's answers, and what each means.

use std::error::Error as _;
use std::future::IntoFuture;
use std::sync::Arc;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use bytes::Bytes;

use super::denied::Watch;
use super::failure::down;
use super::link::Shared;
use super::store::BUCKET;
use crate::sink::{Outcome, Refusal, SinkDown};

/// A message that was handed over, or was too large for that.
pub(super) struct Pending {
    pub(super) shared: Arc<Shared>,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) picture: Option<String>,
    pub(super) retain: bool,
}

impl Pending {
    /// What became of it.
    pub(super) async fn acknowledged(self, ack: PublishAckFuture, mut watch: Watch) -> Outcome {
        let answer = tokio::select! {
            biased;
            words = watch.denied() => return permission(&words),
            answer = ack.into_future() => answer,
        };
        match answer {
            Ok(ack) if self.retain && self.payload.is_empty() => {
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

    /// Whether it is a picture for the object store while its subject still holds an older one, which would pass for
    /// the latest.
    pub(super) fn stands_for_an_older(&self) -> bool {
        self.retain && self.picture.is_some()
    }

    /// Stores it elsewhere; `emptied` is the emptying of its subject.
    pub(super) async fn elsewhere(self, emptied: Option<PublishAckFuture>) -> Outcome {
        if let Some(ack) = emptied
            && let Ok(ack) = ack.into_future().await
        {
            self.forget(&ack.stream, ack.sequence).await;
        }
        self.too_large().await
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

/// A refusal for good.
pub(super) fn refused(code: &'static str, reason: impl Into<String>) -> Outcome {
    Outcome::Refused(Refusal { code, reason: reason.into() })
}

/// The far side has it.
pub(super) fn delivered(object: Option<String>) -> Outcome {
    Outcome::Delivered { object, heard: None }
}

/// The client took nothing more: the session is over.
pub(super) fn hand_over_failed(shared: &Shared, words: &str) -> SinkDown {
    let reason = format!("the connection to the NATS server broke ({words}); connecting again");
    shared.ending.end(down("broker_unreachable", reason));
    shared.ending.reason()
}

/// The server may not be told this by this user.
pub(super) fn permission(words: &str) -> Outcome {
    refused("permission", format!("{words}; allow the user to publish to this subject"))
}

/// Larger than any message may be.
pub(super) fn too_large(shared: &Shared, size: usize) -> Outcome {
    let limit = shared.client.max_payload();
    refused(
        "too_large",
        format!(
            "{size} bytes and headers pass the server's max_payload of {limit} bytes; raise max_payload there"
        ),
    )
}
