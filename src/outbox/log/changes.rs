//! Changes to the log in one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::entry::{Entry, PictureRow, StoredRequest};
use super::reviewed::Review;

/// New entries, pictures and requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogChanges {
    /// New entries, in order.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Pictures that are now on disk (or held in memory).
    pub(crate) pictures: Vec<PictureRow>,
    /// Requests for the Requests page.
    pub(crate) requests: Vec<StoredRequest>,
    /// Stored pictures that no entry refers to; their files are deleted after the commit.
    pub(crate) unwanted: Vec<Uuid>,
    /// Marks of alarms that were reviewed.
    pub(crate) reviews: Vec<Review>,
}

/// Entries forgotten because memory is full.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forgotten {
    /// Highest number of them.
    pub(crate) last: i64,
    /// Number of them that a sink had not acknowledged.
    pub(crate) undelivered: u64,
}

impl LogChanges {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.pictures.is_empty()
            && self.requests.is_empty()
            && self.unwanted.is_empty()
            && self.reviews.is_empty()
    }

    /// Adds the changes of a later commit.
    pub(crate) fn merge(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.pictures.extend(later.pictures);
        self.requests.extend(later.requests);
        self.unwanted.extend(later.unwanted);
        self.reviews.extend(later.reviews);
    }

    /// Rough size in memory.
    pub(crate) fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| size_of(entry)).sum();
        let requests: usize =
            self.requests.iter().map(|request| request.body.len() + request.head.len() + 256).sum();
        entries + requests
    }

    /// Forgets the oldest entries until `excess` bytes are free, except those in `needed`.
    pub(crate) fn forget_oldest(
        &mut self,
        mut excess: usize,
        needed: &BTreeSet<i64>,
        delivered: i64,
    ) -> Forgotten {
        let mut gone = Forgotten::default();
        self.entries.retain(|entry| {
            if excess == 0 || needed.contains(&entry.no) {
                return true;
            }
            excess = excess.saturating_sub(size_of(entry));
            gone.last = gone.last.max(entry.no);
            gone.undelivered += u64::from(delivered < entry.no);
            false
        });
        gone
    }
}

/// Rough size of an entry in memory: its JSON and its record.
fn size_of(entry: &Entry) -> usize {
    entry.body.len() * 2 + 512
}
