//! Outcome of a message: the server's responses and their meaning.

use std::error::Error as _;
use std::future::IntoFuture;
use std::sync::Arc;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use bytes::Bytes;

use super::denied::DeniedWatch;
use super::failure::down;
use super::link::shared::SessionState;
use super::store::BUCKET;
use crate::findings::FindingCode;
use crate::sink::{Outcome, Refusal, RefusalCode, SinkDown};

/// Message that was sent, or was too large for that.
pub(super) struct PendingMessage {
    pub(super) shared: Arc<SessionState>,
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) picture: Option<String>,
    pub(super) retain: bool,
}

impl PendingMessage {
    /// Outcome.
    pub(super) async fn acknowledged(self, ack: PublishAckFuture, mut watch: DeniedWatch) -> Outcome {
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
            // A duplicate was delivered before, and its acknowledgement was lost.
            Ok(_) => delivered(None),
            Err(error) => self.failed(&error, &watch).await,
        }
    }

    async fn failed(self, error: &PublishError, watch: &DeniedWatch) -> Outcome {
        match error.kind() {
            PublishErrorKind::TimedOut => match watch.earlier() {
                Some(words) => permission(&words),
                None => Outcome::Later("JetStream did not acknowledge in time".into()),
            },
            PublishErrorKind::StreamNotFound => {
                // Restoring the streams runs in the background, so that the receipt is not delayed.
                let (shared, subject) = (Arc::clone(&self.shared), self.subject.clone());
                tokio::spawn(async move {
                    if let Some(store) = &shared.store {
                        store.handle_missing_stream(&shared.ending, &subject).await;
                    }
                });
                Outcome::Later(format!("no stream takes {}: it was deleted, or has no leader", self.subject))
            }
            PublishErrorKind::BrokenPipe => {
                hand_over_failed(&self.shared, "the client stopped");
                std::future::pending().await
            }
            PublishErrorKind::MaxPayloadExceeded => self.too_large().await,
            PublishErrorKind::WrongLastSequence => {
                let reason = "another instance publishes this partition now; connecting again";
                self.shared.ending.end(down(FindingCode::BrokerTakenOver, reason));
                std::future::pending().await
            }
            _ => match error.source().and_then(|source| source.downcast_ref::<ApiError>()) {
                Some(api) => self.not_stored(api).await,
                None => Outcome::Later(error.to_string()),
            },
        }
    }

    /// Outcome of an error response of the stream.
    async fn not_stored(self, api: &ApiError) -> Outcome {
        match api.error_code() {
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM if self.picture.is_some() => self.too_large().await,
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
                refused(RefusalCode::TooLarge, format!("{api}; raise the stream's max_msg_size"))
            }
            // Full with "discard new", offline, out of resources, sealed: each may be temporary.
            _ => Outcome::Later(format!("the stream for {} did not take it: {api}", self.subject)),
        }
    }

    /// Returns whether it is a picture for the object store while its subject still holds an older one, which would
    /// pass for the latest.
    pub(super) fn stands_for_an_older(&self) -> bool {
        self.retain && self.picture.is_some()
    }

    /// Stores it elsewhere; `emptied` is the acknowledgement of emptying its subject.
    pub(super) async fn elsewhere(self, emptied: Option<PublishAckFuture>) -> Outcome {
        if let Some(ack) = emptied
            && let Ok(ack) = ack.into_future().await
        {
            self.forget(&ack.stream, ack.sequence).await;
        }
        self.too_large().await
    }

    /// Stores a picture in the object store; any other message is refused.
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

    /// Removes a value from the stream: the empty message that was just stored, and all before it, but not later ones.
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
            // The empty message stays, which readers also treat as no value.
            tracing::debug!(subject = self.subject, %error, "an emptied value could not be purged");
        }
    }
}

/// Permanent refusal.
pub(super) fn refused(code: RefusalCode, reason: impl Into<String>) -> Outcome {
    Outcome::Refused(Refusal { code, reason: reason.into() })
}

/// Outcome of a delivered message.
pub(super) fn delivered(object: Option<String>) -> Outcome {
    Outcome::Delivered { object, heard: None }
}

/// Error of a client that accepts no more messages because the session is over.
pub(super) fn hand_over_failed(shared: &SessionState, words: &str) -> SinkDown {
    let reason = format!("the connection to the NATS server broke ({words}); connecting again");
    shared.ending.end(down(FindingCode::BrokerUnreachable, reason));
    shared.ending.reason()
}

/// Outcome of a message to a subject that the user may not publish to.
pub(super) fn permission(words: &str) -> Outcome {
    refused(RefusalCode::Permission, format!("{words}; allow the user to publish to this subject"))
}

/// Outcome of a message that is larger than the server accepts.
pub(super) fn too_large(shared: &SessionState, size: usize) -> Outcome {
    let limit = shared.client.max_payload();
    refused(
        RefusalCode::TooLarge,
        format!(
            "{size} bytes and headers pass the server's max_payload of {limit} bytes; raise max_payload there"
        ),
    )
}
