//! The connection to JetStream.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;

use super::streams::{Streams, bucket};
use crate::config;

/// Maximum time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum bytes of a part of a picture.
const PICTURE_PART_BYTES: usize = 512 << 10;

/// Connection with streams and buckets.
#[derive(Debug)]
pub(super) struct JetStreamLink {
    client: async_nats::Client,
    js: Context,
    prefix: String,
    pub(super) streams: Streams,
    /// Bucket of leases.
    pub(super) leases: Store,
    /// Bucket of the sinks' positions.
    pub(super) states: Store,
}

/// Reason why a message was not stored.
#[derive(Debug)]
pub(super) enum PublishFailure {
    /// Another message was stored before it.
    Overtaken,
    /// It can never be stored; with the reason.
    Impossible(String),
    /// Unknown whether it was stored; with the reason.
    Unknown(String),
}

impl JetStreamLink {
    /// Connects, and creates absent streams and buckets.
    pub(super) async fn open(config: &config::Cluster, name: &str) -> Result<Self, String> {
        let name = format!("alarmbus cluster {name}");
        let client = crate::sink::nats::client(&config.nats(), &name).await.map_err(|down| down.reason)?;
        let mut js = jetstream::new(client.clone());
        js.set_timeout(ANSWER_TIMEOUT);
        let streams = Streams::open(&js, config).await?;
        let lease = Duration::from_secs(config.lease_seconds);
        let leases = bucket(&js, "ALARMBUS_LEASE", lease, config.replicas).await?;
        let states = bucket(&js, "ALARMBUS_STATE", Duration::ZERO, config.replicas).await?;
        Ok(Self { client, js, prefix: config.prefix.clone(), streams, leases, states })
    }

    /// Version of the server.
    pub(super) fn version(&self) -> String {
        self.client.server_info().version
    }

    /// A subject of the cluster.
    pub(super) fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    /// Subscribes to announcements of new messages. They may be lost, so the streams are also checked at intervals.
    pub(super) async fn news(&self, rest: &str) -> Option<async_nats::Subscriber> {
        self.client.subscribe(self.subject(rest)).await.ok()
    }

    /// Publishes and waits until the stream has stored the message. `after`: required last sequence of the subject.
    pub(super) async fn publish(
        &self,
        rest: &str,
        id: &str,
        payload: Bytes,
        after: Option<u64>,
    ) -> Result<(), PublishFailure> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        if let Some(after) = after {
            headers.insert("Nats-Expected-Last-Subject-Sequence", after.to_string().as_str());
        }
        let unknown = |error: PublishError| match error.kind() {
            PublishErrorKind::WrongLastSequence => PublishFailure::Overtaken,
            PublishErrorKind::MaxPayloadExceeded => PublishFailure::Impossible(error.to_string()),
            _ => PublishFailure::Unknown(error.to_string()),
        };
        let sent = self.js.publish_with_headers(self.subject(rest), headers, payload);
        sent.await.map_err(unknown)?.await.map(drop).map_err(unknown)
    }

    /// Next message of a subject from a sequence on.
    pub(super) async fn next(
        stream: &Stream,
        subject: String,
        from: u64,
    ) -> Result<Option<StreamMessage>, String> {
        let get = stream.direct_get_next_for_subject(subject, Some(from));
        match tokio::time::timeout(ANSWER_TIMEOUT, get).await {
            Ok(Ok(message)) => Ok(Some(message)),
            Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the stream does not answer".into()),
        }
    }

    /// The stream of a partition's reports.
    pub(super) fn input(&self, k: u64) -> Result<&Stream, String> {
        of_partition(&self.streams.inputs, k)
    }

    /// The stream of a partition's decisions.
    pub(super) fn log(&self, k: u64) -> Result<&Stream, String> {
        of_partition(&self.streams.logs, k)
    }

    /// Sequence of the last message of a stream.
    pub(super) async fn end_of_stream(stream: &Stream) -> Result<u64, String> {
        stream.get_info().await.map(|info| info.state.last_sequence).map_err(|error| error.to_string())
    }

    /// Sequence of the last message of the stream of decisions, if a partition has no record there any more.
    pub(super) async fn end_of_log(&self, k: u64) -> Result<Option<u64>, String> {
        let info = self.log(k)?.get_info().await.map_err(|error| error.to_string())?;
        let first = Self::next(self.log(k)?, self.subject(&format!("log.{k}")), 1).await?;
        Ok(first.is_none().then_some(info.state.last_sequence))
    }

    /// Sequence of the last message of a subject; 0 if there is none, `None` if nothing answers.
    pub(super) async fn end_of(&self, rest: &str, stream: Result<&Stream, String>) -> Option<u64> {
        let get = stream.ok()?.direct_get_last_for_subject(self.subject(rest));
        match tokio::time::timeout(ANSWER_TIMEOUT, get).await.ok()? {
            Ok(message) => Some(message.sequence),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Some(0),
            Err(_) => None,
        }
    }

    /// The last message of a subject.
    pub(super) async fn last(&self, rest: &str, stream: &Stream) -> Result<Option<Bytes>, String> {
        match stream.direct_get_last_for_subject(self.subject(rest)).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns whether the log of a partition holds no record.
    pub(super) async fn log_is_empty(&self, k: u64) -> bool {
        let Ok(log) = self.log(k) else { return false };
        matches!(Self::next(log, self.subject(&format!("log.{k}")), 1).await, Ok(None))
    }

    /// Publishes a picture in parts.
    pub(super) async fn put_picture(&self, sha256: &str, data: &[u8]) -> Result<(), PublishFailure> {
        for (index, part) in data.chunks(PICTURE_PART_BYTES).enumerate() {
            let (rest, id) = (format!("pic.{sha256}.{index}"), format!("{sha256}.{index}"));
            self.publish(&rest, &id, Bytes::copy_from_slice(part), None).await?;
        }
        Ok(())
    }

    /// Fetches a picture; `None` if a part of it is missing.
    pub(super) async fn picture(&self, sha256: &str, bytes: u64) -> Option<Bytes> {
        let size = usize::try_from(bytes).ok()?;
        let mut data = Vec::new();
        for index in 0..size.div_ceil(PICTURE_PART_BYTES) {
            let subject = self.subject(&format!("pic.{sha256}.{index}"));
            let get = self.streams.pictures.direct_get_last_for_subject(subject);
            let part = tokio::time::timeout(ANSWER_TIMEOUT, get).await.ok()?.ok()?;
            data.extend_from_slice(&part.payload);
        }
        (data.len() == size).then(|| data.into())
    }
}

fn of_partition(streams: &[Stream], k: u64) -> Result<&Stream, String> {
    let count = u64::try_from(streams.len()).unwrap_or(1);
    let s = k.checked_rem(count).and_then(|s| usize::try_from(s).ok());
    s.and_then(|s| streams.get(s)).ok_or_else(|| "there is no stream".to_owned())
}
