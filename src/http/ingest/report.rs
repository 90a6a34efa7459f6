//! Steps of a report from the socket to the outbox: read, decode, commit, respond.
//!
//! All steps run in one task that the connection cannot cancel (see [`Visit`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::capture;
use super::journal::{Committed, RequestLine};
use super::visit::Visit;
use crate::decode::maker::alarms::unknown_camera;
use crate::decode::maker::secrets;
use crate::decode::{self, BodyEnd, DecodeError, Decoded, Hints, Sign};
use crate::findings::{FindingCode, Seen};
use crate::http::body;
use crate::http::body::{Bounds, Read};
use crate::http::connection::wire::WireFacts;
use crate::http::webhook::IngestWebhook;
use crate::http::{Problem, answer};
use crate::metrics::RequestOutcome;
use crate::model::Picture;
use crate::model::record::SnapshotProblem;
use crate::outbox::Submission;

/// Size in bytes beyond which a body is decoded on a blocking thread, because hashing pictures takes time.
const DECODE_INLINE: usize = 256 << 10;

/// Divisor: a picture smaller than this share of its body is copied out of it.
const SMALL_PICTURE_DIVISOR: usize = 4;

/// Accepts a report.
pub(in crate::http) async fn receive(visit: Arc<Visit>, webhook: Arc<IngestWebhook>, body: Body) -> Response {
    let ingest = Arc::clone(&visit.ingest);
    let limits = ingest.limits.load_full();
    let limited = !ingest.requests.allows(visit.peer, limits.requests_per_second);
    let read = body::read(
        body,
        &visit.parts.headers,
        visit.peer,
        Bounds::from(&*limits),
        &ingest.memory,
        &ingest.webhooks,
        &ingest.shutdown,
    )
    .await;
    if read.unread {
        WireFacts::state(&visit.arrival.facts.unread);
    }
    let report = Report { visit, webhook, read, received_at: Timestamp::now(), received: Instant::now() };
    let (received, metrics) = (report.received, ingest.metrics.clone());
    metrics.bytes(report.bytes());
    report.note_unframed();
    let response = match report.decode(limits.alarms_per_report).await {
        Ok(mut decoded) => {
            if limited {
                report.without_pictures(&mut decoded, limits.requests_per_second);
            }
            let wanted = decoded.answer.take();
            let response = report.commit(decoded).await;
            wanted
                .filter(|_| response.status().is_success())
                .map_or(response, |wanted| answer::device_answer(&wanted))
        }
        Err(DecodeError::Empty) if report.read.body.end == BodyEnd::Complete => {
            report.note_query();
            let device = unknown_camera("generic");
            report.commit(Decoded { signs: vec![Sign { device, test: false }], ..Decoded::default() }).await
        }
        Err(error) => report.refuse(&error),
    };
    metrics.answered_after(received.elapsed());
    response
}

/// Report that was read.
struct Report {
    visit: Arc<Visit>,
    webhook: Arc<IngestWebhook>,
    read: Read,
    received_at: Timestamp,
    received: Instant,
}

impl Report {
    /// Decodes the body. A panic costs this report only.
    async fn decode(&self, alarms_per_report: usize) -> Result<Decoded, DecodeError> {
        let body = self.read.body.clone();
        let query = self.query();
        let hints = Hints { query, headers: self.headers(), ..self.webhook.hints(alarms_per_report) };
        if body.bytes.is_empty() && hints.query.is_empty() && hints.headers.is_empty() {
            return Err(match body.end {
                BodyEnd::Complete => DecodeError::Empty,
                BodyEnd::Truncated | BodyEnd::TooLarge => {
                    DecodeError::Truncated("no byte of the body came".into())
                }
            });
        }
        let decoded = if body.bytes.len() > DECODE_INLINE {
            let turn = self.visit.ingest.heavy.acquire().await;
            let decoded = tokio::task::spawn_blocking(move || caught(&body, &hints)).await.unwrap_or(None);
            drop(turn);
            decoded
        } else {
            caught(&body, &hints)
        };
        decoded.unwrap_or_else(|| {
            self.raise(FindingCode::HandlerFailed, "decoding a report failed");
            Err(DecodeError::NotUnderstood("a bug in alarmbus prevented its decoding".into()))
        })
    }

    /// Removes the pictures of a report over the rate limit; alarms are never removed.
    fn without_pictures(&self, decoded: &mut Decoded, per_second: u32) {
        let detail =
            format!("more than limits.requests_per_second = {per_second}: alarms are kept without pictures");
        self.raise(FindingCode::Limited, &detail);
        for picture in decoded.pictures.iter_mut().filter(|picture| picture.problem.is_none()) {
            *picture = Picture::missing(picture.bytes, SnapshotProblem::Limited);
        }
    }

    /// Commits the alarms, then responds.
    async fn commit(self, decoded: Decoded) -> Response {
        self.note(&decoded);
        if decoded.alarms.is_empty() && decoded.signs.is_empty() {
            self.raise(FindingCode::NoEvents, "a report without events");
            return self.nothing("a report without events");
        }
        let body = self.read.body.bytes.len();
        let mut pictures = decoded.pictures;
        pictures.iter_mut().for_each(|picture| detach(picture, body));
        let names: Vec<String> = decoded.alarms.iter().map(|alarm| alarm.event.to_string()).collect();
        let verdict = verdict(&names, &decoded.signs);
        let (peer, webhook, count) = (self.visit.peer, &*self.webhook, pictures.len());
        let submission = Submission {
            id: self.visit.id,
            received_at: self.received_at,
            received: self.received,
            peer,
            webhook: webhook.id.clone(),
            zone: webhook.zone.clone(),
            alarms: decoded.alarms,
            heard: decoded.signs.into_iter().map(|sign| sign.device).collect(),
            pictures,
            request: Some(capture::raw(
                &self.visit.parts,
                Some(webhook),
                &self.visit.ingest.webhooks,
                &self.read.body.bytes,
                StatusCode::OK,
                &verdict,
            )),
        };
        let Ok(appended) = self.visit.ingest.outbox.append(submission).await else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.report_outcome(
                RequestOutcome::Failed,
                status,
                None,
                "a report arrived while the bridge is stopping",
            );
            let remedy = "send it again when the bridge is back";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the bridge is stopping", remedy)
                .into_response();
        };
        if names.is_empty() {
            self.report_outcome(RequestOutcome::Nothing, StatusCode::OK, None, &verdict);
            return answer::accepted(&[], appended.durable, appended.in_cluster);
        }
        let committed =
            Committed { ids: &appended.ids, events: &names, pictures: count, durable: appended.durable };
        self.report_outcome(RequestOutcome::Alarms, StatusCode::OK, Some(committed), "alarms committed");
        answer::accepted(&appended.ids, appended.durable, appended.in_cluster)
    }

    /// Raises findings from the decoded report. For a body that ended early the reader's reason replaces the decoder's.
    fn note(&self, decoded: &Decoded) {
        for problem in &decoded.problems {
            let why = self.read.why.as_deref().filter(|_| problem.code == FindingCode::BodyTruncated);
            let detail =
                why.map_or_else(|| problem.detail.clone(), |why| format!("{}: {why}", problem.detail));
            self.raise(problem.code, &detail);
        }
        let ingest = &self.visit.ingest;
        ingest.shared_addresses.note(self.visit.peer, &decoded.alarms, &ingest.findings);
    }

    /// Query of the request as it was sent, without the path of a webhook; empty if there is none.
    fn query(&self) -> String {
        let query = self.visit.parts.uri.query().unwrap_or_default();
        self.visit.ingest.webhooks.without_path(query)
    }

    /// Headers of the request that a mapping may read, as they were sent, without those that hold a secret.
    fn headers(&self) -> Map<String, Value> {
        let own = self.visit.parts.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
        let read = own.filter(|(name, _)| !capture::is_secret(name)).map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), self.visit.ingest.webhooks.without_path(&value).into())
        });
        let mut read = Value::Object(read.collect());
        secrets::scrub(&mut read, &self.webhook.secret_fields());
        let path = self.webhook.fixed.map(|_| (":path".to_owned(), self.visit.parts.uri.path().into()));
        let Value::Object(read) = read else { return path.into_iter().collect() };
        read.into_iter().chain(path).collect()
    }

    /// Raises a finding for a request that has only a query, and no alarm in it.
    fn note_query(&self) {
        self.visit.note_query(&self.webhook);
    }

    /// Raises a finding for a body without a length that was read to the end of the connection: its end is a guess.
    fn note_unframed(&self) {
        if WireFacts::is(&self.visit.arrival.facts.unframed) {
            let detail = format!(
                "{:?} {} without Content-Length or Transfer-Encoding; {} bytes that followed were taken as its body",
                self.visit.parts.version,
                self.visit.parts.method,
                self.bytes()
            );
            self.raise(FindingCode::BodyWithoutLength, &detail);
        }
    }

    /// Responds to a report that was understood and holds no alarm.
    fn nothing(&self, what: &str) -> Response {
        self.report_outcome(RequestOutcome::Nothing, StatusCode::OK, None, what);
        self.visit.record(Some(&self.webhook), &self.read.body.bytes, StatusCode::OK, what);
        answer::accepted(&[], true, None)
    }

    /// Responds to a body that cannot be decoded.
    fn refuse(&self, error: &DecodeError) -> Response {
        if !self.visit.unknown_peer_allowed(Some(&self.webhook), Some(self.bytes())) {
            return answer::too_many();
        }
        let (status, code, remedy) = match error {
            DecodeError::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                FindingCode::BodyTooLarge,
                "send less, or raise limits.body_bytes",
            ),
            DecodeError::Truncated(_) => {
                let remedy = "check the network, or raise limits.body_seconds";
                (StatusCode::REQUEST_TIMEOUT, FindingCode::BodyTruncated, remedy)
            }
            DecodeError::Empty | DecodeError::NotUnderstood(_) => {
                let remedy = "send JSON, or multipart with JSON or a JPEG in it";
                (StatusCode::BAD_REQUEST, FindingCode::NotUnderstood, remedy)
            }
        };
        // A body that is too large needs no further reason.
        let why = self.read.why.as_ref().filter(|_| code != FindingCode::BodyTooLarge);
        let why = why.map_or_else(|| error.to_string(), |why| format!("{error}; {why}"));
        let why = self.without_secret(&why);
        let finding = self.seen(code, &why);
        if let Some(coding) = &self.read.body.coding {
            self.raise(FindingCode::ContentEncodingWrong, &coding.detail);
        }
        let (webhook, bytes) = (Some(self.webhook.id.as_str()), Some(self.bytes()));
        self.visit.report_outcome(&RequestLine {
            outcome: RequestOutcome::NotUnderstood,
            status,
            webhook,
            bytes,
            committed: None,
            text: &format!("no alarm ({code}): {why}"),
            finding: Some(finding),
        });
        self.visit.record(Some(&self.webhook), &self.read.body.bytes, status, &why);
        Problem::new(status, &why, remedy).into_response()
    }

    /// Reports the outcome.
    fn report_outcome(
        &self,
        outcome: RequestOutcome,
        status: StatusCode,
        committed: Option<Committed<'_>>,
        text: &str,
    ) {
        let (webhook, bytes) = (Some(self.webhook.id.as_str()), Some(self.bytes()));
        self.visit.report_outcome(&RequestLine {
            outcome,
            status,
            webhook,
            bytes,
            committed,
            text,
            finding: None,
        });
    }

    /// Number of bytes of the body, discarded ones included.
    fn bytes(&self) -> u64 {
        self.read.body.bytes.len() as u64 + self.read.body.skipped
    }

    /// Raises a finding about the peer.
    fn raise(&self, code: FindingCode, detail: &str) {
        self.visit.ingest.metrics.problem(code);
        let detail = self.without_secret(detail);
        self.visit.ingest.findings.raise(code, &self.visit.peer.to_string(), &detail);
    }

    /// Records a finding about the peer, for the line of this request.
    fn seen(&self, code: FindingCode, detail: &str) -> Seen {
        self.visit.ingest.metrics.problem(code);
        self.visit.ingest.findings.note(code, &self.visit.peer.to_string(), detail)
    }

    /// Masks secrets in a text that may repeat received bytes.
    fn without_secret(&self, text: &str) -> String {
        self.visit.without_secret(text, &self.webhook)
    }
}

/// Outcome of a report as text.
fn verdict(events: &[String], signs: &[Sign]) -> String {
    let Some(sign) = signs.first().filter(|_| events.is_empty()) else {
        return format!("understood: {}", events.join(", "));
    };
    let what = if signs.iter().any(|sign| sign.test) { "a test" } else { "a sign of life" };
    let device = &sign.device;
    let mac = device.mac.map(|mac| mac.to_string());
    let who = mac.as_ref().or(device.device_id.as_ref()).or(device.name.as_ref()).or(device.ip.as_ref());
    who.map_or_else(|| what.to_owned(), |who| format!("{what} of {who}"))
}

/// Copies a picture that is a small part of its body, so that it does not keep the whole body in memory.
fn detach(picture: &mut Picture, body: usize) {
    if picture.data.len() < body / SMALL_PICTURE_DIVISOR {
        picture.data = Bytes::copy_from_slice(&picture.data);
    }
}

/// Decodes; `None` if that panicked (the panic hook logs it).
fn caught(body: &decode::Body, hints: &Hints) -> Option<Result<Decoded, DecodeError>> {
    catch_unwind(AssertUnwindSafe(|| decode::decode(body, hints))).ok()
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
