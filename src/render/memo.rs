//! Cache of recently rendered JSON. An alarm is published as event, as `last` and, with a picture, twice as
//! `snapshot_info`; these documents are usually the same bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::Sending;

/// Maximum number of cached alarms: more than one round of a relay sends.
const REMEMBERED: usize = 512;

/// The most recently rendered documents of one sink; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Memo(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    documents: HashMap<Uuid, (Sending, bool, Bytes)>,
    order: VecDeque<Uuid>,
}

impl Memo {
    /// Returns the JSON of an alarm from the cache, or makes and caches it.
    pub(super) fn json(
        &self,
        alarm: Uuid,
        sending: &Sending,
        apart: bool,
        make: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let mut latest = self.0.lock();
        match latest.documents.get(&alarm) {
            Some((how, then, json)) if how == sending && *then == apart => json.clone(),
            _ => {
                let json = make();
                latest.put(alarm, (sending.clone(), apart, json.clone()));
                json
            }
        }
    }
}

impl Latest {
    fn put(&mut self, alarm: Uuid, document: (Sending, bool, Bytes)) {
        if self.documents.insert(alarm, document).is_none() {
            self.order.push_back(alarm);
        }
        while REMEMBERED < self.order.len() {
            if let Some(oldest) = self.order.pop_front() {
                self.documents.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::PictureFate;

    #[test]
    fn only_what_is_sent_in_the_same_way_is_the_same() {
        let memo = Memo::default();
        let live = Sending { replayed: false, picture: PictureFate::Sent };
        let late = Sending { replayed: true, ..live.clone() };
        let id = Uuid::from_u128(1);
        let made = |sending: &Sending, text: &'static str| memo.json(id, sending, false, || text.into());
        assert_eq!(made(&live, "live"), "live");
        assert_eq!(made(&live, "again"), "live");
        assert_eq!(made(&late, "late"), "late");
        assert_eq!(made(&live, "anew"), "anew");
        for other in 2..1_000 {
            memo.json(Uuid::from_u128(other), &live, false, Bytes::new);
        }
        assert_eq!(made(&live, "forgotten"), "forgotten");
        assert!(memo.0.lock().documents.len() <= REMEMBERED);
    }
}
