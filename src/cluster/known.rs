//! Decided alarms: copies of them are dropped.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

use super::key;
use super::message::{ReportMessage, Shot};
use crate::outbox::Reader;
use crate::outbox::cluster::Batch;

/// Number of decided alarms whose identifiers are kept in memory.
const REMEMBERED: usize = 20_000;

/// Recently decided alarms: identifiers and times of receipt.
#[derive(Debug, Default)]
pub(super) struct RecentAlarms {
    received: HashMap<Uuid, Timestamp>,
    order: VecDeque<Uuid>,
}

/// All decided alarms: those in memory, and those in the outbox.
pub(super) struct DecidedAlarms<'a> {
    pub(super) recent: &'a mut RecentAlarms,
    pub(super) reader: &'a mut Reader,
    /// Copies that were dropped.
    pub(super) merged: &'a Counter,
}

impl DecidedAlarms<'_> {
    /// Decides a report, without alarms that were decided before.
    pub(super) fn report(&mut self, mut report: ReportMessage, batch: &mut Batch<'_>) {
        let at = report.received_at;
        report.alarms.retain_mut(|alarm| {
            let merged = self.fresh(alarm.id, at);
            match merged {
                Some(id) => alarm.id = id,
                None => drop(self.merged.inc()),
            }
            merged.is_some()
        });
        let ids: Vec<Uuid> = report.alarms.iter().map(|alarm| alarm.id).collect();
        let picture = |shot: &Shot| shot.sha256.as_deref().map(|sha256| picture_id(at, sha256));
        let pictures: Vec<Option<Uuid>> = report.pictures.iter().map(picture).collect();
        batch.report(report.submission(), ids, &pictures);
    }

    /// The identifier of an alarm; `None` if it was decided before.
    fn fresh(&mut self, id: Uuid, at: Timestamp) -> Option<Uuid> {
        let first = self.known(id);
        let id = first.map_or(Some(id), |first| key::again(id, first, at))?;
        if first.is_some() && self.known(id).is_some() {
            return None;
        }
        self.recent.received.insert(id, at);
        self.recent.order.push_back(id);
        if REMEMBERED < self.recent.order.len()
            && let Some(oldest) = self.recent.order.pop_front()
        {
            self.recent.received.remove(&oldest);
        }
        Some(id)
    }

    fn known(&mut self, id: Uuid) -> Option<Timestamp> {
        self.recent.received.get(&id).copied().or_else(|| self.reader.received_at(id).ok().flatten())
    }
}

/// Identifier of a picture: the same at every instance, and with a time in it.
fn picture_id(at: Timestamp, sha256: &str) -> Uuid {
    let mut random = [0_u8; 10];
    for (byte, of) in random.iter_mut().zip(key::derived(Uuid::nil(), sha256).as_bytes()) {
        *byte = *of;
    }
    let millis = at.as_millisecond().max(0).unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
