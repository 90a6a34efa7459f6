//! The fence of a partition's values: its owner publishes a token when it connects, and each value expects that the
//! token is still the latest. So the server refuses what a displaced owner writes.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::dial::is_at_least;
use super::failure::down;
use super::store::JetStreamStore;
use crate::findings::FindingCode;
use crate::sink::SinkDown;

/// Oldest server that compares the sequence of another subject (NATS documentation, JetStream headers).
const OLDEST: (u64, u64) = (2, 11);

/// The token of this session.
#[derive(Debug)]
pub(super) struct Fence {
    subject: String,
    sequence: u64,
}

impl Fence {
    /// Publishes the token of a session. `None`: the server is too old, or there is no stream.
    ///
    /// # Errors
    /// When the stream does not take it.
    pub(super) async fn raise(
        k: u64,
        prefix: &str,
        version: &str,
        store: Option<&JetStreamStore>,
    ) -> Result<Option<Self>, SinkDown> {
        let Some(store) = store.filter(|_| is_at_least(version, OLDEST)) else { return Ok(None) };
        let subject = format!("{prefix}.fence-{k}.token");
        let failed = |error: &dyn std::fmt::Display| {
            down(
                FindingCode::BrokerUnreachable,
                format!("the stream does not take {prefix}.fence-{k}.token: {error}"),
            )
        };
        let token = Bytes::from(uuid::Uuid::now_v7().to_string());
        let sent = store.js.publish(subject.clone(), token).await.map_err(|error| failed(&error))?;
        let ack = sent.await.map_err(|error| failed(&error))?;
        Ok(Some(Self { subject, sequence: ack.sequence }))
    }

    /// Adds what the server is to compare.
    pub(super) fn expect(&self, headers: &mut HeaderMap) {
        headers.insert("Nats-Expected-Last-Subject-Sequence", self.sequence.to_string().as_str());
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", self.subject.as_str());
    }
}
