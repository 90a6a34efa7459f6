//! The one writer: a thread that takes what waits, computes what it changes, and commits it all at once.
//!
//! While the disk refuses, what could not be written is kept (`unwritten`) and tried again; relays find it in
//! memory meanwhile, and answers say that it is not durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::command::{Command, DeviceChange, ParkedVerb, SinkChange};
use super::effects::{Effects, Held, ParkedChange, ValueKey};
use super::ledger::Ledger;
use super::{Appended, Shared, store};
use crate::activity::{Key, Now};
use crate::model::Source;
use crate::model::value::What;

/// The most commands of one commit.
const BATCH: u16 = 1_024;
/// Positions alone are written so late; with an alarm they go at once.
const LAZY: Duration = Duration::from_secs(1);
/// A disk that refuses is tried again so often.
const RETRY: Duration = Duration::from_secs(1);
/// Memory for what a refusing disk has not got.
const MEMORY: usize = 16 << 20;

/// The writer's own.
pub(crate) struct Writer {
    pub(crate) folder: PathBuf,
    pub(crate) connection: Option<Connection>,
    pub(crate) ledger: Ledger,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// When the process started, the zero of the monotonic clock.
    pub(crate) start: Instant,
    /// Positions and other things that may wait for the next commit.
    pub(crate) lazy: Effects,
    /// Since when they wait.
    pub(crate) lazy_since: Option<Instant>,
    /// What a refusing disk has not got.
    pub(crate) unwritten: Option<Effects>,
    pub(crate) housekeeping: super::retention::Housekeeping,
}

/// Answers that wait for the commit.
#[derive(Default)]
struct Replies {
    appended: Vec<(oneshot::Sender<Appended>, Vec<Uuid>)>,
    changed: Vec<(oneshot::Sender<bool>, bool)>,
    flushed: Vec<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Works until it is told to stop, or everybody who could ask is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.wake();
            let first = tokio::time::timeout_at(wake, self.commands.recv()).await;
            let Ok(command) = first else {
                self.turn(None);
                continue;
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
        if self.unwritten.is_some() {
            wake = wake.min(Instant::now() + RETRY);
        }
        wake
    }

    /// One round: what waits, one commit, the answers. Says whether it was the last.
    fn turn(&mut self, first: Option<Command>) -> bool {
        self.shared.rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let now = self.now();
        let mut effects = Effects::default();
        let mut replies = Replies::default();
        self.ledger.expire(now, &mut effects);
        let mut next = first;
        let mut taken = 0_u16;
        while let Some(command) = next.take() {
            self.command(command, now, &mut effects, &mut replies);
            taken += 1;
            if taken < BATCH && replies.stop.is_none() {
                next = self.commands.try_recv().ok();
            }
        }
        let due = self.lazy_since.is_some_and(|since| LAZY <= since.elapsed());
        if !effects.is_empty() || due || replies.stop.is_some() || !replies.flushed.is_empty() {
            let mut all = std::mem::take(&mut self.lazy);
            self.lazy_since = None;
            all.merge(effects);
            if 0 < taken {
                self.shared.metrics.commit_batch.observe(f64::from(taken));
            }
            self.commit(all);
        }
        if self.unwritten.is_some() {
            self.write_unwritten();
        }
        let durable = self.unwritten.is_none();
        let stop = answer(replies, durable);
        if !stop && self.housekeeping.due() {
            self.keep_house();
        }
        stop
    }

    fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: Timestamp::now() }
    }

    fn command(&mut self, command: Command, now: Now, effects: &mut Effects, replies: &mut Replies) {
        match command {
            Command::Submit { submission, stored, reply } => {
                let at = Now {
                    mono: submission.received.saturating_duration_since(self.start),
                    wall: submission.received_at,
                };
                let ids = self.ledger.submit(&submission, &stored, at, effects);
                if let Some(request) = submission.request {
                    let (id, at) = (submission.id, submission.received_at);
                    effects.requests.push(super::request_row(id, at, submission.peer, request, ids.clone()));
                }
                replies.appended.push((reply, ids));
            }
            Command::Record(request) => {
                self.lazy.requests.push(*request);
                self.lazy_since.get_or_insert_with(Instant::now);
            }
            Command::Sink(change) => self.sink(change, now),
            Command::Device { change, reply } => {
                let done = self.device(change, now, effects);
                replies.changed.push((reply, done));
            }
            Command::Bridge { what, text } => {
                let key = ValueKey { source_no: 0, what, event: None };
                self.ledger.value(key, &Source::unlisted(), Held::Text(text), effects);
            }
            Command::Parked { no, verb } => effects.parked.push(match verb {
                ParkedVerb::Retry => ParkedChange::Retry(no),
                ParkedVerb::Drop => ParkedChange::Remove(no),
            }),
            Command::Configure(settings) => self.configure(settings, effects),
            Command::Flush(reply) => replies.flushed.push(reply),
            Command::Stop(reply) => replies.stop = Some(reply),
        }
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

    fn device(&mut self, change: DeviceChange, now: Now, effects: &mut Effects) -> bool {
        match change {
            DeviceChange::Rename(source, name) => {
                let Some(device) = self.ledger.devices.get_mut(&source) else { return false };
                device.renamed = Some(name).filter(|name| !name.is_empty());
                self.ledger.announce(&source, effects);
                true
            }
            DeviceChange::Clear(source, event) => {
                let wanted = |key: &&Key| {
                    key.source == source && event.as_ref().is_none_or(|event| *event == key.event)
                };
                let keys: Vec<Key> =
                    self.ledger.activities.iter().map(|(key, _)| key).filter(wanted).cloned().collect();
                let ended: Vec<_> =
                    keys.iter().filter_map(|key| self.ledger.activities.clear(key, now)).collect();
                for ended in &ended {
                    self.ledger.end(ended, now, self.ledger.run, effects);
                }
                !ended.is_empty()
            }
            DeviceChange::Remove(source) => self.ledger.remove(&source, effects),
            DeviceChange::Hide(source) => self.hide(&source, effects),
            DeviceChange::Available(source, available, reason) => {
                let Some(device) = self.ledger.devices.get_mut(&source) else { return false };
                let news = Some((available, reason));
                if device.available == news {
                    return true;
                }
                device.available = news;
                self.ledger.device_value(&source, effects);
                self.ledger.keep_device(&source, effects);
                true
            }
            DeviceChange::FoundOn(source, event) => self.found_on(&source, &event, now, effects),
        }
    }

    /// Takes a device out of Home Assistant until its next alarm.
    fn hide(&mut self, source: &Source, effects: &mut Effects) -> bool {
        let Some(device) = self.ledger.devices.get_mut(source) else { return false };
        device.hidden = true;
        effects.values.insert(ValueKey { source_no: device.no, what: What::Discovery, event: None }, None);
        self.ledger.keep_device(source, effects);
        true
    }

    /// A broker holds ON for something that this database does not know as going on: it is OFF.
    fn found_on(
        &mut self,
        source: &Source,
        event: &crate::model::EventName,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let key = Key { source: source.clone(), event: event.clone() };
        if self.ledger.activities.get(&key).is_some() {
            return false;
        }
        let source_no = self.ledger.known_or_kept(source, now.wall, effects);
        let key = ValueKey { source_no, what: What::State, event: Some(event.clone()) };
        self.ledger.value(key, source, Held::Text("OFF".into()), effects);
        true
    }

    /// Takes new settings over and announces what they change.
    fn configure(&mut self, settings: Arc<super::settings::Settings>, effects: &mut Effects) {
        self.ledger.settings = settings;
        let sources: Vec<Source> = self.ledger.devices.keys().cloned().collect();
        for source in sources {
            self.ledger.announce(&source, effects);
        }
    }

    /// Writes, and makes what was written visible to relays. A disk that refuses costs the durability, not the alarm.
    fn commit(&mut self, effects: Effects) {
        if self.unwritten.is_some() {
            self.shared.publish(&effects, &self.ledger);
            self.keep_unwritten(effects);
            return;
        }
        let begun = Instant::now();
        let written = self.write(&effects);
        self.shared.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
        match written {
            Ok(()) => self.shared.publish(&effects, &self.ledger),
            Err(error) => {
                self.shared.metrics.commits_refused.inc();
                self.refused(&error);
                self.shared.publish(&effects, &self.ledger);
                self.keep_unwritten(effects);
            }
        }
    }

    /// Writes to the disk; a damaged file is set aside and a new one begun with the books as they stand.
    fn write(&mut self, effects: &Effects) -> rusqlite::Result<()> {
        if self.connection.is_none() {
            self.reopen()?;
        }
        let Some(connection) = self.connection.as_mut() else { return Err(rusqlite::Error::InvalidQuery) };
        match store::write(connection, effects) {
            Err(error) if store::is_damage(&error) => {
                self.connection = None;
                self.replace_damaged(&error)?;
                self.connection.as_mut().map_or(Err(error), |connection| store::write(connection, effects))
            }
            other => other,
        }
    }

    /// Sets a damaged file aside and begins a new one that knows the same devices, activities and positions.
    fn replace_damaged(&mut self, error: &rusqlite::Error) -> rusqlite::Result<()> {
        let refused = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        let aside = store::set_aside(&self.folder).map_err(refused)?;
        let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.shared.findings.raise(
            "database_set_aside",
            &name,
            &format!("the outbox was damaged ({error}) and is now {name}"),
        );
        self.reopen()?;
        let mut books = Effects::default();
        self.ledger.restate(&mut books);
        books.sinks =
            self.shared.positions().into_iter().map(|(sink, position)| (sink, Some(position))).collect();
        self.connection.as_mut().map_or(Ok(()), |connection| store::write(connection, &books))?;
        self.shared.publish(&books, &self.ledger);
        Ok(())
    }

    fn reopen(&mut self) -> rusqlite::Result<()> {
        let connection = store::open(&self.folder).map_err(|error| match error {
            store::OpenError::Sqlite(error) => error,
            other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
        })?;
        self.connection = Some(connection);
        self.shared.replaced();
        Ok(())
    }

    /// The disk refuses: from here on memory is all there is, until it takes writes again.
    fn refused(&mut self, error: &rusqlite::Error) {
        self.shared.findings.raise(
            "disk",
            "storage",
            &format!("the disk refuses writes ({error}); alarms are held in memory"),
        );
        self.shared.pin(true);
        self.unwritten = Some(Effects::default());
        if matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull)) {
            self.make_room();
        } else {
            self.connection = None;
        }
    }

    /// Keeps what the disk has not got, under the bound: pictures go first, then the oldest alarms.
    fn keep_unwritten(&mut self, effects: Effects) {
        let Some(unwritten) = self.unwritten.as_mut() else { return };
        unwritten.merge(effects);
        if unwritten.bytes() <= MEMORY {
            return;
        }
        let pictures = self.shared.pictures.give_up();
        unwritten.requests.clear();
        let mut dropped = 0_u64;
        while MEMORY < unwritten.bytes() && !unwritten.entries.is_empty() {
            let half = unwritten.entries.len().div_ceil(8);
            unwritten.entries.drain(..half);
            dropped += self.shared.drop_oldest(half);
        }
        let detail = format!(
            "memory is full while the disk refuses writes: {pictures} pictures and {dropped} alarms were dropped"
        );
        self.shared.findings.raise("memory_dropped", "storage", &detail);
    }

    /// Tries the disk again; what memory holds goes first, in order, in one transaction.
    fn write_unwritten(&mut self) {
        let Some(unwritten) = self.unwritten.take() else { return };
        if self.housekeeping.too_early(RETRY) {
            self.unwritten = Some(unwritten);
            return;
        }
        let flushed = self.shared.pictures.flush();
        let written =
            if flushed.is_ok() { self.write(&unwritten) } else { Err(rusqlite::Error::InvalidQuery) };
        match written {
            Ok(()) => {
                self.shared.pin(false);
                self.shared.findings.settle("disk", "storage");
                tracing::info!(
                    "the disk takes writes again; {} log entries were written from memory",
                    unwritten.entries.len()
                );
            }
            Err(error) => {
                if matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull)) {
                    self.make_room();
                } else {
                    self.connection = None;
                }
                self.unwritten = Some(unwritten);
            }
        }
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
    for reply in replies.flushed {
        reply.send(()).ok();
    }
    replies.stop.is_some_and(|reply| {
        reply.send(()).ok();
        true
    })
}
