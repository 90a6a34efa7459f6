//! RequestOutcome of a request, recorded once, and the limit on requests that are no alarm.

use axum::http::StatusCode;

use super::journal::RequestLine;
use super::visit::Visit;
use crate::findings::FindingCode;
use crate::http::webhook::IngestWebhook;
use crate::metrics::RequestOutcome;

impl Visit {
    /// Counts a request that is not an alarm; `false` if the peer exceeds its rate.
    pub(super) fn unknown_peer_allowed(&self, webhook: Option<&IngestWebhook>, bytes: Option<u64>) -> bool {
        let per_second = self.ingest.limits.load().strangers_per_second;
        let may = self.ingest.strangers.allows(self.peer, per_second);
        if !may {
            let detail =
                format!("more than limits.strangers_per_second = {per_second} wrong requests in a second");
            let finding = self.ingest.findings.note(FindingCode::Limited, &self.peer.to_string(), &detail);
            self.report_outcome(&RequestLine {
                outcome: RequestOutcome::Limited,
                status: StatusCode::TOO_MANY_REQUESTS,
                webhook: webhook.map(|webhook| webhook.id.as_str()),
                bytes,
                committed: None,
                text: &format!("refused: {detail}"),
                finding: Some(finding),
            });
        }
        may
    }

    /// Records the outcome in metrics and log, once for each request.
    pub(super) fn report_outcome(&self, summary: &RequestLine<'_>) {
        self.ingest.metrics.request(summary.outcome);
        self.ingest.journal.write(self, summary);
    }
}
