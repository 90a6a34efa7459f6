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
use uuid::Uuid;

use super::connection::Arrival;
use super::ingest::Shared;
use super::secret::RequestedPath;
use super::webhook::Webhook;
use super::wire::Facts;
use super::{answer, body, capture, page, peer, report};

/// How long to read on what a stranger sends, so that the 404 is not lost to a reset.
const DISCARD: Duration = Duration::from_secs(2);

/// A request and where it came from.
#[derive(Debug)]
pub(super) struct Visit {
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
    let visit = Visit { ingest, arrival, peer, parts };
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
        Method::POST | Method::PUT => visit.push(webhook, body).await,
        _ => {
            let detail = format!("{} on the path of webhook {}", visit.parts.method, webhook.id);
            visit.refuse(Refusal { code: "wrong_method", detail, webhook: Some(&webhook) }, body).await
        }
    }
}

impl Visit {
    /// A person looks: the page that says so.
    async fn look(self, webhook: &Webhook, body: Body) -> Response {
        self.discard(body).await;
        tracing::info!(peer = %self.peer, webhook.id, method = %self.parts.method, "the page of a webhook was opened");
        answer::page(page::right_url(&self.parts.headers, self.arrival.tls))
    }

    /// An alarm comes. The work is a task of its own, because hyper drops a handler whose peer is gone.
    async fn push(self, webhook: Arc<Webhook>, body: Body) -> Response {
        let (ingest, peer) = (Arc::clone(&self.ingest), self.peer);
        match ingest.tasks.spawn(report::receive(self, webhook, body)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(peer = %peer, "a report could not be processed: {error}");
                ingest.findings.raise("handler_failed", &peer.to_string(), "the task of a report failed");
                answer::refused(StatusCode::BAD_REQUEST, "the report could not be processed", "see the log")
            }
        }
    }

    /// The same 404 for every cause; who gets too many of them gets 429.
    async fn refuse(self, refusal: Refusal<'_>, body: Body) -> Response {
        if !self.stranger_may() {
            Facts::state(&self.arrival.facts.unread);
            return answer::too_many();
        }
        let Refusal { code, detail, webhook } = refusal;
        // The finding is what people read, and it does not repeat itself for every request of a port scan.
        tracing::debug!(
            peer = %self.peer, finding.code = code, status = 404, method = %self.parts.method, "refused: {detail}"
        );
        self.ingest.findings.raise(code, &self.peer.to_string(), &detail);
        self.discard(body).await;
        self.record(webhook, &[], StatusCode::NOT_FOUND, detail);
        answer::not_found()
    }

    /// Counts a request that is no alarm; `false` when the peer sends too many of them.
    pub(super) fn stranger_may(&self) -> bool {
        let per_second = self.ingest.limits.load().strangers_per_second;
        let may = self.ingest.strangers.allows(self.peer, per_second);
        if !may {
            let detail =
                format!("more than limits.strangers_per_second = {per_second} wrong requests in a second");
            tracing::debug!(peer = %self.peer, status = 429, "refused: {detail}");
            self.ingest.findings.raise("limited", &self.peer.to_string(), &detail);
        }
        may
    }

    /// Keeps the request for the Requests page.
    pub(super) fn record(&self, webhook: Option<&Webhook>, body: &[u8], status: StatusCode, verdict: String) {
        let request = capture::raw(&self.parts, webhook, &self.ingest.webhooks, body, status, verdict);
        self.ingest.outbox.record(Uuid::now_v7(), Timestamp::now(), self.peer, request);
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
