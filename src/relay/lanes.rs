//! The log lane of a sink: per source, entries left to send, entries without acknowledgement, and the position that
//! follows from them. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::outbox::{Entry, Left, Position};

#[cfg(test)]
mod tests;

/// Maximum number of entries read ahead for one source, and sent in one turn.
pub(crate) const TURN: usize = 64;
/// Maximum number of entries read ahead for all sources together.
const MAX_READ_AHEAD: usize = 4_096;

/// The log lane of a sink.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// Sources with entries left, by number.
    lanes: HashMap<i64, Lane>,
    /// Sources in the order of their turns.
    turns: VecDeque<i64>,
    /// The last number added.
    tip: i64,
    /// Number of entries read ahead.
    read_ahead: usize,
    /// Set if the sink accepts one message of a source at a time.
    one_per_source: bool,
}

/// Entries that one source has left.
#[derive(Debug, Default)]
struct Lane {
    /// Entries that were read and not sent yet, in order.
    queue: VecDeque<Arc<Entry>>,
    /// Number of the last entry read.
    read: i64,
    /// The last number known of this source.
    last: i64,
    /// Number up to which all entries are acknowledged.
    acked: i64,
    /// Entries that were sent and are not acknowledged, in order.
    in_flight: VecDeque<Flying>,
    /// Time before which nothing of this source is sent.
    wait: Option<Instant>,
    /// True if it is in `turns`.
    queued: bool,
    /// Number of entries left, unacknowledged ones included.
    left: u64,
}

/// An entry that was sent and is not acknowledged.
#[derive(Debug)]
struct Flying {
    /// Its number.
    no: i64,
    /// Number of its messages that are not acknowledged.
    messages: usize,
    /// Number of these that were refused and set aside, so that no acknowledgement is awaited.
    held: usize,
}

impl Lanes {
    /// Begins at a position, with the entries left after it.
    pub(crate) fn new(position: &Position, left: &[Left], tip: i64, one_per_source: bool) -> Self {
        let mut this = Self { tip, one_per_source, ..Self::default() };
        for left in left {
            let from = position.of(left.source_no);
            let unsent = from < left.last;
            // A source without entries left is kept while the low-water mark is below its last entry.
            let lane = Lane {
                read: from,
                acked: from,
                last: left.last.max(from),
                left: if unsent { left.count } else { 0 },
                ..Lane::default()
            };
            this.lanes.insert(left.source_no, lane);
            if unsent {
                this.queue(left.source_no);
            }
        }
        this
    }

    /// The last number added.
    pub(crate) fn tip(&self) -> i64 {
        self.tip
    }

    /// Takes new entries in, in order; those of other sources are passed over.
    pub(crate) fn add(&mut self, entries: &[Arc<Entry>], has: impl Fn(i64) -> bool) {
        for entry in entries {
            self.tip = self.tip.max(entry.no);
            if !has(entry.source_no) {
                continue;
            }
            let before = entry.no - 1;
            let lane = self.lanes.entry(entry.source_no).or_insert_with(|| Lane {
                read: before,
                last: before,
                acked: before,
                ..Lane::default()
            });
            if entry.no <= lane.last {
                continue;
            }
            let room = lane.read == lane.last && lane.queue.len() < TURN && self.read_ahead < MAX_READ_AHEAD;
            lane.last = entry.no;
            lane.left += 1;
            if room {
                lane.read = entry.no;
                lane.queue.push_back(Arc::clone(entry));
                self.read_ahead += 1;
            }
            self.queue(entry.source_no);
        }
    }

    /// The next source that may send now. It is skipped until [`done`](Self::done).
    pub(crate) fn next(&mut self, now: Instant, busy: impl Fn(i64) -> bool) -> Option<i64> {
        for _ in 0..self.turns.len() {
            let source_no = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&source_no) else { continue };
            let waits = lane.wait.is_some_and(|until| now < until)
                || (self.one_per_source
                    && lane.in_flight.iter().any(|in_flight| in_flight.held < in_flight.messages));
            if waits || (self.one_per_source && busy(source_no)) {
                self.turns.push_back(source_no);
                continue;
            }
            lane.wait = None;
            lane.queued = false;
            return Some(source_no);
        }
        None
    }

    /// Moves sources with the fewest failures to the front.
    pub(crate) fn prefer(&mut self, failures: impl Fn(i64) -> u32) {
        self.turns.make_contiguous().sort_by_key(|source_no| failures(*source_no));
    }

    /// Ends the turn of a source; it queues again if it has more.
    pub(crate) fn done(&mut self, source_no: i64) {
        if self.lanes.get(&source_no).is_some_and(|lane| !lane.queue.is_empty() || lane.read < lane.last) {
            self.queue(source_no);
        }
    }

    /// Number after which a source must be read, if nothing of it is read ahead.
    pub(crate) fn wants(&self, source_no: i64) -> Option<i64> {
        let lane = self.lanes.get(&source_no)?;
        (lane.queue.is_empty() && lane.read < lane.last).then_some(lane.read)
    }

    /// Number of entries of a source to read at once, within the bound over all sources.
    pub(crate) fn room(&self) -> usize {
        MAX_READ_AHEAD.saturating_sub(self.read_ahead).clamp(1, TURN)
    }

    /// Adds entries that were read for a source.
    pub(crate) fn fill(&mut self, source_no: i64, mut entries: Vec<Arc<Entry>>) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        // Entries committed since the last `add` are added by the next one.
        entries.retain(|entry| entry.no <= lane.last);
        match entries.last() {
            Some(last) => lane.read = last.no,
            // The known entries were deleted or are unreadable: none is left before the end.
            None => lane.read = lane.last,
        }
        self.read_ahead += entries.len();
        lane.queue.extend(entries);
        if lane.queue.is_empty() && lane.in_flight.is_empty() {
            lane.left = 0;
            lane.acked = lane.last;
        }
    }

    /// The next entry of a source, to be confirmed with [`sent`](Self::sent) or left.
    pub(crate) fn peek(&self, source_no: i64) -> Option<Arc<Entry>> {
        self.lanes.get(&source_no)?.queue.front().cloned()
    }

    /// Records that the next entry was sent with this number of messages.
    pub(crate) fn sent(&mut self, source_no: i64, messages: usize) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(entry) = lane.queue.pop_front() {
            self.read_ahead = self.read_ahead.saturating_sub(1);
            lane.in_flight.push_back(Flying { no: entry.no, messages, held: 0 });
            lane.settle();
        }
    }

    /// Records that a message of an entry was acknowledged, or was parked because it will never be accepted.
    pub(crate) fn acked(&mut self, source_no: i64, no: i64) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(in_flight) = lane.in_flight.iter_mut().find(|in_flight| in_flight.no == no) {
            in_flight.messages = in_flight.messages.saturating_sub(1);
        }
        lane.settle();
    }

    /// Records that a message of an entry was refused and set aside, so that others of its source are sent.
    pub(crate) fn hold_back(&mut self, source_no: i64, no: i64) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(in_flight) = lane.in_flight.iter_mut().find(|in_flight| in_flight.no == no) {
            in_flight.held += 1;
        }
    }

    /// Records that a message that was set aside was parked.
    pub(crate) fn parked(&mut self, source_no: i64, no: i64) {
        if let Some(lane) = self.lanes.get_mut(&source_no)
            && let Some(in_flight) = lane.in_flight.iter_mut().find(|in_flight| in_flight.no == no)
        {
            in_flight.held = in_flight.held.saturating_sub(1);
        }
        self.acked(source_no, no);
    }

    /// Records that a message that was set aside is sent again, with this number of messages.
    pub(crate) fn send_again(&mut self, source_no: i64, no: i64, messages: usize) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(in_flight) = lane.in_flight.iter_mut().find(|in_flight| in_flight.no == no) {
            (in_flight.messages, in_flight.held) = (messages, 0);
        }
        lane.settle();
    }

    /// Returns true if a later entry of the source is acknowledged.
    pub(crate) fn is_overtaken(&self, source_no: i64, no: i64) -> bool {
        let Some(lane) = self.lanes.get(&source_no) else { return false };
        lane.in_flight.iter().any(|in_flight| no < in_flight.no && in_flight.messages == 0)
    }

    /// Returns whether everything that is left was sent (or set aside).
    pub(crate) fn all_sent(&self) -> bool {
        self.lanes.values().all(|lane| lane.queue.is_empty() && lane.read == lane.last)
    }

    /// Marks an entry and all later entries of its source to be sent again, since order matters.
    pub(crate) fn rewind(&mut self, source_no: i64, no: i64, until: Instant) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if !lane.in_flight.iter().any(|in_flight| in_flight.no == no) {
            return;
        }
        lane.in_flight.retain(|in_flight| in_flight.no < no);
        self.read_ahead = self.read_ahead.saturating_sub(lane.queue.len());
        lane.queue.clear();
        lane.read = no - 1;
        lane.wait = Some(until);
        self.queue(source_no);
    }

    /// Postpones a source until a time.
    pub(crate) fn hold(&mut self, source_no: i64, until: Instant) {
        let lane = self.lanes.entry(source_no).or_insert_with(|| Lane {
            acked: self.tip,
            read: self.tip,
            last: self.tip,
            ..Lane::default()
        });
        lane.wait = lane.wait.max(Some(until));
    }

    /// Allows a waiting source to send from this time on.
    pub(crate) fn release(&mut self, source_no: i64, from: Instant) {
        if let Some(lane) = self.lanes.get_mut(&source_no).filter(|lane| lane.wait.is_some()) {
            lane.wait = Some(from);
        }
    }

    /// Time at which the next waiting source may send. (One whose time has come waits for a receipt.)
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        let waiting = self.turns.iter().filter_map(|source_no| self.lanes.get(source_no)?.wait);
        waiting.filter(|until| now < *until).min()
    }

    /// Number of entries left, unacknowledged ones included.
    pub(crate) fn backlog(&self) -> u64 {
        self.lanes.values().map(|lane| lane.left).sum()
    }

    /// Current position: the low-water mark, and the sources ahead of it. Forgets sources without entries left.
    pub(crate) fn position(&mut self) -> (i64, BTreeMap<i64, i64>) {
        let low = self.lanes.values().filter_map(Lane::first_left).min().map_or(self.tip, |first| first - 1);
        let idle = |lane: &Lane| lane.first_left().is_none() && lane.last <= low && lane.wait.is_none();
        self.lanes.retain(|_, lane| !idle(lane));
        let ahead = self
            .lanes
            .iter()
            .filter(|(_, lane)| low < lane.acked)
            .map(|(source_no, lane)| (*source_no, lane.acked));
        (low, ahead.collect())
    }

    fn queue(&mut self, source_no: i64) {
        if let Some(lane) = self.lanes.get_mut(&source_no)
            && !std::mem::replace(&mut lane.queued, true)
        {
            self.turns.push_back(source_no);
        }
    }
}

impl Lane {
    /// Removes entries at the front that are fully acknowledged.
    fn settle(&mut self) {
        while self.in_flight.front().is_some_and(|in_flight| in_flight.messages == 0) {
            if let Some(in_flight) = self.in_flight.pop_front() {
                self.acked = in_flight.no;
                self.left = self.left.saturating_sub(1);
            }
        }
        if self.in_flight.is_empty() && self.queue.is_empty() && self.read == self.last {
            self.acked = self.last;
            self.left = 0;
        }
    }

    /// The first number not acknowledged.
    fn first_left(&self) -> Option<i64> {
        let in_flight = self.in_flight.front().map(|in_flight| in_flight.no);
        let queued = self.queue.front().map(|entry| entry.no);
        let unread = (self.read < self.last).then_some(self.read + 1);
        in_flight.or(queued).or(unread)
    }
}
