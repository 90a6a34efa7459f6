//! The log lane of one sink: what each source has left, what is on its way, and where that leaves the position.
//! Pure: entries come in from the caller, numbers go out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::outbox::{Entry, Left, Position};

/// Read ahead for one source, and the most it sends before the next one's turn.
pub(crate) const TURN: usize = 64;
/// Read ahead for all sources together.
const AHEAD: usize = 4_096;

/// The log lane of a sink.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<i64, Lane>,
    turns: VecDeque<i64>,
    tip: i64,
    read_ahead: usize,
    one_per_source: bool,
}

/// What one source has left.
#[derive(Debug, Default)]
struct Lane {
    /// Read and not sent yet, in order.
    queue: VecDeque<Arc<Entry>>,
    /// Everything up to here was read.
    read: i64,
    /// The last number known of this source.
    last: i64,
    /// Everything up to here is acknowledged.
    acked: i64,
    /// Sent and not acknowledged, in order.
    flying: VecDeque<Flying>,
    /// Not before this.
    wait: Option<Instant>,
    /// It stands in `turns`.
    queued: bool,
    /// How many it has left, those on their way included.
    left: u64,
}

#[derive(Debug)]
struct Flying {
    no: i64,
    messages: usize,
}

impl Lanes {
    /// Begins at a position with what the log holds after it.
    pub(crate) fn new(position: &Position, left: &[Left], tip: i64, one_per_source: bool) -> Self {
        let mut this = Self { tip, one_per_source, ..Self::default() };
        for left in left {
            let from = position.of(left.source_no);
            if from < left.last {
                let lane =
                    Lane { read: from, acked: from, last: left.last, left: left.count, ..Lane::default() };
                this.lanes.insert(left.source_no, lane);
                this.queue(left.source_no);
            }
        }
        this
    }

    /// The last number taken in.
    pub(crate) fn tip(&self) -> i64 {
        self.tip
    }

    /// Takes new entries in, in order.
    pub(crate) fn add(&mut self, entries: &[Arc<Entry>]) {
        for entry in entries {
            self.tip = self.tip.max(entry.no);
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
            let room = lane.read == lane.last && lane.queue.len() < TURN && self.read_ahead < AHEAD;
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

    /// The next source that may send now. It is out of turn until [`done`](Self::done).
    pub(crate) fn next(&mut self, now: Instant, busy: impl Fn(i64) -> bool) -> Option<i64> {
        for _ in 0..self.turns.len() {
            let source_no = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&source_no) else { continue };
            let waits = lane.wait.is_some_and(|until| now < until)
                || (self.one_per_source && !lane.flying.is_empty());
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

    /// The turn of a source is over; it queues again if it has more.
    pub(crate) fn done(&mut self, source_no: i64) {
        if self.lanes.get(&source_no).is_some_and(|lane| !lane.queue.is_empty() || lane.read < lane.last) {
            self.queue(source_no);
        }
    }

    /// After which number a source must be read, if nothing of it is at hand.
    pub(crate) fn wants(&self, source_no: i64) -> Option<i64> {
        let lane = self.lanes.get(&source_no)?;
        (lane.queue.is_empty() && lane.read < lane.last).then_some(lane.read)
    }

    /// How many entries of a source to read at once: the bound on what is read ahead holds over all sources.
    pub(crate) fn room(&self) -> usize {
        AHEAD.saturating_sub(self.read_ahead).clamp(1, TURN)
    }

    /// Takes what was read of a source.
    pub(crate) fn fill(&mut self, source_no: i64, mut entries: Vec<Arc<Entry>>) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        // What was committed since the last `add` comes with the next one.
        entries.retain(|entry| entry.no <= lane.last);
        match entries.last() {
            Some(last) => lane.read = last.no,
            // What was known of is gone (deleted, or unreadable): nothing is left before the end.
            None => lane.read = lane.last,
        }
        self.read_ahead += entries.len();
        lane.queue.extend(entries);
        if lane.queue.is_empty() && lane.flying.is_empty() {
            lane.left = 0;
            lane.acked = lane.last;
        }
    }

    /// The next entry of a source; look at it, then [`sent`](Self::sent) or leave it.
    pub(crate) fn peek(&self, source_no: i64) -> Option<Arc<Entry>> {
        self.lanes.get(&source_no)?.queue.front().cloned()
    }

    /// How many of its messages one more entry is on its way with.
    pub(crate) fn sent(&mut self, source_no: i64, messages: usize) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(entry) = lane.queue.pop_front() {
            self.read_ahead = self.read_ahead.saturating_sub(1);
            lane.flying.push_back(Flying { no: entry.no, messages });
            lane.settle();
        }
    }

    /// One message of an entry is acknowledged (or will never be accepted, and was parked).
    pub(crate) fn acked(&mut self, source_no: i64, no: i64) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if let Some(flying) = lane.flying.iter_mut().find(|flying| flying.no == no) {
            flying.messages = flying.messages.saturating_sub(1);
        }
        lane.settle();
    }

    /// An entry has to be sent again, and what came after it too, since order counts.
    pub(crate) fn rewind(&mut self, source_no: i64, no: i64, until: Instant) {
        let Some(lane) = self.lanes.get_mut(&source_no) else { return };
        if !lane.flying.iter().any(|flying| flying.no == no) {
            return;
        }
        lane.flying.retain(|flying| flying.no < no);
        self.read_ahead = self.read_ahead.saturating_sub(lane.queue.len());
        lane.queue.clear();
        lane.read = no - 1;
        lane.wait = Some(until);
        self.queue(source_no);
    }

    /// A source sends nothing before this.
    pub(crate) fn hold(&mut self, source_no: i64, until: Instant) {
        let lane = self.lanes.entry(source_no).or_insert_with(|| Lane {
            acked: self.tip,
            read: self.tip,
            last: self.tip,
            ..Lane::default()
        });
        lane.wait = lane.wait.max(Some(until));
    }

    /// A source that waits may go on from this moment.
    pub(crate) fn release(&mut self, source_no: i64, from: Instant) {
        if let Some(lane) = self.lanes.get_mut(&source_no).filter(|lane| lane.wait.is_some()) {
            lane.wait = Some(from);
        }
    }

    /// When the next source that waits may go on. (One whose time has come waits for a receipt, not for a time.)
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        let waiting = self.turns.iter().filter_map(|source_no| self.lanes.get(source_no)?.wait);
        waiting.filter(|until| now < *until).min()
    }

    /// How many entries are left, those on their way included.
    pub(crate) fn backlog(&self) -> u64 {
        self.lanes.values().map(|lane| lane.left).sum()
    }

    /// Where this leaves the sink: the low-water mark, and the sources beyond it. Forgets sources that are done.
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
    /// Takes what is wholly acknowledged off the front.
    fn settle(&mut self) {
        while self.flying.front().is_some_and(|flying| flying.messages == 0) {
            if let Some(flying) = self.flying.pop_front() {
                self.acked = flying.no;
                self.left = self.left.saturating_sub(1);
            }
        }
        if self.flying.is_empty() && self.queue.is_empty() && self.read == self.last {
            self.acked = self.last;
            self.left = 0;
        }
    }

    /// The first number not acknowledged.
    fn first_left(&self) -> Option<i64> {
        let flying = self.flying.front().map(|flying| flying.no);
        let queued = self.queue.front().map(|entry| entry.no);
        let unread = (self.read < self.last).then_some(self.read + 1);
        flying.or(queued).or(unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::{ActivityPhase, ActivityRecord};
    use crate::model::{Record, Source};

    fn entry(no: i64, source_no: i64) -> Arc<Entry> {
        let device =
            crate::outbox::device::Device::unheard(1, Source::unlisted(), jiff::Timestamp::UNIX_EPOCH)
                .record("x".into());
        let record = ActivityRecord {
            id: uuid::Uuid::nil(),
            activity_id: uuid::Uuid::nil(),
            event: crate::model::EventName::new("person"),
            source: Source::unlisted(),
            device,
            phase: ActivityPhase::End,
            started: jiff::Timestamp::UNIX_EPOCH,
            ended: None,
            alarms: 1,
            count_max: None,
            snapshot: None,
        };
        Arc::new(Entry::new(no, source_no, Record::Activity(Box::new(record))))
    }

    fn send_all(lanes: &mut Lanes) -> Vec<i64> {
        let mut order = Vec::new();
        while let Some(source_no) = lanes.next(Instant::now(), |_| false) {
            while let Some(entry) = lanes.peek(source_no) {
                order.push(entry.no);
                lanes.sent(source_no, 1);
            }
            lanes.done(source_no);
        }
        order
    }

    #[test]
    fn the_position_is_the_first_that_is_not_acknowledged() {
        let mut lanes = Lanes::default();
        lanes.add(&[entry(1, 7), entry(2, 8), entry(3, 7), entry(4, 8)]);
        assert_eq!(send_all(&mut lanes), [1, 3, 2, 4]);
        lanes.acked(8, 2);
        lanes.acked(8, 4);
        assert_eq!(lanes.position(), (0, [(8, 4)].into()));
        lanes.acked(7, 1);
        assert_eq!((lanes.position().0, lanes.backlog()), (2, 1));
        lanes.acked(7, 3);
        assert_eq!((lanes.position(), lanes.backlog()), ((4, BTreeMap::new()), 0));
    }

    #[test]
    fn what_has_to_be_sent_again_keeps_the_order() {
        let mut lanes = Lanes::default();
        lanes.add(&[entry(1, 7), entry(2, 7), entry(3, 7)]);
        assert_eq!(send_all(&mut lanes), [1, 2, 3]);
        lanes.acked(7, 1);
        lanes.rewind(7, 2, Instant::now());
        let source_no = lanes.next(Instant::now(), |_| false).unwrap();
        assert_eq!(lanes.wants(source_no), Some(1));
        lanes.fill(source_no, vec![entry(2, 7), entry(3, 7)]);
        lanes.done(source_no);
        assert_eq!(send_all(&mut lanes), [2, 3]);
        assert_eq!(lanes.position().0, 1);
    }

    #[test]
    fn a_source_that_waits_holds_no_other() {
        let mut lanes = Lanes { one_per_source: true, ..Lanes::default() };
        lanes.add(&[entry(1, 7), entry(2, 7), entry(3, 8)]);
        lanes.hold(7, Instant::now() + std::time::Duration::from_secs(9));
        assert_eq!(lanes.next(Instant::now(), |_| false), Some(8));
        lanes.release(7, Instant::now());
        assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
    }

    #[test]
    fn a_new_source_begins_with_its_first_entry_even_when_enough_is_read_ahead() {
        let mut lanes = Lanes { read_ahead: AHEAD, ..Lanes::default() };
        lanes.add(&[entry(41, 7)]);
        assert_eq!((lanes.wants(7), lanes.room()), (Some(40), 1));
    }

    #[test]
    fn what_was_committed_since_is_not_taken_twice() {
        let mut lanes = Lanes { tip: 1, ..Lanes::default() };
        lanes.add(&[entry(2, 7), entry(3, 7)]);
        assert_eq!(send_all(&mut lanes), [2, 3]);
        lanes.rewind(7, 2, Instant::now());
        assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
        lanes.fill(7, vec![entry(2, 7), entry(3, 7), entry(4, 7)]);
        lanes.done(7);
        assert_eq!(send_all(&mut lanes), [2, 3]);
        lanes.add(&[entry(4, 7)]);
        assert_eq!(send_all(&mut lanes), [4]);
        (2..=4).for_each(|no| lanes.acked(7, no));
        assert_eq!((lanes.position().0, lanes.backlog()), (4, 0));
    }

    #[test]
    fn a_restart_goes_on_where_each_source_was() {
        let position = Position { log_low: 2, ahead: [(8, 6)].into(), ..Position::default() };
        let left = |source_no, first, last| Left { source_no, count: 2, first, last };
        let lanes = Lanes::new(&position, &[left(7, 3, 9), left(8, 4, 6)], 9, false);
        assert_eq!((lanes.wants(7), lanes.wants(8)), (Some(2), None));
    }
}
