//! Handler of the ingest listeners: looks up the webhook and decides what becomes of a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::http::header::{ACCEPT, EXPECT};
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use uuid::Uuid;

use super::journal::RequestLine;
use super::visit::Visit;
use super::{IngestState, page, report};
use crate::decode::maker::alarms::unknown_camera;
use crate::decode::{self, Answer};
use crate::findings::FindingCode;
use crate::http::connection::Arrival;
use crate::http::connection::wire::WireFacts;
use crate::http::webhook::IngestWebhook;
use crate::http::webhook::fixed;
use crate::http::webhook::secret::RequestedPath;
use crate::http::{Problem, answer, body, peer};
use crate::metrics::RequestOutcome;
use crate::model::request_id;
use crate::outbox::Submission;

/// Maximum time for reading the body of an unknown peer, so that the 404 is not lost to a reset.
const DISCARD: Duration = Duration::from_secs(2);

/// Reason for a 404.
struct Refusal<'a> {
    code: FindingCode,
    detail: String,
    webhook: Option<&'a IngestWebhook>,
}

/// Handler of every path. It looks up the webhook itself, because devices spell paths in many ways.
pub(in crate::http) async fn receive(
    State(ingest): State<Arc<IngestState>>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = peer::effective(arrival.peer, &parts.headers, &ingest.proxies);
    let requested = RequestedPath::of(&parts.uri);
    let id = request_id::request(Uuid::now_v7());
    let visit = Visit { id, begun: Instant::now(), ingest, arrival, peer, parts };
    let Some(webhook) = visit.ingest.webhooks.find(&requested) else {
        if visit.parts.method == Method::GET && fixed::is_keep_alive(&requested) {
            return visit.keep_alive(body).await;
        }
        let advice = fixed::advice(&requested, peer);
        let detail = advice.unwrap_or_else(|| visit.ingest.webhooks.how_wrong(&requested));
        return visit.refuse(Refusal { code: FindingCode::WrongPath, detail, webhook: None }, body).await;
    };
    if !webhook.allows(peer) {
        let detail = format!("{peer} is not in `allow` of webhook {}", webhook.id);
        return visit
            .refuse(Refusal { code: FindingCode::PeerNotAllowed, detail, webhook: Some(&webhook) }, body)
            .await;
    }
    match visit.parts.method {
        Method::GET if visit.brings_alarm(&webhook) => {
            let page = visit.is_browser().then(|| page::right_url(&visit.parts.headers, visit.arrival.tls));
            let response = Arc::new(visit).push(webhook, body).await;
            match page {
                Some(Ok(page)) if response.status().is_success() => answer::page(page),
                _ => response,
            }
        }
        Method::GET | Method::HEAD => visit.look(&webhook, body).await,
        Method::POST | Method::PUT => Arc::new(visit).push(webhook, body).await,
        _ => {
            let detail = format!("{} on the path of webhook {}", visit.parts.method, webhook.id);
            visit
                .refuse(Refusal { code: FindingCode::WrongMethod, detail, webhook: Some(&webhook) }, body)
                .await
        }
    }
}

impl Visit {
    /// Returns whether the request says that it comes from a browser, which gets the page.
    fn is_browser(&self) -> bool {
        let accept = self.parts.headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
        accept.windows(9).any(|bytes| bytes.eq_ignore_ascii_case(b"text/html"))
    }

    /// Returns whether the query, or headers that a mapping reads, may be an alarm. Devices and scripts send the
    /// `Accept` of a browser too, so a query that a maker knows is an alarm whoever sends it; for another, a finding is
    /// raised with the page.
    fn brings_alarm(&self, webhook: &IngestWebhook) -> bool {
        let query = self.parts.uri.query().unwrap_or_default();
        let known = || !self.is_browser() || decode::knows_query(query, &webhook.hints(0));
        let headers = || self.parts.headers.keys().any(|name| webhook.reads_header(name.as_str()));
        !query.is_empty() && known() || headers()
    }

    /// Responds with the page that confirms the URL.
    async fn look(self, webhook: &IngestWebhook, body: Body) -> Response {
        self.report_outcome(&RequestLine {
            outcome: RequestOutcome::Page,
            status: StatusCode::OK,
            webhook: Some(&webhook.id),
            bytes: None,
            committed: None,
            text: "the page of a webhook was opened",
            finding: None,
        });
        if self.parts.method == Method::GET && !body.is_end_stream() {
            let detail = format!("GET with a body on the path of webhook {}: it became no alarm", webhook.id);
            self.ingest.findings.raise(FindingCode::WrongMethod, &self.peer.to_string(), &detail);
        }
        self.note_query(webhook);
        self.discard(body).await;
        page::right_url(&self.parts.headers, self.arrival.tls)
            .map_or_else(Problem::into_response, answer::page)
    }

    /// Handles a keep-alive of a Dahua camera: a sign of life if its address is known.
    async fn keep_alive(self, body: Body) -> Response {
        if !self.unknown_peer_allowed(None, None) {
            return answer::too_many();
        }
        let heard = vec![unknown_camera("dahua")];
        let submission = Submission::heard(self.id, self.peer, heard);
        if self.ingest.outbox.append(submission).await.is_err() {
            tracing::debug!("a sign of life arrived while the bridge is stopping");
        }
        let (outcome, status) = (RequestOutcome::Nothing, StatusCode::OK);
        let text = "a keep-alive request of a camera";
        self.report_outcome(&RequestLine {
            outcome,
            status,
            webhook: None,
            bytes: None,
            committed: None,
            text,
            finding: None,
        });
        self.discard(body).await;
        answer::device_answer(&Answer {
            status: 200,
            content_type: "application/json".into(),
            body: "{\"result\":true}".into(),
        })
    }

    /// Processes a report in a task of its own, because hyper drops a handler whose peer has disconnected.
    async fn push(self: Arc<Self>, webhook: Arc<IngestWebhook>, body: Body) -> Response {
        let task = report::receive(Arc::clone(&self), Arc::clone(&webhook), body);
        match self.ingest.tasks.spawn(task).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(request.id = %self.id, peer = %self.peer, "a report could not be processed: {error}");
                let why = "the task of a report failed";
                self.ingest.findings.raise(FindingCode::HandlerFailed, &self.peer.to_string(), why);
                self.report_outcome(&RequestLine {
                    outcome: RequestOutcome::Failed,
                    status: StatusCode::BAD_REQUEST,
                    webhook: Some(&webhook.id),
                    bytes: None,
                    committed: None,
                    text: why,
                    finding: None,
                });
                Problem::new(StatusCode::BAD_REQUEST, "the report could not be processed", "see the log")
                    .into_response()
            }
        }
    }

    /// Responds with the same 404 for every cause; a peer that gets too many of them gets 429.
    async fn refuse(self, refusal: Refusal<'_>, body: Body) -> Response {
        let Refusal { code, detail, webhook } = refusal;
        if !self.unknown_peer_allowed(webhook, None) {
            WireFacts::state(&self.arrival.facts.unread);
            return answer::too_many();
        }
        let finding = self.ingest.findings.note(code, &self.peer.to_string(), &detail);
        self.report_outcome(&RequestLine {
            outcome: RequestOutcome::Refused,
            status: StatusCode::NOT_FOUND,
            webhook: webhook.map(|webhook| webhook.id.as_str()),
            bytes: None,
            committed: None,
            text: &format!("refused ({code}): {detail}"),
            finding: Some(finding),
        });
        self.discard(body).await;
        self.record(webhook, &[], StatusCode::NOT_FOUND, &detail);
        answer::not_found()
    }

    /// Reads and discards a body. A body that waits for `100 Continue` is not requested.
    async fn discard(&self, body: Body) {
        if self.parts.headers.contains_key(EXPECT) {
            WireFacts::state(&self.arrival.facts.unread);
            return;
        }
        let most = self.ingest.limits.load().body_bytes.0;
        if !body.is_end_stream() && !body::discard(body, most, DISCARD).await {
            WireFacts::state(&self.arrival.facts.unread);
        }
    }
}
