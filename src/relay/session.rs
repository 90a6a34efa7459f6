//! One session of a relay: rounds of sending until something ends it.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{Flight, InFlight};
use super::lanes::Lanes;
use super::telling::TELL;
use super::values::Values;
use super::{Kept, Relay};
use crate::outbox::{Left, Position, Reader, SinkChange, Tip};
use crate::sink::{self, Notice, Retained, Sink, SinkDown};

/// Values sent in one round before the log gets its turn.
const VALUES: usize = 256;
/// What broke a link is told so soon after it broke.
pub(super) const BROKEN: Duration = Duration::from_secs(1);
/// Read from the end of the log at a time.
const READ: usize = 512;

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It is time to stop, and what could be drained is.
    Stopped,
    /// The link is gone.
    Down(SinkDown),
    /// Everything is refused.
    Blocked(SinkDown),
}

/// A session and what it works on.
pub(crate) struct Session<'a, S> {
    pub(super) relay: &'a mut Relay<S>,
    pub(super) kept: &'a mut Kept,
    pub(super) traits: sink::Traits,
    pub(super) max_payload: Option<usize>,
    pub(super) retained: Retained,
    pub(super) token: Option<String>,
    pub(super) reader: Reader,
    pub(super) lanes: Lanes,
    pub(super) values: Values,
    pub(super) flying: FuturesUnordered<InFlight>,
    pub(super) tip: watch::Receiver<Tip>,
    pub(super) gone_seen: u64,
    /// What went away is not looked at before this.
    pub(super) gone_wait: Option<Instant>,
    floors_seen: u64,
    pub(super) change: SinkChange,
    pub(super) told: Instant,
    pub(super) untold: u64,
    pub(super) values_wait: Option<Instant>,
    pub(super) drain_until: Option<Instant>,
    /// Sent, and then the session ended before the receipt came.
    pub(super) unsent: Vec<(u64, Flight)>,
    /// How many messages were sent.
    pub(super) order: u64,
    /// Where the value lane stood when the session began.
    pub(super) opened_at: i64,
    /// The far side takes a message later, it says.
    pub(super) waits: bool,
    /// Topics to be emptied that were not taken.
    pub(super) empty_again: Vec<String>,
    /// What the far side said while there was no time for it.
    pub(super) noted: VecDeque<Notice>,
    /// Since when that is known.
    pub(super) broken: Option<Instant>,
    /// What the disk holds is out of reach: what memory holds is sent, and the position stays.
    pub(super) blind: bool,
    /// How often the disk began or ended to refuse writes, as of the session's begin.
    turns: u64,
}

impl<'a, S: Sink> Session<'a, S> {
    /// Begins a session where the sink stands.
    pub(super) fn new(relay: &'a mut Relay<S>, kept: &'a mut Kept, opened: sink::Session) -> Self {
        let traits = relay.sink.traits();
        let tip = relay.outbox.tip();
        // What went away while there was no session is emptied in this one.
        let gone_seen = if kept.retained.is_loaded() { u64::MAX } else { tip.borrow().gone };
        let turns = tip.borrow().turns;
        kept.poison.session();
        Self {
            traits,
            max_payload: opened.max_payload,
            retained: opened.retained,
            token: opened.token,
            reader: relay.outbox.reader(),
            lanes: Lanes::default(),
            values: Values::new(kept.position.value_low),
            flying: FuturesUnordered::new(),
            gone_seen,
            gone_wait: None,
            floors_seen: u64::MAX,
            tip,
            change: SinkChange { sink: traits.name.into(), ..SinkChange::default() },
            told: Instant::now(),
            untold: 0,
            values_wait: None,
            drain_until: None,
            unsent: Vec::new(),
            order: 0,
            opened_at: kept.position.value_low,
            waits: false,
            empty_again: Vec::new(),
            noted: VecDeque::new(),
            broken: None,
            blind: false,
            turns,
            relay,
            kept,
        }
    }

    /// Runs until it ends, and tells the writer where that leaves the sink.
    pub(super) async fn run(mut self) -> End {
        let end = match self.work().await {
            Ok(()) => End::Stopped,
            Err(end) => end,
        };
        self.last_receipts().await;
        if let End::Down(down) = &end {
            self.broke(down);
        }
        self.flying.clear();
        self.tell().await;
        end
    }

    async fn work(&mut self) -> Result<(), End> {
        self.load_lanes()?;
        self.park_cutter()?;
        self.open().await?;
        loop {
            self.take_tip().await?;
            self.collect_landed()?;
            while let Some(notice) = self.noted.pop_front() {
                self.noticed(notice).await?;
            }
            let progressed = self.round().await?;
            self.tell_sometimes().await;
            if self.drained() {
                return Ok(());
            }
            if self.broken.is_some_and(|since| BROKEN < since.elapsed()) {
                return Err(End::Down(SinkDown {
                    code: "broker_unreachable",
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

    /// Reads what the log holds after the position.
    pub(super) fn load_lanes(&mut self) -> Result<(), End> {
        let tip = self.tip.borrow().no;
        let mut position = self.kept.position.clone();
        let left = if position.log_low < tip { self.left_after(&mut position)? } else { Vec::new() };
        let low = position.log_low;
        self.lanes = Lanes::new(
            &position,
            &left,
            low.max(left.iter().map(|left| left.last).max().unwrap_or(low)),
            self.traits.one_per_source,
        );
        Ok(())
    }

    /// What the log holds after a position; what is out of reach while the disk refuses is passed over for now.
    fn left_after(&mut self, position: &mut Position) -> Result<Vec<Left>, End> {
        let low = position.log_low;
        let error = match self.reader.left_after(low) {
            Ok(left) => return Ok(left),
            Err(error) => error,
        };
        let first = self.reader.memory_begins().ok_or_else(|| disk(&error))?;
        if low + 1 < first {
            tracing::warn!("the outbox cannot be read ({error}): only what memory holds is sent for now");
            self.blind = true;
            *position = Position { log_low: first - 1, ..Position::default() };
        }
        Ok(Vec::new())
    }

    /// Takes in what was committed since.
    async fn take_tip(&mut self) -> Result<(), End> {
        let tip = *self.tip.borrow_and_update();
        if self.blind && self.turns != tip.turns {
            let reason = "what the disk holds can be read again".into();
            return Err(End::Down(SinkDown { code: "disk", reason }));
        }
        if self.floors_seen != tip.floors {
            self.floors_seen = tip.floors;
            self.note_position();
            if self.relay.obey_floor(self.kept).await | self.relay.obey_rewind(self.kept).await {
                self.load_lanes()?;
            }
        }
        while self.lanes.tip() < tip.no {
            let entries = self.reader.entries_after(self.lanes.tip(), READ).map_err(|error| disk(&error))?;
            if entries.is_empty() {
                break;
            }
            self.lanes.add(&entries);
        }
        if self.traits.values && self.values.seen() < tip.version {
            let changed = self.reader.changes_after(self.values.seen()).map_err(|error| disk(&error))?;
            // What changed since the tip was read comes with the next one.
            for (key, version) in changed.into_iter().filter(|(_, version)| *version <= tip.version) {
                self.values.changed(key, version);
            }
            self.values.skip_to(tip.version);
        }
        if self.gone_seen != tip.gone && self.gone_wait.is_none_or(|until| until <= Instant::now()) {
            self.gone_wait = None;
            let late = std::mem::replace(&mut self.gone_seen, tip.gone) == u64::MAX;
            self.empty_gone(late).await?;
        }
        Ok(())
    }

    /// One round of sending; says whether anything was sent.
    async fn round(&mut self) -> Result<bool, End> {
        let single = self.kept.poison.single();
        if self.broken.is_some() || single && !self.flying.is_empty() {
            return Ok(false);
        }
        let mut sent = false;
        if self.values_wait.is_none_or(|until| until <= Instant::now()) {
            self.values_wait = None;
            for topic in std::mem::take(&mut self.empty_again) {
                self.empty(topic).await?;
            }
            for _ in 0..VALUES {
                let Some(key) = self.values.next() else { break };
                sent |= self.send_value(key).await?;
                if single && sent {
                    return Ok(true);
                }
            }
        }
        let values = &self.values;
        if let Some(source_no) = self.lanes.next(Instant::now(), |source_no| values.busy(source_no)) {
            let turn = self.turn(source_no).await;
            self.lanes.done(source_no);
            return turn.map(|more| sent | more);
        }
        let picture =
            self.values.next_heavy(None).or_else(|| if sent { None } else { self.values.next_lost() });
        match picture {
            Some(key) => self.send_value(key).await.map(|_| true),
            None => self.send_token().await.map(|more| sent | more),
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Result<(), End> {
        if self.relay.stop.is_cancelled() && self.drain_until.is_none() {
            self.drain_until = Some(Instant::now() + self.relay.drain);
        }
        let wake = self.wake();
        let draining = self.drain_until.is_some();
        tokio::select! {
            changed = self.tip.changed() => if changed.is_err() { return Err(End::Stopped) },
            Some(landed) = self.flying.next(), if !self.flying.is_empty() => self.landed(landed)?,
            notice = self.relay.sink.notice() => self.noticed(notice).await?,
            () = tokio::time::sleep_until(wake) => {}
            () = self.relay.stop.cancelled(), if !draining => {}
        }
        Ok(())
    }

    fn wake(&self) -> Instant {
        let idle = Instant::now() + Duration::from_secs(30);
        let tell = if self.untold == 0 && self.change.retained.is_empty() { idle } else { self.told + TELL };
        [
            Some(tell),
            self.lanes.wake(Instant::now()),
            self.values_wait,
            self.gone_wait,
            self.drain_until,
            self.broken.map(|since| since + BROKEN + Duration::from_millis(1)),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(idle)
        .min(idle)
    }

    /// Whether it is time to stop and there is nothing left to send or to wait for (or no time to).
    fn drained(&self) -> bool {
        let empty = self.lanes.backlog() == 0 && self.values.idle() && self.flying.is_empty();
        self.relay.stop.is_cancelled()
            && (empty || self.drain_until.is_some_and(|until| until <= Instant::now()))
    }

    /// Acts on what the far side says by itself.
    pub(super) async fn noticed(&mut self, notice: Notice) -> Result<(), End> {
        match notice {
            Notice::Down(down) => return Err(End::Down(down)),
            Notice::Birth => {
                self.current_values(false).await?;
                self.take_back().await?;
            }
            Notice::Emptied(topic) => self.emptied(&topic).await,
            Notice::Found { topic, payload } => self.found(&topic, &payload).await,
            Notice::Problem { code, detail } => self.relay.findings.raise(code, self.traits.name, &detail),
            Notice::Retained(verdict) => {
                self.retained = verdict;
                if verdict == Retained::Lost {
                    self.queue_lost_pictures()?;
                }
            }
        }
        Ok(())
    }
}

/// The outbox cannot be read: the session ends and is tried again.
pub(super) fn disk(error: &rusqlite::Error) -> End {
    End::Down(SinkDown {
        code: "disk",
        reason: format!("the outbox cannot be read ({error}); it is tried again"),
    })
}
