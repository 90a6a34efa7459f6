//! The relay: one per sink, from the outbox to the far side. It alone knows what a sink still has to get; a slow or
//! dead sink never slows another, since they share nothing but the outbox.
//!
//! A session begins with everything small that is current (discovery, values), then `online`, then rounds: changed
//! values, then source by source its pictures and its log. Whatever ends it, the next one starts from the position
//! in the outbox: what was on its way counts as unsent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod backoff;
mod compose;
mod flight;
mod lanes;
mod opening;
mod poison;
mod receipts;
mod retained;
mod sending;
mod session;
mod status;
mod telling;
mod values;

pub use status::{Ack, SinkStatus, Status};

use crate::findings::Findings;
use crate::outbox::{Outbox, Position, SinkChange, ValueKey};
use crate::render::Renderer;
use crate::sink::{Sink, SinkDown};
use backoff::Backoff;
use compose::Fates;
use poison::Poison;
use session::{End, Session};

/// A session that lasted so long was a good one: the next attempt comes soon again.
const GOOD: std::time::Duration = std::time::Duration::from_secs(20);
/// After a link that broke for a message: the rest is to flow on.
const HUNT: std::time::Duration = std::time::Duration::from_millis(50);
/// With everything refused, a new session asks again after this.
const BLOCKED: std::time::Duration = std::time::Duration::from_secs(30);

/// What a relay works with.
#[derive(Debug)]
pub struct Relay<S> {
    /// The destination.
    pub sink: S,
    /// Turns records and values into its messages.
    pub renderer: Arc<Renderer>,
    /// Where they come from.
    pub outbox: Outbox,
    /// What is seen on the way.
    pub findings: Findings,
    /// How it is doing.
    pub status: Status,
    /// Past this from receipt to rendering, an alarm is `replayed`.
    pub replay_after: SignedDuration,
    /// Every picture is published, so log entries need theirs.
    pub each_picture: bool,
    /// Stop: drain what can be drained, say goodbye.
    pub stop: CancellationToken,
    /// When draining ends at the latest, once `stop` is given.
    pub drain: std::time::Duration,
}

/// What a relay keeps from session to session.
#[derive(Debug)]
struct Kept {
    position: Position,
    poison: Poison,
    fates: Fates,
    retained: retained::Known,
    floor: i64,
    /// The last rewind that was obeyed.
    rewinds: u64,
    /// Pictures to be sent at the next connect though they did not change: refused for another reason than their
    /// size, or moved to another topic.
    refused: HashSet<ValueKey>,
    /// Pictures of so many bytes, or more, are over a limit that the far side does not tell; found out when.
    learned: Option<(u64, Instant)>,
    /// Values the far side cuts the link for, by version: not sent until they change.
    given_up: HashMap<ValueKey, i64>,
}

impl<S: Sink> Relay<S> {
    /// Works until it is told to stop.
    pub async fn run(mut self) {
        let name = self.sink.traits().name;
        let mut kept = Kept {
            position: self.outbox.position(name),
            poison: Poison::default(),
            fates: Fates::default(),
            retained: retained::Known::default(),
            floor: 0,
            rewinds: 0,
            refused: HashSet::new(),
            learned: None,
            given_up: HashMap::new(),
        };
        let mut backoff = Backoff::default();
        loop {
            let started = Instant::now();
            let end = self.session(&mut kept).await;
            let down = match end {
                End::Stopped => break,
                End::Down(down) => down,
                End::Blocked(down) => {
                    self.trouble(&down, true);
                    if !self.pause(BLOCKED, &mut kept).await {
                        break;
                    }
                    continue;
                }
            };
            self.trouble(&down, false);
            if GOOD < started.elapsed() {
                backoff.reset();
                kept.poison.held();
            }
            let pause = if kept.poison.hunting() { HUNT } else { backoff.pause() };
            if !self.pause(pause, &mut kept).await {
                break;
            }
        }
        self.sink.close().await;
        self.status.update(|status| status.connected = false);
    }

    /// One session, from connecting to its end.
    async fn session(&mut self, kept: &mut Kept) -> End {
        let stop = self.stop.clone();
        let session = tokio::select! {
            biased;
            () = stop.cancelled() => return End::Stopped,
            session = self.sink.connect() => session,
        };
        match session {
            Err(down) => End::Down(down),
            Ok(opened) => {
                let name = self.sink.traits().name;
                tracing::info!(sink.name = name, "connected: {}", opened.description);
                for code in [
                    "broker_unreachable",
                    "broker_refused",
                    "broker_tls",
                    "broker_taken_over",
                    "message_too_large",
                    "stream_missing",
                    "disk",
                ] {
                    self.findings.settle(code, name);
                }
                self.status.update(|status| {
                    status.connected = true;
                    status.sessions += 1;
                    status.trouble = None;
                    status.description.clone_from(&opened.description);
                });
                let end = Session::new(self, kept, opened).run().await;
                self.status.update(|status| status.connected = false);
                end
            }
        }
    }

    /// Says why there is no session.
    fn trouble(&self, down: &SinkDown, blocked: bool) {
        self.findings.raise(down.code, self.sink.traits().name, &down.reason);
        self.status.update(|status| {
            status.blocked = blocked;
            status.trouble = Some(down.reason.clone());
        });
    }

    /// Waits for the next attempt, and keeps the backlog within its bounds meanwhile. `false`: it is time to stop.
    async fn pause(&mut self, pause: std::time::Duration, kept: &mut Kept) -> bool {
        let until = Instant::now() + pause;
        let mut tip = self.outbox.tip();
        loop {
            self.obey_floor(kept).await;
            self.obey_rewind(kept).await;
            self.count_backlog(kept);
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep_until(until) => return true,
                changed = tip.changed() => if changed.is_err() { return false },
            }
            // Counting is not worth doing for every commit.
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep_until(until.min(Instant::now() + std::time::Duration::from_millis(500))) => {}
            }
        }
    }

    /// Moves the position over what the bounds of the backlog no longer keep, and says so.
    async fn obey_floor(&mut self, kept: &mut Kept) -> bool {
        let name = self.sink.traits().name;
        let floor = self.outbox.floor(name);
        if floor <= kept.floor || floor <= kept.position.log_low {
            return false;
        }
        kept.floor = floor;
        let position = kept.position.clone();
        let outbox = self.outbox.clone();
        let dropped = outbox.reader().left_until(&position, floor).unwrap_or_else(|error| {
            tracing::warn!("what was dropped cannot be counted: {error}");
            0
        });
        kept.position.log_low = floor;
        kept.position.dropped += dropped;
        kept.position.trim();
        let detail = format!(
            "the backlog of {name} passed its bound: {dropped} undelivered alarms were dropped (they stay in history)"
        );
        self.findings.raise("backlog_dropped", name, &detail);
        self.status.update(|status| status.dropped = kept.position.dropped);
        let change =
            SinkChange { sink: name.into(), position: Some(kept.position.clone()), ..SinkChange::default() };
        self.outbox.sink(change).await.is_ok()
    }

    /// Moves the position back, where somebody asked for it.
    async fn obey_rewind(&mut self, kept: &mut Kept) -> bool {
        let name = self.sink.traits().name;
        let (rewinds, low) = self.outbox.rewound(name);
        if rewinds == kept.rewinds {
            return false;
        }
        kept.rewinds = rewinds;
        kept.position.rewind(low);
        tracing::info!(sink.name = name, "rewound: everything after entry {low} is sent again");
        let change =
            SinkChange { sink: name.into(), position: Some(kept.position.clone()), ..SinkChange::default() };
        self.outbox.sink(change).await.is_ok()
    }

    /// Keeps the number of undelivered entries current while there is no session.
    fn count_backlog(&self, kept: &Kept) {
        let tip = self.outbox.tip().borrow().no;
        let backlog = (tip - kept.position.log_low).max(0).unsigned_abs();
        self.status.update(|status| {
            status.backlog = backlog;
            status.delivered = kept.position.delivered;
            status.dropped = kept.position.dropped;
            if backlog == 0 {
                status.oldest = None;
            }
        });
    }
}
