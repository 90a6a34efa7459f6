//! The one writer: a thread that takes what waits, computes what it changes, and commits it all at once.
//!
//! While the disk refuses, what could not be written is kept (`unwritten`) and tried again; relays find it in
//! memory meanwhile, and answers say that it is not durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

mod captures;
mod devices;
mod disk;
mod memory;
mod recovered;
mod waiting;

use super::command::{Command, SinkChange};
use super::effects::{Effects, Held, ParkedChange, ValueKey};
use super::ledger::Ledger;
use super::retention::Housekeeping;
use super::shared::Shared;
use super::{Appended, Submission};
use crate::activity::Now;
use crate::model::Source;
pub(crate) use captures::Captures;
pub(crate) use disk::Disk;
pub(crate) use waiting::Waiting;

/// The most commands of one commit.
const BATCH: u16 = 1_024;
/// Positions alone are written so late; with an alarm they go at once.
const LAZY: Duration = Duration::from_millis(500);
/// A disk that refuses is tried again so often.
const RETRY: Duration = Duration::from_secs(1);

/// The writer's own.
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) ledger: Ledger,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// When the process started, the zero of the monotonic clock.
    pub(crate) start: Instant,
    /// Positions and other things that may wait for the next commit.
    pub(crate) lazy: Effects,
    /// Since when they wait.
    pub(crate) lazy_since: Option<Instant>,
    /// Rows that follow from the log and are not written yet.
    pub(crate) waiting: Waiting,
    /// Requests for the Requests page.
    pub(crate) captures: Captures,
    /// What a refusing disk has not got.
    pub(crate) unwritten: Option<Effects>,
    pub(crate) housekeeping: Housekeeping,
}

/// Answers that wait for the commit.
#[derive(Default)]
struct Replies {
    appended: Vec<(oneshot::Sender<Appended>, Vec<Uuid>)>,
    changed: Vec<(oneshot::Sender<bool>, bool)>,
    recovered: Vec<(oneshot::Sender<u64>, u64)>,
    flushed: Vec<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Works until it is told to stop, or everybody who could ask is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.wake();
            let command = tokio::select! {
                command = self.commands.recv() => command,
                () = tokio::time::sleep_until(wake) => {
                    self.turn(None);
                    continue;
                }
                () = self.shared.damage_reported() => {
                    self.turn(None);
                    continue;
                }
            };
            let last = command.is_none();
            if self.turn(command) || last {
                return;
            }
        }
    }

    /// When there is something to do without being asked.
    fn wake(&self) -> Instant {
        let mut wake = self.housekeeping.next();
        if let Some(next) = self.ledger.activities.next() {
            wake = wake.min(self.start + next);
        }
        if let Some(since) = self.lazy_since {
            wake = wake.min(since + LAZY);
        }
        for due in [self.captures.wake(), self.waiting.wake()].into_iter().flatten() {
            wake = wake.min(due);
        }
        if self.unwritten.is_some() {
            wake = wake.min(Instant::now() + RETRY);
        }
        wake
    }

    /// One round: what waits, one commit, the answers. Says whether it was the last.
    fn turn(&mut self, first: Option<Command>) -> bool {
        self.shared.round();
        let mut effects = Effects::default();
        let mut replies = Replies::default();
        let mut next = first;
        let mut taken = 0_u16;
        let mut only_frequent = true;
        while let Some(command) = next.take() {
            only_frequent &= command.is_frequent();
            self.command(command, &mut effects, &mut replies);
            taken += 1;
            if taken < BATCH && replies.stop.is_none() {
                next = self.commands.try_recv().ok();
            }
        }
        // After what came in time, though it waited: an alarm within the hold goes on with its activity.
        self.ledger.expire(self.now(), &mut effects);
        let house = self.housekeeping.due();
        let ends = replies.stop.is_some() || !replies.flushed.is_empty();
        self.captures.flush(ends, &mut effects);
        let due = self.lazy_since.is_some_and(|since| LAZY <= since.elapsed()) || self.waiting.due();
        let due = self.shared.damage() && self.reader_found_damage() || due || house && self.waiting.any();
        if !effects.is_empty() || due || ends {
            let mut all = std::mem::take(&mut self.lazy);
            self.lazy_since = None;
            all.merge(effects);
            if 0 < taken {
                self.shared.metrics.commit_batch.observe(f64::from(taken));
            }
            self.commit(all, !only_frequent || due || ends);
        }
        self.retry();
        // Before the answers: who got one may look at once.
        self.shared.note_behind(self.waiting.any());
        let stop = answer(replies, self.unwritten.is_none());
        if !stop && house {
            self.keep_house();
        }
        stop
    }

    /// Both clocks now.
    pub(super) fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: Timestamp::now() }
    }

    fn command(&mut self, command: Command, effects: &mut Effects, replies: &mut Replies) {
        match command {
            Command::Submit { submission, stored, reply } => {
                let ids = self.submit(*submission, &stored, effects);
                replies.appended.push((reply, ids));
            }
            Command::Record(request) => {
                self.captures.take(*request, &mut self.lazy);
                self.lazy_since.get_or_insert_with(Instant::now);
            }
            Command::Sink(change) => {
                let now = self.now();
                self.sink(change, now);
            }
            Command::Device { change, reply } => {
                let now = self.now();
                let done = self.device(change, now, effects);
                replies.changed.push((reply, done));
            }
            Command::Bridge { what, text } => {
                let key = ValueKey { source_no: 0, what, event: None };
                self.ledger.value(key, &Source::unlisted(), Held::Text(text), effects);
            }
            Command::Parked { no, verb, reply } => {
                let done = self.parked(no, verb, effects);
                replies.changed.push((reply, done));
            }
            Command::Replay { id, reply } => {
                let done = self.replay(id, effects);
                replies.changed.push((reply, done));
            }
            Command::Rewind { sink, low, reply } => {
                let position = self.shared.rewind(&sink, low);
                replies.changed.push((reply, position.is_some()));
                effects.sinks.extend(position.map(|position| (sink, Some(position))));
            }
            Command::Recover { salvaged, reply } => {
                let taken = self.take_back(*salvaged, effects);
                replies.recovered.push((reply, taken));
            }
            Command::Configure(settings) => self.configure(&settings, effects),
            Command::Flush(reply) => replies.flushed.push(reply),
            Command::Stop(reply) => replies.stop = Some(reply),
        }
    }

    /// Takes a report in, at the time it was received.
    fn submit(
        &mut self,
        mut submission: Submission,
        stored: &[Option<Uuid>],
        effects: &mut Effects,
    ) -> Vec<Uuid> {
        let mono = submission.received.saturating_duration_since(self.start);
        let at = Now { mono, wall: submission.received_at };
        self.ledger.expire(at, effects);
        let ids = self.ledger.submit(&mut submission, stored, at, effects);
        if let Some(request) = submission.request {
            let row = super::request_row(submission.id, at.wall, submission.peer, request, ids.clone());
            self.captures.take(row, effects);
        }
        ids
    }

    /// Keeps what a sink tells for the next commit.
    fn sink(&mut self, change: SinkChange, now: Now) {
        let SinkChange { sink, position, retained, parked, unparked } = change;
        for (topic, key) in retained {
            self.lazy.retained.insert((sink.clone(), topic), key);
        }
        self.lazy.parked.extend(unparked.into_iter().map(ParkedChange::Remove));
        self.lazy.parked.extend(parked.into_iter().map(|parking| ParkedChange::Add {
            sink: sink.clone(),
            entry: parking.entry,
            topic: parking.topic,
            code: parking.code,
            reason: parking.reason,
            at: now.wall,
        }));
        if let Some(position) = position {
            self.shared.position(&sink, &position);
            self.lazy.sinks.insert(sink, Some(position));
        }
        self.lazy_since.get_or_insert_with(Instant::now);
    }
}

/// Answers everybody who waited for the commit; says whether the writer is to stop.
fn answer(replies: Replies, durable: bool) -> bool {
    // That somebody no longer waits for an answer is normal: a camera that hung up.
    for (reply, ids) in replies.appended {
        reply.send(Appended { ids, durable }).ok();
    }
    for (reply, done) in replies.changed {
        reply.send(done).ok();
    }
    for (reply, taken) in replies.recovered {
        reply.send(taken).ok();
    }
    for reply in replies.flushed {
        reply.send(()).ok();
    }
    replies.stop.is_some_and(|reply| {
        reply.send(()).ok();
        true
    })
}
