//! The relay: one for each sink, from the outbox to the broker. It knows what its sink has not acknowledged. A slow or
//! broken sink does not slow another one, since they share only the outbox.
//!
//! A session begins with all small values (discovery, states), then `online`, then rounds: changed values, then source
//! by source its pictures and its log. Whatever ends a session, the next one starts from the position in the outbox:
//! messages on their way count as unsent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod backoff;
mod compose;
mod failing;
mod flight;
mod lanes;
mod poison;
mod receipts;
mod reporting;
mod retained;
mod sending;
mod session;
mod status;
mod values;

pub use status::{Ack, SinkStatus, StatusHandle};

use crate::findings::{FindingCode, Findings};
use crate::model::picture::variant::PictureForm;
use crate::model::value::What;
use crate::outbox::{Outbox, Position, Reader, SinkChange, ValueKey};
use crate::render::Renderer;
use crate::sink::{Sink, SinkDown};
use backoff::Backoff;
use compose::PictureOutcomes;
use failing::FailingMessages;
use poison::Poison;
use session::{RelaySession, SessionEnd};

/// Duration of a session after which the pause before the next attempt is short again.
const STABLE_SESSION: std::time::Duration = std::time::Duration::from_secs(20);
/// Pause after a connection that ended because of a message, short so that other messages are not held up.
const POISON_RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(20);
/// Pause while everything is refused.
const BLOCKED_PAUSE: std::time::Duration = std::time::Duration::from_secs(30);
/// Minimum pause while everything is refused, when something new is to be sent.
const MIN_BLOCKED_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// A relay, before it runs.
#[derive(Debug)]
pub struct Relay<S> {
    /// The destination.
    pub sink: S,
    /// Renders records and values into messages.
    pub renderer: Arc<Renderer>,
    /// The outbox.
    pub outbox: Outbox,
    /// Findings.
    pub findings: Findings,
    /// Status of the sink.
    pub status: StatusHandle,
    /// Time from receipt to rendering after which an alarm is `replayed`.
    pub replay_after: SignedDuration,
    /// Set if every picture is published, so that log entries are rendered with theirs.
    pub each_picture: bool,
    /// Variants of each picture that are published too.
    pub pictures: Vec<PictureForm>,
    /// Signal to stop: the session is drained, and the connection closed.
    pub stop: CancellationToken,
    /// Maximum time of draining.
    pub drain: std::time::Duration,
}

/// State of a relay that outlives its sessions.
#[derive(Debug)]
struct RelayState {
    /// Position of the sink in log and values.
    position: Position,
    /// The last floor of the backlog that was applied.
    floor: i64,
    /// The last rewind that was applied.
    rewinds: u64,
    /// Messages that are refused, or end the connection.
    poison: Poison,
    /// Messages that the receiver failed to take.
    failing: FailingMessages,
    /// Values that the broker refused.
    refusals: ValueRefusals,
    /// Set if the sink was blocked, and no log message was accepted since.
    blocked: bool,
    /// Pictures that were sent, or are too large.
    picture_outcomes: PictureOutcomes,
    /// Size from which on pictures are over a limit that the broker does not name, and when that was learned.
    learned_limit: Option<(u64, Instant)>,
    /// Topics that this sink published retained.
    retained: retained::KnownTopics,
    /// Reader of the outbox, between two sessions; its connection and statements serve the next one too.
    reader: Option<Reader>,
}

/// Values that the broker refused.
#[derive(Debug, Default)]
struct ValueRefusals {
    /// Pictures to be sent at the next connect though they did not change: refused for another reason than their
    /// size, or moved to another topic.
    pictures: HashSet<ValueKey>,
    /// Values over which the broker ends the connection, with their version: not sent until they change.
    given_up: HashMap<ValueKey, i64>,
    /// Kinds of value that the broker refused and did not accept since. While it ends the connection over refused
    /// messages, they go after all others.
    kinds: HashSet<What>,
}

impl RelayState {
    /// The state at the start of the process.
    fn new(position: Position) -> Self {
        Self {
            position,
            floor: 0,
            rewinds: 0,
            poison: Poison::default(),
            failing: FailingMessages::default(),
            refusals: ValueRefusals::default(),
            blocked: false,
            picture_outcomes: PictureOutcomes::default(),
            learned_limit: None,
            retained: retained::KnownTopics::default(),
            reader: None,
        }
    }
}

impl<S: Sink> Relay<S> {
    /// Runs until it is to stop.
    pub async fn run(mut self) {
        let name = self.sink.traits().name;
        let mut state = RelayState::new(self.outbox.position(name));
        let mut backoff = Backoff::default();
        loop {
            let started = Instant::now();
            let end = self.session(&mut state).await;
            let down = match end {
                SessionEnd::Stopped => break,
                SessionEnd::Down(down) => down,
                SessionEnd::Blocked(down) => {
                    state.blocked = true;
                    self.trouble(&down, true);
                    if !self.pause(BLOCKED_PAUSE, MIN_BLOCKED_PAUSE, &mut state).await {
                        break;
                    }
                    continue;
                }
            };
            self.trouble(&down, state.blocked);
            if STABLE_SESSION < started.elapsed() {
                backoff.reset();
                state.poison.session_lasted();
            }
            let at_once = state.poison.retries_at_once();
            let pause = if at_once { POISON_RETRY_DELAY } else { backoff.pause() };
            if !self.pause(pause, pause, &mut state).await {
                break;
            }
        }
        self.sink.close().await;
        self.status.update(|status| status.connected = false);
    }

    /// One session, from connecting to its end.
    async fn session(&mut self, state: &mut RelayState) -> SessionEnd {
        let stop = self.stop.clone();
        let session = tokio::select! {
            biased;
            () = stop.cancelled() => return SessionEnd::Stopped,
            session = self.sink.connect() => session,
        };
        match session {
            Err(down) => {
                if down.code == FindingCode::BrokerUnreachable {
                    state.poison.unreachable();
                }
                SessionEnd::Down(down)
            }
            Ok(opened) => {
                let name = self.sink.traits().name;
                tracing::info!(sink.name = name, "connected: {}", opened.description);
                for code in [
                    FindingCode::BrokerUnreachable,
                    FindingCode::BrokerRefused,
                    FindingCode::BrokerTls,
                    FindingCode::BrokerTakenOver,
                    FindingCode::MessageTooLarge,
                    poison::MESSAGE_REFUSED,
                    FindingCode::StreamMissing,
                    FindingCode::Disk,
                ] {
                    self.findings.settle(code, name);
                }
                self.status.update(|status| {
                    status.connected = true;
                    status.sessions += 1;
                    status.trouble = None;
                    status.description.clone_from(&opened.description);
                });
                let end = RelaySession::new(self, state, opened).run().await;
                self.status.update(|status| status.connected = false);
                end
            }
        }
    }

    /// Reports why there is no session.
    fn trouble(&self, down: &SinkDown, blocked: bool) {
        self.findings.raise(down.code, self.sink.traits().name, &down.reason);
        self.status.update(|status| {
            status.blocked = blocked;
            status.trouble = Some(down.reason.clone());
        });
    }

    /// Waits for the next attempt, and keeps the backlog within its bounds meanwhile. `with_news`: the pause when
    /// something new is to be sent. Returns `false` when the relay is to stop.
    async fn pause(
        &mut self,
        pause: std::time::Duration,
        with_news: std::time::Duration,
        state: &mut RelayState,
    ) -> bool {
        let begun = Instant::now();
        let mut until = begun + pause;
        let mut tip = self.outbox.tip();
        loop {
            self.obey_floor(state).await;
            self.obey_rewind(state).await;
            self.count_backlog(state);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep_until(until) => return true,
                changed = tip.changed() => if changed.is_err() { return false },
            }
            until = until.min(begun + with_news);
            // Counting is not worth doing for every commit.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep_until(until.min(Instant::now() + std::time::Duration::from_millis(500))) => {}
            }
        }
    }

    /// Moves the position to the floor that the bounds of the backlog raised, and raises a finding.
    async fn obey_floor(&mut self, state: &mut RelayState) -> bool {
        let name = self.sink.traits().name;
        let floor = self.outbox.floor(name);
        if floor <= state.floor || floor <= state.position.log_low {
            return false;
        }
        state.floor = floor;
        let position = state.position.clone();
        let outbox = self.outbox.clone();
        let dropped = outbox.reader().left_until(&position, floor).unwrap_or_else(|error| {
            tracing::warn!("what was dropped cannot be counted: {error}");
            0
        });
        state.position.log_low = floor;
        state.position.dropped += dropped;
        state.position.trim();
        let detail = format!(
            "the backlog of {name} passed its bound: {dropped} undelivered alarms were dropped (they stay in history)"
        );
        self.findings.raise(FindingCode::BacklogDropped, name, &detail);
        self.status.update(|status| status.dropped = state.position.dropped);
        let change =
            SinkChange { sink: name.into(), position: Some(state.position.clone()), ..SinkChange::default() };
        self.outbox.sink(change).await.is_ok()
    }

    /// Moves the position back, if a rewind was asked for.
    async fn obey_rewind(&mut self, state: &mut RelayState) -> bool {
        let name = self.sink.traits().name;
        let (rewinds, low) = self.outbox.rewound(name);
        if rewinds == state.rewinds {
            return false;
        }
        state.rewinds = rewinds;
        state.position.rewind(low);
        tracing::info!(sink.name = name, "rewound: everything after entry {low} is sent again");
        let change =
            SinkChange { sink: name.into(), position: Some(state.position.clone()), ..SinkChange::default() };
        self.outbox.sink(change).await.is_ok()
    }

    /// Keeps the number of undelivered entries current while there is no session.
    fn count_backlog(&self, state: &RelayState) {
        let tip = self.outbox.tip().borrow().no;
        let backlog = (tip - state.position.log_low).max(0).unsigned_abs();
        self.status.update(|status| {
            status.backlog = backlog;
            status.delivered = state.position.delivered;
            status.dropped = state.position.dropped;
            if backlog == 0 {
                status.oldest = None;
            }
        });
    }
}
