//! One session of a relay: rounds of sending until something ends it.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::flight::{Flight, InFlight};
use super::lanes::Lanes;
use super::values::Values;
use super::{Kept, Relay};
use crate::outbox::{Reader, SinkChange, Tip};
use crate::sink::{self, Notice, Retained, Sink, SinkDown};

/// Values sent in one round before the log gets its turn.
const VALUES: usize = 256;
/// The position is told to the writer at latest after this.
const TELL: Duration = Duration::from_secs(1);
/// So many acknowledged messages are worth telling at once.
const TELL_AFTER: u64 = 5_000;
/// What broke a link is told so soon after it broke.
const BROKEN: Duration = Duration::from_secs(1);
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
    pub(super) window: usize,
    pub(super) retained: Retained,
    pub(super) token: Option<String>,
    pub(super) reader: Reader,
    pub(super) lanes: Lanes,
    pub(super) values: Values,
    pub(super) flying: FuturesUnordered<InFlight>,
    pub(super) tip: watch::Receiver<Tip>,
    pub(super) gone_seen: u64,
    pub(super) change: SinkChange,
    pub(super) told: Instant,
    pub(super) untold: u64,
    pub(super) values_wait: Option<Instant>,
    pub(super) drain_until: Option<Instant>,
    /// Sent, and then the session ended before the receipt came.
    pub(super) unsent: Vec<Flight>,
    /// Since when that is known.
    pub(super) broken: Option<Instant>,
}

impl<'a, S: Sink> Session<'a, S> {
    pub(super) fn new(relay: &'a mut Relay<S>, kept: &'a mut Kept, opened: sink::Session) -> Self {
        let traits = relay.sink.traits();
        let tip = relay.outbox.tip();
        let gone_seen = tip.borrow().gone;
        let window = opened.window.max(1);
        kept.poison.session();
        Self {
            traits,
            max_payload: opened.max_payload,
            window: if kept.poison.single() { 1 } else { window },
            retained: opened.retained,
            token: opened.token,
            reader: relay.outbox.reader(),
            lanes: Lanes::default(),
            values: Values::new(kept.position.value_low),
            flying: FuturesUnordered::new(),
            gone_seen,
            tip,
            change: SinkChange { sink: traits.name.into(), ..SinkChange::default() },
            told: Instant::now(),
            untold: 0,
            values_wait: None,
            drain_until: None,
            unsent: Vec::new(),
            broken: None,
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
        self.collect_landed().ok();
        if matches!(end, End::Down(_)) {
            let flying = self.flying.iter_mut().filter_map(|waiting| waiting.flight.take());
            let unsent: Vec<Flight> = self.unsent.drain(..).chain(flying).collect();
            self.kept.poison.broke(&unsent);
        }
        self.flying.clear();
        self.tell().await;
        end
    }

    async fn work(&mut self) -> Result<(), End> {
        self.load_lanes()?;
        self.open().await?;
        self.park_cutter();
        loop {
            self.take_tip().await?;
            self.collect_landed()?;
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
        let low = self.kept.position.log_low;
        let left = if low < tip {
            block_in_place(|| self.reader.left_after(low)).map_err(|error| disk(&error))?
        } else {
            Vec::new()
        };
        self.lanes = Lanes::new(
            &self.kept.position,
            &left,
            low.max(left.iter().map(|left| left.last).max().unwrap_or(low)),
            self.traits.one_per_source,
        );
        Ok(())
    }

    /// Takes in what was committed since.
    async fn take_tip(&mut self) -> Result<(), End> {
        let tip = *self.tip.borrow_and_update();
        if self.relay.obey_floor(self.kept).await {
            self.load_lanes()?;
        }
        while self.lanes.tip() < tip.no {
            let entries = block_in_place(|| self.reader.entries_after(self.lanes.tip(), READ))
                .map_err(|error| disk(&error))?;
            if entries.is_empty() {
                break;
            }
            self.lanes.add(&entries);
        }
        while self.traits.values && self.values.seen() < tip.version {
            let changed = block_in_place(|| self.reader.values_after(self.values.seen(), READ))
                .map_err(|error| disk(&error))?;
            if changed.is_empty() {
                self.values.skip_to(tip.version);
            }
            for (key, value) in changed {
                self.values.changed(key, value.version);
            }
        }
        if self.gone_seen != tip.gone {
            self.gone_seen = tip.gone;
            self.empty_gone().await?;
        }
        Ok(())
    }

    /// One round of sending; says whether anything was sent.
    async fn round(&mut self) -> Result<bool, End> {
        if self.broken.is_some() || self.window == 1 && !self.flying.is_empty() {
            return Ok(false);
        }
        let mut sent = false;
        if self.values_wait.is_none_or(|until| until <= Instant::now()) {
            self.values_wait = None;
            for _ in 0..VALUES {
                let Some(key) = self.values.next() else { break };
                sent |= self.send_value(key).await?;
                if self.window == 1 && sent {
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
            Some(key) => self.send_value(key).await.map(|more| sent | more),
            None => Ok(sent),
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
            self.lanes.wake(),
            self.values_wait,
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
            Notice::Birth => self.current_values(false).await?,
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

    /// Tells the writer where the sink stands, now and then.
    async fn tell_sometimes(&mut self) {
        let news = self.untold != 0 || !self.change.retained.is_empty() || !self.change.parked.is_empty();
        if news
            && (TELL <= self.told.elapsed() || TELL_AFTER <= self.untold || !self.change.parked.is_empty())
        {
            self.tell().await;
        }
    }

    /// Tells the writer where the sink stands.
    pub(super) async fn tell(&mut self) {
        let (low, ahead) = self.lanes.position();
        let position = &mut self.kept.position;
        position.log_low = position.log_low.max(low);
        position.ahead = ahead;
        position.value_low = position.value_low.max(self.values.low());
        position.trim();
        self.change.position = Some(position.clone());
        let empty = SinkChange { sink: self.traits.name.into(), ..SinkChange::default() };
        let change = std::mem::replace(&mut self.change, empty);
        if self.relay.outbox.sink(change).await.is_err() {
            tracing::debug!("the writer is gone; the position of {} is not kept", self.traits.name);
        }
        self.told = Instant::now();
        self.untold = 0;
        let backlog = self.lanes.backlog();
        self.relay.status.update(|status| {
            status.backlog = backlog;
            status.delivered = self.kept.position.delivered;
            status.dropped = self.kept.position.dropped;
        });
    }
}

/// The outbox cannot be read: the session ends and is tried again.
pub(super) fn disk(error: &rusqlite::Error) -> End {
    End::Down(SinkDown {
        code: "disk",
        reason: format!("the outbox cannot be read ({error}); it is tried again"),
    })
}
