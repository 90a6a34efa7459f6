//! Reports: submission to the outbox, and its answer.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::cluster::Spooled;
use super::command::Command;
use super::log::entry::StoredRequest;
use super::{Execution, Outbox};
use crate::findings::FindingCode;
use crate::model::time::clock::ZoneSetting;
use crate::model::{Alarm, Picture, Reported};

/// Size in bytes from which on the pictures of a report count as large; those of only one large report are stored at
/// a time.
const LARGE_BYTES: usize = 1 << 20;
/// A report to be committed.
#[derive(Debug)]
pub struct Submission {
    /// UUIDv7 of the report; its alarms share the first 31 digits.
    pub id: Uuid,
    /// Time of receipt of its last byte, by the wall clock.
    pub received_at: Timestamp,
    /// Time of receipt of its last byte, by the monotonic clock.
    pub received: Instant,
    /// Address of the sender (behind a trusted proxy: the address it forwards for).
    pub peer: IpAddr,
    /// Identifier of the webhook it was sent to.
    pub webhook: String,
    /// The webhook's zone, where it has one.
    pub zone: Option<ZoneSetting>,
    /// The alarms, in order.
    pub alarms: Vec<Alarm>,
    /// Devices that sent a sign of life without an alarm.
    pub heard: Vec<Reported>,
    /// Pictures the alarms refer to.
    pub pictures: Vec<Picture>,
    /// The request for the Requests page; secrets already masked.
    pub request: Option<RawRequest>,
}

impl Submission {
    /// Signs of life of devices, without an alarm.
    #[must_use]
    pub fn heard(id: Uuid, peer: IpAddr, heard: Vec<Reported>) -> Self {
        Self {
            id,
            received_at: crate::host::now(),
            received: Instant::now(),
            peer,
            webhook: String::new(),
            zone: None,
            alarms: Vec::new(),
            heard,
            pictures: Vec::new(),
            request: None,
        }
    }
}

/// A request as received, for the Requests page.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// Request line and headers, the secret path masked.
    pub head: String,
    /// The body, as far as it is stored.
    pub body: Bytes,
    /// The answer's status.
    pub status: u16,
    /// Result in plain words.
    pub verdict: String,
}

/// Answer to a report that is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The identifiers of the alarms, in order.
    pub ids: Vec<Uuid>,
    /// `false`: held in memory, because the disk refuses writes.
    pub durable: bool,
    /// Set once JetStream has it, where an answer waits for that.
    pub in_cluster: Option<bool>,
}

/// The writer is gone: the bridge is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge is stopping")]
pub struct Closed;

impl Outbox {
    /// Commits a report. Returns the identifiers of its alarms once they are on the disk.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn append(&self, submission: Submission) -> Result<Appended, Closed> {
        if let Some(edge) = self.edge.get() {
            let Spooled { row, ids, taken } = edge.report(&submission);
            let request = submission.request.map(|request| {
                let at = submission.received_at;
                Box::new(request_row(submission.id, at, submission.peer, request, ids.clone()))
            });
            let appended = self.spool(row, request, ids).await?;
            let Some((taken, patience)) = taken else { return Ok(appended) };
            let has = matches!(tokio::time::timeout(patience, taken).await, Ok(Ok(())));
            return Ok(Appended { in_cluster: Some(has), ..appended });
        }
        self.append_as(submission, Vec::new()).await
    }

    /// Commits a report by this instance alone. `given`: identifiers of its alarms, if they were answered before.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn append_as(&self, submission: Submission, given: Vec<Uuid>) -> Result<Appended, Closed> {
        let stored = self.store_pictures(&submission.pictures).await;
        let (reply, answer) = oneshot::channel();
        let command = Command::Submit { submission: Box::new(submission), stored, given, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    /// Writes the pictures of a report to disk, before the commit that refers to them.
    async fn store_pictures(&self, pictures: &[Picture]) -> Vec<Option<Uuid>> {
        if pictures.iter().all(|picture| picture.problem.is_some()) {
            return vec![None; pictures.len()];
        }
        let data: Vec<Option<Bytes>> =
            pictures.iter().map(|p| p.problem.is_none().then(|| p.data.clone())).collect();
        let store = self.shared.pictures.clone();
        let bytes: usize = data.iter().flatten().map(Bytes::len).sum();
        let write = move || data.into_iter().map(|data| store.store(&data?)).collect();
        // Semaphores are never closed; without a permit it would only be slower.
        let large = if LARGE_BYTES < bytes { self.shared.storing_large.acquire().await.ok() } else { None };
        let turn = self.shared.storing.acquire().await;
        let stored: Vec<Option<Uuid>> = match self.execution {
            Execution::Threads => {
                let stored = tokio::task::spawn_blocking(write);
                stored.await.unwrap_or_else(|_| vec![None; pictures.len()])
            }
            Execution::CurrentRuntime => write(),
        };
        drop((turn, large));
        let lost = pictures.iter().zip(&stored).filter(|(p, id)| p.problem.is_none() && id.is_none()).count();
        if 0 < lost {
            let detail = format!(
                "memory is full while the storage folder cannot be written; pictures dropped: {lost}"
            );
            self.shared.findings.raise(FindingCode::MemoryDropped, "storage", &detail);
        }
        stored
    }

    /// Stores a request that made no alarm (wrong body, refused peer) for the Requests page.
    pub fn record(&self, id: Uuid, at: Timestamp, peer: IpAddr, request: RawRequest) {
        let row = request_row(id, at, peer, request, Vec::new());
        if self.commands.try_send(Command::Record(Box::new(row))).is_err() {
            tracing::debug!("the writer is busy; a request is not kept for the Requests page");
        }
    }
}

/// The row of a request.
pub(crate) fn request_row(
    id: Uuid,
    at: Timestamp,
    peer: IpAddr,
    request: RawRequest,
    alarms: Vec<Uuid>,
) -> StoredRequest {
    let RawRequest { head, body, status, verdict } = request;
    StoredRequest { id, at, peer: peer.to_canonical().to_string(), status, verdict, head, body, alarms }
}
