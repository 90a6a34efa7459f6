//! The parts of a session's state.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::rounds::ALONE_INTERVAL;
use crate::outbox::{Mark, SinkChange, Tip};
use crate::relay::flight::{Flight, InFlight};
use crate::sink::{self, Notice, Retained};

/// Interval at which the mark is published again while entries are written.
const MARK_INTERVAL: Duration = Duration::from_secs(60);

/// The connection, as the broker described it and as it is now.
#[derive(Debug)]
pub(in crate::relay) struct SessionLink {
    /// Maximum payload in bytes, where the broker names one.
    pub(in crate::relay) max_payload: Option<usize>,
    /// State of the broker's retained messages.
    pub(in crate::relay) retained: Retained,
    /// Token of this session, until it is published.
    pub(in crate::relay) token: Option<String>,
    /// Token of this session, as it was published last.
    pub(in crate::relay) marked: Marked,
    /// True if the broker asked to retry later and has accepted no log message since.
    pub(in crate::relay) busy: bool,
    /// Notices of the sink that arrived while only receipts were awaited.
    pub(in crate::relay) pending_notices: VecDeque<Notice>,
    /// Time at which the connection loss was noticed.
    pub(in crate::relay) broken: Option<Instant>,
}

impl SessionLink {
    /// A connection that was just made.
    pub(super) fn new(opened: sink::Session) -> Self {
        Self {
            max_payload: opened.max_payload,
            retained: opened.retained,
            token: opened.token,
            marked: Marked::default(),
            busy: false,
            pending_notices: VecDeque::new(),
            broken: None,
        }
    }
}

/// This session's token as it was published.
#[derive(Debug, Default)]
pub(in crate::relay) struct Marked {
    /// The token.
    pub(in crate::relay) token: String,
    /// The published text: the token, with the mark if there is one.
    text: String,
    /// The mark that was published with it, and when.
    last: Option<(Option<Mark>, Instant)>,
}

impl Marked {
    /// Records the text to be published. Returns whether it differs from the last one.
    pub(in crate::relay) fn publishes(&mut self, token: String, mark: Option<Mark>, text: &str) -> bool {
        self.token = token;
        self.last = Some((mark, Instant::now()));
        let new = self.text != text;
        text.clone_into(&mut self.text);
        new
    }

    /// Returns the token to be published again, because the broker did not accept it.
    pub(in crate::relay) fn take_back(&mut self) -> String {
        std::mem::take(self).token
    }

    /// Returns whether the mark is worth publishing again: numbers were reserved, or entries written some time ago.
    pub(in crate::relay) fn is_due(&self, mark: Option<Mark>) -> bool {
        let (Some((last, at)), Some(mark)) = (self.last, mark) else { return false };
        let Some(last) = last else { return true };
        last != mark && (last.is_of_other_numbers(&mark) || MARK_INTERVAL <= at.elapsed())
    }
}

/// Messages without a receipt.
#[derive(Default)]
pub(in crate::relay) struct Flights {
    /// Messages that wait for their receipt.
    pub(in crate::relay) waiting: FuturesUnordered<InFlight>,
    /// Messages whose receipt can no longer arrive because the connection ended, with their place in the sending order.
    pub(in crate::relay) unsent: Vec<(u64, Flight)>,
    /// Number of messages sent in this session.
    pub(in crate::relay) sent: u64,
    /// True if the last message sent must be the only one without a receipt.
    pub(in crate::relay) alone: bool,
}

/// Progress of a session in the outbox.
#[derive(Debug)]
pub(in crate::relay) struct SessionProgress {
    /// Current end of log and values.
    pub(in crate::relay) tip: watch::Receiver<Tip>,
    /// `Tip::gone` as of the last time that topics of removed values were emptied; `u64::MAX`: they are to be emptied
    /// in any case.
    pub(in crate::relay) gone: u64,
    /// Time before which topics of removed values are not emptied.
    pub(in crate::relay) gone_wait: Option<Instant>,
    /// `Tip::floors` at the last check of floor and rewinds.
    pub(in crate::relay) floors: u64,
    /// `Tip::turns` at the beginning of the session.
    pub(in crate::relay) disk_turns: u64,
    /// True if the disk cannot be read: only entries in memory are sent, and the position is not advanced.
    pub(in crate::relay) disk_unavailable: bool,
    /// Position of the value lane at the beginning of the session.
    pub(in crate::relay) values_before: i64,
}

impl SessionProgress {
    /// Progress at the beginning of a session. `retained_known`: the topics published before are loaded.
    pub(super) fn new(tip: watch::Receiver<Tip>, retained_known: bool, values_before: i64) -> Self {
        let Tip { gone, turns, .. } = *tip.borrow();
        Self {
            tip,
            // Topics of values that were removed between sessions are emptied in this one.
            gone: if retained_known { u64::MAX } else { gone },
            gone_wait: None,
            floors: u64::MAX,
            disk_turns: turns,
            disk_unavailable: false,
            values_before,
        }
    }
}

/// Changes to be reported to the writer.
#[derive(Debug)]
pub(in crate::relay) struct PositionReport {
    /// Changes since the last report.
    pub(in crate::relay) change: SinkChange,
    /// Time of the last report.
    pub(in crate::relay) last: Instant,
    /// Time at which the backlog was last counted.
    pub(in crate::relay) counted: Instant,
    /// Number of completed messages since the last report.
    pub(in crate::relay) unreported: u64,
}

impl PositionReport {
    /// An empty report of a sink.
    pub(super) fn new(sink: &str) -> Self {
        let change = SinkChange { sink: sink.into(), ..SinkChange::default() };
        let now = Instant::now();
        Self { change, last: now, counted: now, unreported: 0 }
    }
}

/// Timing of messages.
#[derive(Debug)]
pub(in crate::relay) struct Pacing {
    /// Time at which the session began.
    pub(in crate::relay) began: Instant,
    /// Time before which no value is sent, because the broker asked to retry later.
    pub(in crate::relay) values_wait: Option<Instant>,
    /// True while a message is sent that must be the only one without a receipt.
    pub(in crate::relay) sends_alone: bool,
    /// Time before which no value is sent alone, unless nothing else is left.
    pub(in crate::relay) alone_wait: Instant,
    /// True if `online` is still to be published, while no other message is unacknowledged.
    pub(in crate::relay) online_due: bool,
    /// True if `online` must be published again, because the broker asked to retry later.
    pub(in crate::relay) online_again: bool,
    /// Topics to be emptied again, because the broker did not accept it.
    pub(in crate::relay) empty_again: Vec<String>,
    /// Latest time at which a stopping session ends.
    pub(in crate::relay) drain_until: Option<Instant>,
}

impl Pacing {
    /// Returns whether values wait, since the broker asked for one later.
    pub(in crate::relay) fn values_wait(&self) -> bool {
        self.values_wait.is_some_and(|until| Instant::now() < until)
    }

    /// The beginning of a session.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            values_wait: None,
            sends_alone: false,
            alone_wait: Instant::now() + ALONE_INTERVAL,
            online_due: false,
            online_again: false,
            empty_again: Vec::new(),
            drain_until: None,
        }
    }
}
