//! One session of a relay: rounds of sending until something ends it.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

mod opening;
mod rounds;
mod state;

use super::lanes::Lanes;
use super::poison::Sort;
use super::values::ValueLane;
use super::{Relay, RelayState};
use crate::findings::FindingCode;
use crate::outbox::{Left, Position, Reader};
use crate::sink::{self, Notice, Retained, Sink, SinkDown};
use state::{Flights, Pacing, PositionReport, SessionLink, SessionProgress};

/// Maximum delay before a position is reported to the writer, which stores it within half a second. After a crash,
/// messages of less than one second are sent again.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Maximum time from a broken link to the sink's reason for it.
pub(super) const BROKEN_TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum time between two rounds in which nothing could be sent.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// Entries read from the end of the log at a time.
const READ_BATCH: usize = 512;

/// Reason for the end of a session.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// The relay is to stop, and the session was drained.
    Stopped,
    /// The link is down.
    Down(SinkDown),
    /// Everything is refused.
    Blocked(SinkDown),
}

/// A session and what it works on.
pub(crate) struct RelaySession<'a, S> {
    /// The relay: sink, renderer, outbox, findings.
    pub(super) relay: &'a mut Relay<S>,
    /// State that outlives sessions.
    pub(super) state: &'a mut RelayState,
    /// Capabilities of the sink.
    pub(super) traits: sink::Traits,
    /// Reads log and values.
    pub(super) reader: Reader,
    /// The log lane: entries that are left, by source.
    pub(super) lanes: Lanes,
    /// The value lane: values that changed and are not acknowledged.
    pub(super) values: ValueLane,
    /// The connection.
    pub(super) link: SessionLink,
    /// Messages on their way.
    pub(super) flights: Flights,
    /// Progress of the session in the outbox.
    pub(super) progress: SessionProgress,
    /// Changes to be reported to the writer.
    pub(super) report: PositionReport,
    /// Timing of messages.
    pub(super) pacing: Pacing,
}

impl<'a, S: Sink> RelaySession<'a, S> {
    /// Begins a session at the sink's position.
    pub(super) fn new(relay: &'a mut Relay<S>, state: &'a mut RelayState, opened: sink::Session) -> Self {
        let traits = relay.sink.traits();
        let value_low = state.position.value_low;
        state.poison.begin();
        Self {
            traits,
            reader: state.reader.take().unwrap_or_else(|| relay.outbox.reader()),
            lanes: Lanes::default(),
            values: ValueLane::new(value_low),
            link: SessionLink::new(opened),
            flights: Flights::default(),
            progress: SessionProgress::new(relay.outbox.tip(), state.retained.is_loaded(), value_low),
            report: PositionReport::new(traits.name),
            pacing: Pacing::new(),
            relay,
            state,
        }
    }

    /// Runs to the end, and reports the position to the writer.
    pub(super) async fn run(mut self) -> SessionEnd {
        let end = match self.work().await {
            Ok(()) => SessionEnd::Stopped,
            Err(end) => end,
        };
        self.last_receipts().await;
        let cause = if let SessionEnd::Down(down) = &end { self.broke(down) } else { None };
        self.flights.waiting.clear();
        self.report_now().await;
        self.state.reader = Some(self.reader);
        cause.map_or(end, SessionEnd::Down)
    }

    async fn work(&mut self) -> Result<(), SessionEnd> {
        self.load_lanes()?;
        self.open().await?;
        loop {
            self.read_new().await?;
            self.collect_receipts()?;
            while let Some(notice) = self.link.pending_notices.pop_front() {
                self.handle_notice(notice).await?;
            }
            let progressed = self.round().await?;
            self.report_sometimes().await;
            if self.drained() {
                return Ok(());
            }
            if self.link.broken.is_some_and(|since| BROKEN_TIMEOUT < since.elapsed()) {
                return Err(SessionEnd::Down(SinkDown {
                    code: FindingCode::BrokerUnreachable,
                    reason: "the link broke".into(),
                }));
            }
            if !progressed {
                self.wait().await?;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Loads the log lane from the position on.
    pub(super) fn load_lanes(&mut self) -> Result<(), SessionEnd> {
        let tip = self.progress.tip.borrow().no;
        let mut position = self.state.position.clone();
        let mut left = if position.log_low < tip { self.left_after(&mut position)? } else { Vec::new() };
        let low = position.log_low;
        let end = low.max(left.iter().map(|left| left.last).max().unwrap_or(low));
        left.retain(|left| self.reader.has(left.source_no));
        self.lanes = Lanes::new(&position, &left, end, self.traits.one_per_source);
        self.state.failing.begin();
        let poison = &self.state.poison;
        self.lanes.prefer(|source_no| poison.failures(Sort::Log, source_no));
        Ok(())
    }

    /// Entries left after a position. While the disk is unavailable, entries that only the disk holds are skipped in
    /// this session.
    fn left_after(&mut self, position: &mut Position) -> Result<Vec<Left>, SessionEnd> {
        let low = position.log_low;
        let error = match self.reader.left_after(low) {
            Ok(left) => return Ok(left),
            Err(error) => error,
        };
        let first = self.reader.memory_begins().ok_or_else(|| disk(&error))?;
        if low + 1 < first {
            tracing::warn!("the outbox cannot be read ({error}): only what memory holds is sent for now");
            self.progress.disk_unavailable = true;
            *position = Position { log_low: first - 1, ..Position::default() };
        }
        Ok(Vec::new())
    }

    /// Adds new entries and changed values, and obeys floors and rewinds.
    async fn read_new(&mut self) -> Result<(), SessionEnd> {
        let tip = *self.progress.tip.borrow_and_update();
        if self.progress.disk_unavailable && self.progress.disk_turns != tip.turns {
            let reason = "what the disk holds can be read again".into();
            return Err(SessionEnd::Down(SinkDown { code: FindingCode::Disk, reason }));
        }
        if self.progress.floors != tip.floors {
            self.progress.floors = tip.floors;
            self.note_position();
            if self.relay.obey_floor(self.state).await | self.relay.obey_rewind(self.state).await {
                self.state.poison.reloaded();
                self.load_lanes()?;
            }
        }
        while self.lanes.tip() < tip.no {
            let entries =
                self.reader.entries_after(self.lanes.tip(), READ_BATCH).map_err(|error| disk(&error))?;
            if entries.is_empty() {
                break;
            }
            self.lanes.add(&entries, |source_no| self.reader.has(source_no));
        }
        if self.traits.values && self.values.seen() < tip.version {
            let changed = self.reader.changes_after(self.values.seen()).map_err(|error| disk(&error))?;
            // Values that changed since the tip was read are returned by the next call.
            for (key, version) in changed.into_iter().filter(|(_, version)| *version <= tip.version) {
                if self.reader.has(key.source_no) {
                    self.values.changed(key, version);
                }
            }
            self.values.skip_to(tip.version);
        }
        // After a session that a message ended, the log is sent first.
        let log_first = self.state.poison.isolating() && !self.lanes.all_sent();
        if self.progress.gone != tip.gone
            && !log_first
            && self.progress.gone_wait.is_none_or(|until| until <= Instant::now())
        {
            self.progress.gone_wait = None;
            let late = std::mem::replace(&mut self.progress.gone, tip.gone) == u64::MAX;
            self.empty_gone(late).await?;
        }
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), SessionEnd> {
        if self.relay.stop.is_cancelled() && self.pacing.drain_until.is_none() {
            self.pacing.drain_until = Some(Instant::now() + self.relay.drain);
        }
        let wake = self.wake();
        let draining = self.pacing.drain_until.is_some();
        tokio::select! {
            biased;
            changed = self.progress.tip.changed() => if changed.is_err() { return Err(SessionEnd::Stopped) },
            Some(receipt) = self.flights.waiting.next(), if !self.flights.waiting.is_empty() => self.handle_receipt(receipt)?,
            notice = self.relay.sink.notice() => self.handle_notice(notice).await?,
            () = tokio::time::sleep_until(wake) => {}
            () = self.relay.stop.cancelled(), if !draining => {}
        }
        Ok(())
    }

    fn wake(&self) -> Instant {
        let idle = Instant::now() + Duration::from_secs(30);
        let report = if self.report.unreported == 0 && self.report.change.retained.is_empty() {
            idle
        } else {
            self.report.last + REPORT_INTERVAL
        };
        // Values that are due wait for the pause that the broker asked for.
        let due = self.values.wake().map(|due| self.pacing.values_wait.map_or(due, |until| until.max(due)));
        let next = [
            Some(report),
            self.lanes.wake(Instant::now()),
            self.state.failing.wake(Instant::now()),
            self.pacing.values_wait,
            self.progress.gone_wait,
            due,
            self.pacing.drain_until,
            self.link.broken.map(|since| since + BROKEN_TIMEOUT + Duration::from_millis(1)),
        ];
        // What was due before this round was not done in it: it waits for something else, and is not asked at once again.
        let next = next.into_iter().flatten().min().unwrap_or(idle).min(idle);
        next.max(Instant::now() + MIN_WAIT)
    }

    /// Returns whether the session is to stop, and nothing is left to send or to wait for (or there is no time left).
    fn drained(&self) -> bool {
        let empty = self.lanes.backlog() == 0 && self.values.idle() && self.flights.waiting.is_empty();
        self.relay.stop.is_cancelled()
            && (empty || self.pacing.drain_until.is_some_and(|until| until <= Instant::now()))
    }

    /// Processes a notice of the sink.
    pub(super) async fn handle_notice(&mut self, notice: Notice) -> Result<(), SessionEnd> {
        match notice {
            Notice::Down(down) => return Err(SessionEnd::Down(down)),
            Notice::Birth => {
                self.current_values(false).await?;
                self.remove_gone_devices().await?;
            }
            Notice::Emptied(topic) => self.handle_emptied(&topic).await,
            Notice::Found { topic, payload } => self.handle_found_state(&topic, &payload).await,
            Notice::Mark(mark) => self.mark_found(&mark).await?,
            Notice::Problem { code, detail } => self.relay.findings.raise(code, self.traits.name, &detail),
            Notice::Retained(verdict) => {
                self.link.retained = verdict;
                if verdict == Retained::Lost {
                    self.queue_lost_pictures()?;
                }
            }
        }
        Ok(())
    }
}

/// The end of a session that cannot read the outbox.
pub(super) fn disk(error: &rusqlite::Error) -> SessionEnd {
    SessionEnd::Down(SinkDown {
        code: FindingCode::Disk,
        reason: format!("the outbox cannot be read ({error}); it is tried again"),
    })
}
