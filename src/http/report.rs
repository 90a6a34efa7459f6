//! A report on its way from the socket into the outbox: read, decode, commit, answer.
//!
//! All of it runs in one task that the connection cannot cancel (see [`Visit`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::body::{self, Bounds, Read};
use super::journal::{Committed, Told};
use super::visit::Visit;
use super::webhook::Webhook;
use super::wire::Facts;
use super::{answer, capture};
use crate::metrics::Outcome;
use crate::model::Picture;
use crate::model::record::SnapshotProblem;
use crate::outbox::Submission;
use crate::vendor::{self, DecodeError, Decoded, End, Hints};

/// A body larger than this is decoded on a thread for blocking work: hashing pictures takes its time.
const DECODE_INLINE: usize = 256 << 10;

/// A picture of less than this part of its body is copied out of it.
const SMALL_PART: usize = 4;

/// Takes a report in.
pub(super) async fn receive(visit: Arc<Visit>, webhook: Arc<Webhook>, body: Body) -> Response {
    let ingest = Arc::clone(&visit.ingest);
    let limits = ingest.limits.load_full();
    let limited = !ingest.requests.allows(visit.peer, limits.requests_per_second);
    let mut read = body::read(
        body,
        &visit.parts.headers,
        visit.peer,
        Bounds::from(&*limits),
        &ingest.memory,
        &ingest.shutdown,
    )
    .await;
    if read.unread {
        Facts::state(&visit.arrival.facts.unread);
    }
    // A device that repeats its own URL must not carry the secret into alarms, findings and the log.
    read.body.bytes = webhook.path.masked_in_report(read.body.bytes);
    let report = Report { visit, webhook, read, received_at: Timestamp::now(), received: Instant::now() };
    let (received, metrics) = (report.received, ingest.metrics.clone());
    metrics.bytes(report.bytes());
    let response = match report.decode(limits.alarms_per_report).await {
        Ok(mut decoded) => {
            if limited {
                report.without_pictures(&mut decoded, limits.requests_per_second);
            }
            report.commit(decoded).await
        }
        Err(DecodeError::Empty) if report.read.body.end == End::Complete => {
            report.nothing("an empty request")
        }
        Err(error) => report.refuse(&error),
    };
    metrics.answered_after(received.elapsed());
    response
}

/// A report read.
struct Report {
    visit: Arc<Visit>,
    webhook: Arc<Webhook>,
    read: Read,
    received_at: Timestamp,
    received: Instant,
}

impl Report {
    /// From bytes to meaning. A mistake of ours in there costs this report, not the bridge.
    async fn decode(&self, alarms_per_report: usize) -> Result<Decoded, DecodeError> {
        let body = self.read.body.clone();
        if body.bytes.is_empty() {
            return Err(match body.end {
                End::Complete => DecodeError::Empty,
                End::Truncated | End::TooLarge => DecodeError::Truncated("no byte of the body came".into()),
            });
        }
        let hints = self.webhook.hints(alarms_per_report);
        let decoded = if body.bytes.len() > DECODE_INLINE {
            let turn = self.visit.ingest.heavy.acquire().await;
            let decoded = tokio::task::spawn_blocking(move || caught(&body, &hints)).await.unwrap_or(None);
            drop(turn);
            decoded
        } else {
            caught(&body, &hints)
        };
        decoded.unwrap_or_else(|| {
            self.raise("handler_failed", "decoding a report failed");
            Err(DecodeError::NotUnderstood("alarmbus made a mistake in decoding it".into()))
        })
    }

    /// The rate on a right path costs the pictures, never the alarms.
    fn without_pictures(&self, decoded: &mut Decoded, per_second: u32) {
        let detail =
            format!("more than limits.requests_per_second = {per_second}: alarms are kept without pictures");
        self.raise("limited", &detail);
        for picture in decoded.pictures.iter_mut().filter(|picture| picture.problem.is_none()) {
            *picture = Picture::missing(picture.bytes, SnapshotProblem::Limited);
        }
    }

    /// Commits the alarms, and only then says so.
    async fn commit(self, decoded: Decoded) -> Response {
        self.note(&decoded);
        if decoded.alarms.is_empty() {
            return self.nothing("a report without events");
        }
        let body = self.read.body.bytes.len();
        let mut pictures = decoded.pictures;
        pictures.iter_mut().for_each(|picture| detach(picture, body));
        let names: Vec<String> = decoded.alarms.iter().map(|alarm| alarm.event.to_string()).collect();
        let verdict = format!("understood: {}", names.join(", "));
        let (peer, webhook, count) = (self.visit.peer, &*self.webhook, pictures.len());
        let submission = Submission {
            id: self.visit.id,
            received_at: self.received_at,
            received: self.received,
            peer,
            webhook: webhook.id.clone(),
            zone: webhook.zone.clone(),
            alarms: decoded.alarms,
            pictures,
            request: Some(capture::raw(
                &self.visit.parts,
                Some(webhook),
                &self.visit.ingest.webhooks,
                &self.read.body.bytes,
                StatusCode::OK,
                verdict,
            )),
        };
        let Ok(appended) = self.visit.ingest.outbox.append(submission).await else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.tell(Outcome::Failed, status, None, "a report came too late: the bridge is stopping");
            let remedy = "send it again when the bridge is back";
            return answer::refused(StatusCode::SERVICE_UNAVAILABLE, "the bridge is stopping", remedy);
        };
        let committed =
            Committed { ids: &appended.ids, events: &names, pictures: count, durable: appended.durable };
        self.tell(Outcome::Alarms, StatusCode::OK, Some(committed), "alarms committed");
        answer::accepted(&appended.ids, appended.durable)
    }

    /// Findings from what was decoded. Of a body that ended early the reader knows more than the decoder.
    fn note(&self, decoded: &Decoded) {
        for problem in &decoded.problems {
            let why = self.read.why.as_deref().filter(|_| problem.code == "body_truncated");
            let detail =
                why.map_or_else(|| problem.detail.clone(), |why| format!("{}: {why}", problem.detail));
            self.raise(problem.code, &detail);
        }
        let ingest = &self.visit.ingest;
        ingest.shared_addresses.note(self.visit.peer, &decoded.alarms, &ingest.findings);
    }

    /// Understood, and there is nothing in it.
    fn nothing(&self, what: &str) -> Response {
        self.tell(Outcome::Nothing, StatusCode::OK, None, what);
        self.visit.record(Some(&self.webhook), &self.read.body.bytes, StatusCode::OK, what.to_owned());
        answer::accepted(&[], true)
    }

    /// Bytes that cannot be an alarm.
    fn refuse(&self, error: &DecodeError) -> Response {
        if !self.visit.stranger_may(Some(&self.webhook), Some(self.bytes())) {
            return answer::too_many();
        }
        let (status, code, remedy) = match error {
            DecodeError::TooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "send less, or raise limits.body_bytes")
            }
            DecodeError::Truncated(_) => {
                let remedy = "check the network, or raise limits.body_seconds";
                (StatusCode::REQUEST_TIMEOUT, "body_truncated", remedy)
            }
            DecodeError::Empty | DecodeError::NotUnderstood(_) => {
                let remedy = "send JSON, or multipart with JSON or a JPEG in it";
                (StatusCode::BAD_REQUEST, "not_understood", remedy)
            }
        };
        let why = self.read.why.as_ref().map_or_else(|| error.to_string(), |why| format!("{error}; {why}"));
        let why = self.without_secret(&why);
        self.tell(Outcome::NotUnderstood, status, None, &format!("no alarm ({code}): {why}"));
        self.raise(code, &why);
        self.visit.record(Some(&self.webhook), &self.read.body.bytes, status, why.clone());
        answer::refused(status, &why, remedy)
    }

    /// Says what became of it.
    fn tell(&self, outcome: Outcome, status: StatusCode, committed: Option<Committed<'_>>, text: &str) {
        let (webhook, bytes) = (Some(self.webhook.id.as_str()), Some(self.bytes()));
        self.visit.tell(&Told { outcome, status, webhook, bytes, committed, text });
    }

    /// How many bytes the body had, those thrown away included.
    fn bytes(&self) -> u64 {
        self.read.body.bytes.len() as u64 + self.read.body.skipped
    }

    /// Reports a finding about the peer.
    fn raise(&self, code: &'static str, detail: &str) {
        self.visit.ingest.metrics.problem(code);
        let detail = self.without_secret(detail);
        self.visit.ingest.findings.raise(code, &self.visit.peer.to_string(), &detail);
    }

    /// A text that may repeat what came, to be shown.
    fn without_secret(&self, text: &str) -> String {
        let masked = self.webhook.path.masked_in(text.to_owned().into());
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// Copies a picture that is a small part of its body, so that it does not keep all of that in memory.
fn detach(picture: &mut Picture, body: usize) {
    if picture.data.len() < body / SMALL_PART {
        picture.data = Bytes::copy_from_slice(&picture.data);
    }
}

/// Decodes; none if that panicked (the panic itself is logged by the hook).
fn caught(body: &vendor::Body, hints: &Hints) -> Option<Result<Decoded, DecodeError>> {
    catch_unwind(AssertUnwindSafe(|| vendor::decode(body, hints))).ok()
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Picture, SnapshotProblem, detach};

    #[test]
    fn a_small_picture_does_not_hold_its_large_body() {
        let body = Bytes::from(vec![7; 100_000]);
        let within = |data: &Bytes| body.as_ptr_range().contains(&data.as_ptr());
        for (bytes, held) in [(1_000, false), (90_000, true)] {
            let mut picture =
                Picture { data: body.slice(..bytes), ..Picture::missing(0, SnapshotProblem::Limited) };
            detach(&mut picture, body.len());
            assert_eq!((picture.data.len(), within(&picture.data)), (bytes, held));
        }
    }
}
