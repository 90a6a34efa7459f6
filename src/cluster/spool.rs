//! Bounds of the spool: those of the backlog of a sink.

use std::time::Duration;

use jiff::Timestamp;

use super::Member;
use super::message::Input;
use super::survey::Shared;
use crate::findings::FindingCode;
use crate::outbox::Reader;
use crate::outbox::cluster::SpoolRow;

/// Interval at which the bounds are checked.
const LOOK: Duration = Duration::from_secs(5);
/// Reports dropped at a time.
const STEP: usize = 256;

/// Counts what is spooled, and drops the oldest reports past the bounds, with a finding.
pub(super) async fn keep_within_bounds(member: &Member, shared: &Shared) {
    let mut reader = member.outbox.reader();
    loop {
        tokio::time::sleep(LOOK).await;
        let mut dropped = (0, None);
        while let Some((rows, oldest)) = drop_oldest(member, shared, &mut reader).await {
            dropped = (dropped.0 + rows, dropped.1.or(oldest));
        }
        if 0 < dropped.0 {
            let detail = format!(
                "the spool of {} passed the bound of the backlog: {} messages since {} were dropped and never decided",
                member.name,
                dropped.0,
                dropped.1.map_or_else(String::new, |at| at.to_string())
            );
            member.findings.raise(FindingCode::ClusterSpoolDropped, &member.config.prefix, &detail);
        }
    }
}

/// Drops the oldest messages past a bound, not more than are read at a time, and never the newest. Returns their number,
/// and the receipt of the oldest; `None` if there are none.
async fn drop_oldest(
    member: &Member,
    shared: &Shared,
    reader: &mut Reader,
) -> Option<(usize, Option<Timestamp>)> {
    let size = reader.spool_size().ok()?;
    let rows = reader.spool_after(0, STEP).ok()?;
    let oldest = rows.iter().find_map(|row| received(row));
    shared.note_spool(size.rows, age(oldest));
    let bounds = &member.settings.load().storage;
    let days = bounds.backlog_max_days.saturating_mul(86_400);
    let mut excess = size.bytes.saturating_sub(bounds.backlog_max_bytes.0);
    let newest = rows.last()?.no;
    let mut until = None;
    for row in rows.iter().filter(|row| row.no < newest) {
        if excess == 0 && age(received(row)) <= days {
            break;
        }
        excess = excess.saturating_sub(row.bytes() as u64);
        until = Some(row.no);
    }
    let until = until?;
    member.outbox.unspool(until).await.ok()?;
    member.outbox.flush().await.ok()?;
    Some((rows.iter().filter(|row| row.no <= until).count(), oldest))
}

fn received(row: &SpoolRow) -> Option<Timestamp> {
    Input::read(row.body.as_bytes()).ok()?.report.map(|report| report.received_at)
}

/// Age in seconds.
fn age(at: Option<Timestamp>) -> u64 {
    at.map_or(0, |at| crate::host::now().duration_since(at).as_secs().max(0).unsigned_abs())
}
