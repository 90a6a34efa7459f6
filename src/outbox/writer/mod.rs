//! The writer: one thread that takes all waiting commands, computes their changes, and commits them in one transaction.
//!
//! While the disk refuses writes, changes are kept in memory (`unwritten`) and tried again. Relays find them in memory,
//! and answers say that they are not durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

mod apply;
mod captures;
mod devices;
mod disk;
mod memory;
mod recovered;
mod witnessed;

use crate::activity::Now;
use crate::model::Source;
use crate::outbox::command::{Command, SinkChange};
use crate::outbox::delivery::changes::ParkedChange;
use crate::outbox::effects::Effects;
use crate::outbox::log::retention::Housekeeping;
use crate::outbox::shared::SharedState;
use crate::outbox::state::checkpoint::Checkpoint;
use crate::outbox::state::ledger::Ledger;
use crate::outbox::state::value::{ValueContent, ValueKey};
use crate::outbox::submission::request_row;
use crate::outbox::{Appended, Submission};
pub(crate) use captures::Captures;
pub(crate) use disk::Disk;

/// Maximum number of commands in one commit.
const MAX_BATCH: u16 = 1_024;
/// Maximum delay before pending changes are written without an alarm.
const PENDING_DELAY: Duration = Duration::from_millis(500);
/// Interval of attempts to write to a disk that refuses writes.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// State of the writer.
pub(crate) struct Writer {
    /// The storage folder.
    pub(crate) folder: PathBuf,
    /// The database.
    pub(crate) disk: Disk,
    /// Devices, numbers and activities.
    pub(crate) ledger: Ledger,
    /// Memory shared with relays and pages.
    pub(crate) shared: Arc<SharedState>,
    /// Queue of commands.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Start of the process, the zero of the monotonic clock.
    pub(crate) start: Instant,
    /// Changes that wait for the next commit: positions, requests.
    pub(crate) pending: Effects,
    /// Time since which `pending` waits.
    pub(crate) pending_since: Option<Instant>,
    /// Deferred rows, and when they are written.
    pub(crate) checkpoint: Checkpoint,
    /// Requests that wait to be written for the Requests page.
    pub(crate) captures: Captures,
    /// Changes that the disk refused; `None` while it accepts writes.
    pub(crate) unwritten: Option<Effects>,
    /// State of housekeeping.
    pub(crate) housekeeping: Housekeeping,
}

/// Answers that wait for the commit.
#[derive(Default)]
struct Replies {
    /// Reports, with the identifiers of their alarms.
    appended: Vec<(oneshot::Sender<Appended>, Vec<Uuid>)>,
    /// Changes, with whether there was something to change.
    changed: Vec<(oneshot::Sender<bool>, bool)>,
    /// Parts of a recovered database, with the number of new records.
    recovered: Vec<(oneshot::Sender<u64>, u64)>,
    /// Flushes.
    flushed: Vec<oneshot::Sender<()>>,
    /// The request to stop.
    stop: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until the stop command, or until every handle is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.wake();
            let command = tokio::select! {
                biased;
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

    /// Time at which there is work without a command.
    fn wake(&self) -> Instant {
        let mut wake = self.housekeeping.next();
        if let Some(next) = self.ledger.activities.next().filter(|_| !self.ledger.settings.clustered) {
            wake = wake.min(self.start + next);
        }
        if let Some(next) = self.ledger.next_unmute.filter(|_| !self.ledger.settings.clustered) {
            let left = next.duration_since(crate::host::now());
            wake = wake.min(Instant::now() + Duration::try_from(left).unwrap_or_default());
        }
        if let Some(since) = self.pending_since {
            wake = wake.min(since + PENDING_DELAY);
        }
        for due in [self.captures.wake(), self.checkpoint.wake()].into_iter().flatten() {
            wake = wake.min(due);
        }
        if self.unwritten.is_some() {
            wake = wake.min(Instant::now() + RETRY_INTERVAL);
        }
        wake
    }

    /// Runs one round: waiting commands, one commit, the answers. Returns whether it was the last one.
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
            if taken < MAX_BATCH && replies.stop.is_none() {
                next = self.commands.try_recv().ok();
            }
        }
        // After the commands: an alarm received within the hold continues its activity, even if it waited in the
        // queue.
        if !self.ledger.settings.clustered {
            self.ledger.expire(self.now(), &mut effects);
        }
        let house = self.housekeeping.due();
        let ends = replies.stop.is_some() || !replies.flushed.is_empty();
        self.captures.flush(ends, &mut effects);
        let due = self.pending_since.is_some_and(|since| PENDING_DELAY <= since.elapsed())
            || self.checkpoint.is_due();
        let due = self.shared.damage() && self.reader_found_damage()
            || due
            || house && self.checkpoint.has_deferred();
        if !effects.is_empty() || due || ends {
            let mut all = std::mem::take(&mut self.pending);
            self.pending_since = None;
            all.merge(effects);
            if 0 < taken {
                self.shared.metrics.commit_batch.observe(f64::from(taken));
            }
            self.commit(all, !only_frequent || due || ends);
        }
        self.retry();
        // Before the answers: a client may read right after one.
        self.shared.note_deferred(self.checkpoint.has_deferred() || !self.pending.state.is_empty());
        let stop = answer(replies, self.unwritten.is_none());
        if !stop && house {
            self.run_housekeeping();
            self.renew_witness();
        }
        if stop {
            self.keep_witness();
        }
        stop
    }

    /// The time by both clocks.
    pub(crate) fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: crate::host::now() }
    }

    fn command(&mut self, command: Command, effects: &mut Effects, replies: &mut Replies) {
        match command {
            Command::Submit { submission, stored, given, reply } => {
                let ids = self.submit(*submission, &stored, given, effects);
                replies.appended.push((reply, ids));
            }
            Command::Record(request) => {
                self.captures.take(*request, &mut self.pending);
                self.pending_since.get_or_insert_with(Instant::now);
            }
            Command::Sink(change) => self.sink(change, self.now()),
            Command::Device { change, reply } => {
                let now = self.now();
                let done = self.ledger.device_change(change, now, effects);
                replies.changed.push((reply, done));
            }
            Command::Bridge { what, text } => {
                let key = ValueKey { source_no: 0, what, event: None };
                self.ledger.value(key, &Source::unlisted(), ValueContent::Text(text), effects);
            }
            Command::Note { key, text } => {
                effects.state.notes.insert(key.into(), text);
            }
            Command::Parked { no, verb, reply } => {
                let done = self.parked(no, verb, effects);
                replies.changed.push((reply, done));
            }
            Command::Replay { id, reply } => replies.changed.push((reply, self.replay(id, effects))),
            Command::Review { id, reviewed, reply } => {
                replies.changed.push((reply, self.review(id, reviewed, effects)));
            }
            Command::Rewind { sink, low, reply } => {
                let position = self.shared.rewind(&sink, low);
                replies.changed.push((reply, position.is_some()));
                effects.delivery.positions.extend(position.map(|position| (sink, Some(position))));
            }
            Command::CompareMark { mark, reply } => {
                // In a cluster the mark is that of another instance's database.
                let newer = !self.ledger.settings.clustered && self.seen(&mark, effects);
                replies.changed.push((reply, newer));
            }
            Command::Recover { salvaged, reply } => {
                let taken = self.commit_salvaged(*salvaged, effects);
                replies.recovered.push((reply, taken));
            }
            Command::Configure(settings) => self.ledger.configure(&settings, effects),
            Command::Spool { row, request, reply } => {
                self.spool(row, request, effects);
                replies.appended.push((reply, Vec::new()));
            }
            Command::Spooled(no) => self.spooled(no),
            Command::Apply { decision, at, reply } => {
                let done = self.apply(*decision, at, effects);
                replies.changed.push((reply, done));
            }
            Command::CopyLedger(reply) => drop(reply.send(self.ledger.clone())),
            Command::Flush(reply) => replies.flushed.push(reply),
            Command::Stop(reply) => replies.stop = Some(reply),
        }
    }

    /// Applies a report at its time of receipt.
    fn submit(
        &mut self,
        mut submission: Submission,
        stored: &[Option<Uuid>],
        given: Vec<Uuid>,
        effects: &mut Effects,
    ) -> Vec<Uuid> {
        let mono = submission.received.saturating_duration_since(self.start);
        let at = Now { mono, wall: submission.received_at };
        self.ledger.expire(at, effects);
        // A report that an earlier run answered has no time on the monotonic clock of this run.
        let run = self.ledger.run;
        self.ledger.run = if given.is_empty() { run } else { 0 };
        self.ledger.given = given.into_iter().map(Some).collect();
        let ids = self.ledger.submit(&mut submission, stored, at, effects);
        self.ledger.run = run;
        if let Some(request) = submission.request {
            let row = request_row(submission.id, at.wall, submission.peer, request, ids.clone());
            self.captures.take(row, effects);
        }
        ids
    }

    /// Stores the report of a sink for the next commit.
    fn sink(&mut self, change: SinkChange, now: Now) {
        let SinkChange { sink, position, retained, parked, unparked } = change;
        for (topic, key) in retained {
            self.pending.delivery.retained.insert((sink.clone(), topic), key);
        }
        self.pending.delivery.parked.extend(unparked.into_iter().map(ParkedChange::Remove));
        self.pending.delivery.parked.extend(parked.into_iter().map(|parking| ParkedChange::Add {
            sink: sink.clone(),
            entry: parking.entry,
            topic: parking.topic,
            code: parking.code,
            reason: parking.reason,
            at: now.wall,
        }));
        if let Some(position) = position {
            self.shared.position(&sink, &position);
            self.pending.delivery.positions.insert(sink, Some(position));
        }
        self.pending_since.get_or_insert_with(Instant::now);
    }
}

/// Sends the answers that waited for the commit. Returns whether the writer is to stop.
fn answer(replies: Replies, durable: bool) -> bool {
    // A dropped receiver is normal: the camera closed its connection.
    for (reply, ids) in replies.appended {
        reply.send(Appended { ids, durable, in_cluster: None }).ok();
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
