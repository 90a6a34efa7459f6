//! One request to an ingest listener: its sender, its webhook, and the limits on it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{IngestState, capture};
use crate::decode::maker::secrets;
use crate::findings::FindingCode;
use crate::http::connection::Arrival;
use crate::http::webhook::IngestWebhook;
use crate::http::webhook::secret::RequestedPath;

/// Request and its origin.
#[derive(Debug)]
pub(super) struct Visit {
    /// Identifier from receipt to acknowledgement: in the log, on the page, and as the report's id.
    pub(in crate::http) id: Uuid,
    /// Time at which its head was complete.
    pub(in crate::http) begun: Instant,
    pub(in crate::http) ingest: Arc<IngestState>,
    pub(in crate::http) arrival: Arrival,
    /// Sender; behind a trusted proxy the address that it forwards for.
    pub(in crate::http) peer: IpAddr,
    pub(in crate::http) parts: Parts,
}

/// Maximum characters of a query in a finding.
const QUERY_SHOWN: usize = 200;

impl Visit {
    /// Masks secrets in a text that may repeat received bytes.
    pub(super) fn without_secret(&self, text: &str, webhook: &IngestWebhook) -> String {
        secrets::masked(&self.ingest.webhooks.masked(text), &webhook.secret_fields())
    }

    /// Raises a finding for a request that has only a query, and no alarm in it.
    pub(super) fn note_query(&self, webhook: &IngestWebhook) {
        let query = self.parts.uri.query().unwrap_or_default();
        if query.is_empty() {
            return;
        }
        let query = self.without_secret(query, webhook);
        let shown: String = query.chars().take(QUERY_SHOWN).collect();
        let detail =
            format!("{} without a body, and a query that no maker knows: {shown}", self.parts.method);
        let code = FindingCode::QueryNotUnderstood;
        self.ingest.metrics.problem(code);
        self.ingest.findings.raise(code, &self.peer.to_string(), &detail);
    }

    /// Path for the log, with everything masked that may be part of a webhook's path.
    pub(super) fn shown_path(&self) -> String {
        self.ingest.webhooks.shown(&RequestedPath::of(&self.parts.uri))
    }

    /// Stores the request for the Requests page.
    pub(in crate::http) fn record(
        &self,
        webhook: Option<&IngestWebhook>,
        body: &[u8],
        status: StatusCode,
        verdict: &str,
    ) {
        let request = capture::raw(&self.parts, webhook, &self.ingest.webhooks, body, status, verdict);
        self.ingest.outbox.record(self.id, Timestamp::now(), self.peer, request);
    }
}
