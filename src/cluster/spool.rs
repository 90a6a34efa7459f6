//! Bounds of the spool: those of the backlog of a sink.

use std::time::Duration;

use jiff::Timestamp;

use super::Member;
use super::message::Input;
use super::survey::Shared;
use crate::findings::FindingCode;

/// Interval at which the bounds are checked.
const LOOK: Duration = Duration::from_secs(5);
/// Reports dropped at a time.
const STEP: i64 = 256;

/// Counts what is spooled, and drops the oldest reports past the bounds, with a finding.
pub(super) async fn keep_within_bounds(member: &Member, shared: &Shared) {
    let mut reader = member.outbox.reader();
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(size) = reader.spool_size() else { continue };
        let oldest = reader.spool_after(0, 1).ok().and_then(|rows| rows.into_iter().next());
        let received = |body: &str| {
            let input: Input = serde_json::from_str(body).ok()?;
            input.report.map(|report| report.received_at)
        };
        let oldest = oldest.as_ref().and_then(|row| received(&row.body));
        let waited = oldest.map_or(0, |at| crate::host::now().duration_since(at).as_secs().max(0));
        shared.note_spool(size.rows, waited.unsigned_abs());
        let bounds = &member.settings.storage;
        let days = i64::try_from(bounds.backlog_max_days).unwrap_or(i64::MAX);
        if waited <= days.saturating_mul(86_400) && size.bytes <= bounds.backlog_max_bytes.0 {
            continue;
        }
        let Ok(rows) = reader.spool_after(0, STEP) else { continue };
        let Some(last) = rows.last().filter(|_| 1 < rows.len()) else { continue };
        let detail = format!(
            "the spool of {} passed the bound of the backlog: {} reports since {} were dropped and never decided",
            member.name,
            rows.len(),
            oldest.map_or_else(String::new, |at: Timestamp| at.to_string())
        );
        member.findings.raise(FindingCode::ClusterSpoolDropped, &member.config.prefix, &detail);
        if member.outbox.unspool(last.no).await.is_err() {
            return;
        }
    }
}
