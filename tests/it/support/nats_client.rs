//! A NATS reader: core subscriptions, and content of streams.

use std::time::Duration;

use async_nats::jetstream::{self, stream::Stream};
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;

use super::SOON;

/// One message with its place in the stream.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    /// The `Nats-Msg-Id` header.
    pub(crate) id: Option<String>,
    pub(crate) headers: async_nats::HeaderMap,
}

/// A connection that reads.
pub(crate) struct NatsReader {
    client: Client,
}

impl NatsReader {
    /// Connects.
    pub(crate) async fn connect(url: &str) -> Self {
        let client = async_nats::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self { client }
    }

    /// The same with a user.
    pub(crate) async fn login(url: &str, user: &str, password: &str) -> Self {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
        let client = options.connect(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        Self { client }
    }

    /// The client itself, for publishing and administration.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Subscribes to a subject; returns when the server has the subscription.
    pub(crate) async fn subscribe(&self, subject: &str) -> Subscriber {
        let subscriber = self.client.subscribe(subject.to_owned()).await.expect("subscribed");
        self.client.flush().await.expect("flushed");
        subscriber
    }

    /// Everything a stream holds, oldest first.
    pub(crate) async fn stored(&self, stream: &str) -> Vec<Stored> {
        let mut stream = self.stream(stream).await;
        let state = stream.info().await.expect("the stream tells its state").state.clone();
        let mut all = Vec::new();
        if state.messages == 0 {
            return all;
        }
        for sequence in state.first_sequence..=state.last_sequence {
            // Gaps are usual in a stream that keeps the last message of each subject.
            if let Ok(message) = stream.get_raw_message(sequence).await {
                let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
                all.push(Stored {
                    sequence,
                    subject: message.subject.to_string(),
                    payload: message.payload,
                    id: id.map(ToString::to_string),
                    headers: message.headers.clone(),
                });
            }
        }
        all
    }

    /// The last message on a subject of a stream.
    pub(crate) async fn last(&self, stream: &str, subject: &str) -> Option<Bytes> {
        let stream = self.stream(stream).await;
        stream.get_last_raw_message_by_subject(subject).await.ok().map(|message| message.payload)
    }

    async fn stream(&self, name: &str) -> Stream {
        let context = jetstream::new(self.client.clone());
        context.get_stream(name).await.unwrap_or_else(|error| panic!("stream {name}: {error}"))
    }
}

/// The next message of a subscription.
///
/// # Panics
/// When none comes in time.
pub(crate) async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    let next = tokio::time::timeout(SOON, subscriber.next()).await;
    next.expect("a message comes in time").expect("the subscription is open")
}

/// Returns whether nothing arrives for this time.
pub(crate) async fn is_silent(subscriber: &mut Subscriber, time: Duration) -> bool {
    tokio::time::timeout(time, subscriber.next()).await.is_err()
}
