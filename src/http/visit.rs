//! One request to an ingest listener: whose it is, which webhook it is for, and what it may do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::http::header::EXPECT;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::connection::Arrival;
use super::ingest::Shared;
use super::journal::Told;
use super::secret::RequestedPath;
use super::webhook::Webhook;
use super::wire::Facts;
use super::{answer, body, capture, page, peer, report};
use crate::metrics::Outcome;
use crate::model::request_id;

/// How long to read on what a stranger sends, so that the 404 is not lost to a reset.
const DISCARD: Duration = Duration::from_secs(2);

/// A request and where it came from.
#[derive(Debug)]
pub(super) struct Visit {
    /// From receipt to acknowledgement: in the log, on the page, and as the report's own identifier.
    pub(super) id: Uuid,
    /// When its head was complete.
    pub(super) begun: Instant,
    pub(super) ingest: Arc<Shared>,
    pub(super) arrival: Arrival,
    /// The sender; behind a trusted proxy the one it forwards for.
    pub(super) peer: IpAddr,
    pub(super) parts: Parts,
}

/// Why a request is answered 404.
struct Refusal<'a> {
    code: &'static str,
    detail: String,
    webhook: Option<&'a Webhook>,
}

/// The handler of every path: looks up the webhook itself, since real paths come in odd spellings.
pub(super) async fn receive(
    State(ingest): State<Arc<Shared>>,
    Extension(arrival): Extension<Arrival>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let peer = peer::effective(arrival.peer, &parts.headers, &ingest.proxies);
    let requested = RequestedPath::of(&parts.uri);
    let id = request_id::request(Uuid::now_v7());
    let visit = Visit { id, begun: Instant::now(), ingest, arrival, peer, parts };
    let Some(webhook) = visit.ingest.webhooks.find(&requested) else {
        let detail = visit.ingest.webhooks.nearest(&requested);
        return visit.refuse(Refusal { code: "wrong_path", detail, webhook: None }, body).await;
    };
    if !webhook.allows(peer) {
        let detail = format!("{peer} is not in `allow` of webhook {}", webhook.id);
        return visit
            .refuse(Refusal { code: "peer_not_allowed", detail, webhook: Some(&webhook) }, body)
            .await;
    }
    match visit.parts.method {
        Method::GET | Method::HEAD => visit.look(&webhook, body).await,
        Method::POST | Method::PUT => Arc::new(visit).push(webhook, body).await,
        _ => {
            let detail = format!("{} on the path of webhook {}", visit.parts.method, webhook.id);
            visit.refuse(Refusal { code: "wrong_method", detail, webhook: Some(&webhook) }, body).await
        }
    }
}

impl Visit {
    /// A person looks: the page that says so.
    async fn look(self, webhook: &Webhook, body: Body) -> Response {
        self.tell(&Told {
            outcome: Outcome::Page,
            status: StatusCode::OK,
            webhook: Some(&webhook.id),
            bytes: None,
            committed: None,
            text: "the page of a webhook was opened",
        });
        self.discard(body).await;
        answer::page(page::right_url(&self.parts.headers, self.arrival.tls))
    }

    /// An alarm comes. The work is a task of its own, because hyper drops a handler whose peer is gone.
    async fn push(self: Arc<Self>, webhook: Arc<Webhook>, body: Body) -> Response {
        let task = report::receive(Arc::clone(&self), Arc::clone(&webhook), body);
        match self.ingest.tasks.spawn(task).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(request.id = %self.id, peer = %self.peer, "a report could not be processed: {error}");
                let why = "the task of a report failed";
                self.ingest.findings.raise("handler_failed", &self.peer.to_string(), why);
                self.tell(&Told {
                    outcome: Outcome::Failed,
                    status: StatusCode::BAD_REQUEST,
                    webhook: Some(&webhook.id),
                    bytes: None,
                    committed: None,
                    text: why,
                });
                answer::refused(StatusCode::BAD_REQUEST, "the report could not be processed", "see the log")
            }
        }
    }

    /// The same 404 for every cause; who gets too many of them gets 429.
    async fn refuse(self, refusal: Refusal<'_>, body: Body) -> Response {
        let Refusal { code, detail, webhook } = refusal;
        if !self.stranger_may(webhook, None) {
            Facts::state(&self.arrival.facts.unread);
            return answer::too_many();
        }
        self.tell(&Told {
            outcome: Outcome::Refused,
            status: StatusCode::NOT_FOUND,
            webhook: webhook.map(|webhook| webhook.id.as_str()),
            bytes: None,
            committed: None,
            text: &format!("refused ({code}): {detail}"),
        });
        self.ingest.findings.raise(code, &self.peer.to_string(), &detail);
        self.discard(body).await;
        self.record(webhook, &[], StatusCode::NOT_FOUND, detail);
        answer::not_found()
    }

    /// Counts a request that is no alarm; `false` when the peer sends too many of them.
    pub(super) fn stranger_may(&self, webhook: Option<&Webhook>, bytes: Option<u64>) -> bool {
        let per_second = self.ingest.limits.load().strangers_per_second;
        let may = self.ingest.strangers.allows(self.peer, per_second);
        if !may {
            let detail =
                format!("more than limits.strangers_per_second = {per_second} wrong requests in a second");
            self.tell(&Told {
                outcome: Outcome::Limited,
                status: StatusCode::TOO_MANY_REQUESTS,
                webhook: webhook.map(|webhook| webhook.id.as_str()),
                bytes,
                committed: None,
                text: &format!("refused: {detail}"),
            });
            self.ingest.findings.raise("limited", &self.peer.to_string(), &detail);
        }
        may
    }

    /// Says what became of it, to metrics and log: once for each request.
    pub(super) fn tell(&self, told: &Told<'_>) {
        self.ingest.metrics.request(told.outcome);
        self.ingest.journal.write(self, told);
    }

    /// The path as the log shows it: nothing that may be part of a webhook's.
    pub(super) fn shown_path(&self) -> String {
        self.ingest.webhooks.shown(&RequestedPath::of(&self.parts.uri))
    }

    /// Keeps the request for the Requests page.
    pub(super) fn record(&self, webhook: Option<&Webhook>, body: &[u8], status: StatusCode, verdict: String) {
        let request = capture::raw(&self.parts, webhook, &self.ingest.webhooks, body, status, verdict);
        self.ingest.outbox.record(self.id, Timestamp::now(), self.peer, request);
    }

    /// Reads and forgets a body nobody wants; one that the sender holds back until it is told to go on is not
    /// asked for.
    async fn discard(&self, body: Body) {
        if self.parts.headers.contains_key(EXPECT) {
            Facts::state(&self.arrival.facts.unread);
            return;
        }
        let most = self.ingest.limits.load().body_bytes.0;
        if !body.is_end_stream() && !body::discard(body, most, DISCARD).await {
            Facts::state(&self.arrival.facts.unread);
        }
    }
}
