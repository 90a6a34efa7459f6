//! What is handed to the outbox, and what it answers.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::effects::RequestRow;
use crate::model::clock::ZoneSetting;
use crate::model::{Alarm, Picture};

/// One report on its way into the log.
#[derive(Debug)]
pub struct Submission {
    /// UUIDv7 of the report; its alarms have the same but for the last five digits.
    pub id: Uuid,
    /// When its last byte had come, by the wall clock.
    pub received_at: Timestamp,
    /// The same by the monotonic clock.
    pub received: Instant,
    /// Who sent it (behind a trusted proxy: the address it forwards for).
    pub peer: IpAddr,
    /// Name of the webhook it came to.
    pub webhook: String,
    /// The webhook's zone, where it has one.
    pub zone: Option<ZoneSetting>,
    /// The alarms, in order.
    pub alarms: Vec<Alarm>,
    /// The pictures they refer to.
    pub pictures: Vec<Picture>,
    /// The request itself for the Requests page; secrets already masked.
    pub request: Option<RawRequest>,
}

/// A request as it came, for the Requests page.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// Request line and headers, the secret path masked.
    pub head: String,
    /// The body, as far as it is kept.
    pub body: Bytes,
    /// The answer's status.
    pub status: u16,
    /// What became of it, in plain words.
    pub verdict: String,
}

/// What a commit answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The identifiers of the alarms, in order.
    pub ids: Vec<Uuid>,
    /// `false`: held in memory, because the disk refuses writes.
    pub durable: bool,
}

/// The writer is gone: the bridge is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge is stopping")]
pub struct Closed;

/// The row of a request.
pub(crate) fn request_row(
    id: Uuid,
    at: Timestamp,
    peer: IpAddr,
    request: RawRequest,
    alarms: Vec<Uuid>,
) -> RequestRow {
    let RawRequest { head, body, status, verdict } = request;
    RequestRow { id, at, peer: peer.to_canonical().to_string(), status, verdict, head, body, alarms }
}
