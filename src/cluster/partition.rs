//! A partition: reads its log and applies it in order; its owner decides the messages of its input stream.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::Member;
use super::known::RecentAlarms;
use super::lease::Lease;
use super::link::JetStreamLink;
use super::message::{LogRecord, MessageHead, VERSION};
use super::positions::Positions;
use super::survey::Shared;
use crate::findings::FindingCode;
use crate::model::Record as Entry;
use crate::outbox::Reader;
use crate::outbox::cluster::{Applied, Decision, Scope, Scratch};

/// Interval of checks of the streams, besides announcements.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Interval of writing or following positions.
const POSITION_INTERVAL: Duration = Duration::from_secs(1);
/// Time that a report stays in its stream after its decision.
pub(super) const PURGE_DELAY: Duration = Duration::from_secs(60);

/// State of a partition.
pub(super) struct Partition<'a> {
    pub(super) member: &'a Member,
    pub(super) link: &'a JetStreamLink,
    pub(super) lease: &'a Lease,
    pub(super) k: u64,
    owning: &'a watch::Sender<bool>,
    shared: &'a Shared,
    pub(super) reader: Reader,
    positions: Positions,
    positions_due: Instant,
    /// The last valid record, which was applied.
    pub(super) applied: Applied,
    /// The last record that was read.
    pub(super) read: u64,
    /// Records read before the first valid one, where the beginning of the log was deleted.
    before: HashMap<u64, LogRecord>,
    /// Set if records after the last valid one were deleted from the log, so that decisions are missing here.
    missed: bool,
    pub(super) owner: Option<Owner>,
    pub(super) purge: (Instant, u64),
}

/// State of the owner.
pub(super) struct Owner {
    /// `None` until the record that takes ownership was read back.
    pub(super) scratch: Option<Scratch>,
    /// The record that was published and not read back yet.
    pub(super) pending: Option<Uuid>,
    /// Sequence of the last message that was decided.
    pub(super) input: u64,
    pub(super) recent: RecentAlarms,
    /// State from before the cluster, in the order of its records.
    pub(super) imports: Vec<Decision>,
    /// Time at which the latest record was published.
    pub(super) published: Instant,
    /// Number of messages decided together at most.
    pub(super) batch: usize,
}

impl<'a> Partition<'a> {
    /// State at the last record that was applied.
    pub(super) fn new(
        member: &'a Member,
        link: &'a JetStreamLink,
        (k, lease): (u64, &'a Lease),
        owning: &'a watch::Sender<bool>,
        shared: &'a Shared,
    ) -> Self {
        Self {
            member,
            link,
            lease,
            k,
            owning,
            shared,
            reader: member.outbox.reader(),
            positions: Positions::default(),
            positions_due: Instant::now(),
            applied: Applied::default(),
            read: 0,
            before: HashMap::new(),
            missed: false,
            owner: None,
            purge: (Instant::now() + PURGE_DELAY, 0),
        }
    }

    /// The partition's sources.
    pub(super) fn scope(&self) -> Scope {
        Scope { k: self.k, partitions: self.member.config.partitions }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        while let Err(reason) = self.begin().await {
            tracing::warn!("the cluster: {reason}");
            tokio::time::sleep(POSITION_INTERVAL).await;
        }
        let (inputs, logs) = (format!("in.{}", self.k), format!("log.{}", self.k));
        let (inputs, logs) = (self.link.news(&inputs).await, self.link.news(&logs).await);
        let mut news = futures_util::stream::select_all(inputs.into_iter().chain(logs));
        loop {
            let progressed = match self.step().await {
                Ok(progressed) => progressed,
                Err(reason) => {
                    tracing::debug!("the cluster: {reason}");
                    false
                }
            };
            if !self.lease.is_valid() {
                self.close().await;
            }
            if progressed {
                continue;
            }
            drop(tokio::time::timeout_at(self.next_step(), news.next()).await);
        }
    }

    /// Ends the ownership. Of a lease that is given away the positions are saved before, so that the next owner repeats
    /// nothing that was acknowledged.
    async fn close(&mut self) {
        if self.is_owning() && self.lease.is_held() {
            self.positions.save(self.k, self.member, self.link, &mut self.reader).await;
        }
        self.step_down();
        self.lease.working(false);
    }

    /// Time of the next step, if nothing is reported before.
    fn next_step(&self) -> Instant {
        let pending = self.owner.as_ref().is_some_and(|owner| owner.pending.is_some());
        let next = self.owner.as_ref().and_then(|owner| owner.scratch.as_ref()).and_then(Scratch::next);
        let pause = if pending { Duration::from_millis(5) } else { CHECK_INTERVAL };
        (Instant::now() + pause).min(next.unwrap_or_else(|| Instant::now() + pause))
    }

    /// Reads the log to its end, then decides. Returns whether there was anything to do.
    async fn step(&mut self) -> Result<bool, String> {
        let mut progressed = false;
        let subject = self.link.subject(&format!("log.{}", self.k));
        loop {
            let next = JetStreamLink::next(self.link.log(self.k)?, subject.clone(), self.read + 1).await;
            let next = next.inspect_err(|_| self.lease.caught_up(false))?;
            let Some(message) = next else { break };
            self.read = message.sequence;
            progressed = true;
            self.record(message.sequence, &message.payload).await?;
        }
        self.lease.caught_up(!self.missed);
        if !self.missed && self.lease.is_valid() {
            progressed |= self.own().await?;
        }
        if self.positions_due <= Instant::now() {
            self.positions_due = Instant::now() + POSITION_INTERVAL;
            if *self.owning.borrow() {
                self.positions.save(self.k, self.member, self.link, &mut self.reader).await;
                self.purge().await;
            } else {
                self.positions.load(self.k, self.member, self.link, &mut self.reader).await;
            }
        }
        Ok(progressed)
    }

    /// Finds the position of this instance in the log.
    async fn begin(&mut self) -> Result<(), String> {
        let applied =
            self.reader.applied(self.k).map_err(|error| format!("the outbox cannot be read: {error}"))?;
        self.applied = applied.unwrap_or_default();
        self.read = self.applied.log;
        self.look_for_lost_ends().await?;
        self.look_for_a_gap().await
    }

    /// Looks whether the streams end before what this instance has: then the servers lost what they had stored. Decisions go
    /// on after the end of the log, and name the last one that counts here. The positions in the bucket are void.
    async fn look_for_lost_ends(&mut self) -> Result<(), String> {
        let end = JetStreamLink::end_of_stream(self.link.log(self.k)?).await?;
        if end < self.applied.log {
            (self.read, self.applied.input) = (end, 0);
            for sink in &self.member.sinks {
                let put = self.link.states.put(format!("pos.{sink}.{}", self.k), "0".into()).await;
                put.map_err(|error| error.to_string())?;
            }
            let missing = format!("the log ends at {end}, and this instance has more");
            self.unreadable("what was stored after record", self.applied.log, &missing);
        }
        if JetStreamLink::end_of_stream(self.link.input(self.k)?).await? < self.applied.input {
            self.applied.input = 0;
        }
        Ok(())
    }

    /// Looks whether all records after the last one that counts are gone. Where partitions share a stream, its end says
    /// nothing; an owner writes a record each day.
    async fn look_for_a_gap(&mut self) -> Result<(), String> {
        if self.member.config.streams != self.member.config.partitions {
            return Ok(());
        }
        let end = self.link.end_of_log(self.k).await?;
        if self.applied.log != 0 && end.is_some_and(|last| self.applied.log < last) {
            self.miss(&format!("records after {} are gone from the log", self.applied.log));
        }
        Ok(())
    }

    /// Takes a record in. One that names no valid record counts for nobody, whatever else is in it.
    async fn record(&mut self, sequence: u64, payload: &[u8]) -> Result<(), String> {
        let head = match serde_json::from_slice::<MessageHead>(payload) {
            Ok(head) => head,
            Err(error) => {
                self.unreadable("record", sequence, &error.to_string());
                return Ok(());
            }
        };
        let is_next = self.applied.log == 0 || self.applied.log == head.prev;
        if self.applied.log != 0 && self.applied.log < head.prev {
            // Its writer knew of a record after the last one that counts here.
            self.miss(&format!("records after {} are gone from the log", self.applied.log));
        } else if is_next && VERSION < head.v {
            let (by, v) = (&head.by, head.v);
            let detail = format!("{by} writes records of version {v}, this one reads {VERSION}");
            self.member.findings.raise(FindingCode::ClusterSettings, &self.member.config.prefix, &detail);
            self.miss(&detail);
        } else {
            match serde_json::from_slice::<LogRecord>(payload) {
                Ok(record) => self.apply_if_valid(sequence, record).await?,
                Err(error) if self.applied.log == head.prev => {
                    self.miss(&format!("record {sequence} cannot be read: {error}"))
                }
                Err(error) => self.unreadable("record", sequence, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Raises a finding about what is left out because it is not understood.
    pub(super) fn unreadable(&self, what: &str, sequence: u64, error: &str) {
        let detail = format!("{what} {sequence} of partition {} was left out: {error}", self.k);
        self.member.findings.raise(FindingCode::ClusterUnreadable, &self.member.config.prefix, &detail);
    }

    /// Notes that decisions are missing: this instance accepts alarms, but decides nothing.
    fn miss(&mut self, detail: &str) {
        if !std::mem::replace(&mut self.missed, true) {
            self.member.findings.raise(FindingCode::ClusterBehind, &self.member.config.prefix, detail);
            self.lease.renounce();
            self.step_down();
        }
    }

    /// Sequence of the last record that counts, as far as this instance knows. Of a log whose beginning was deleted and
    /// that has one record, this is that one.
    pub(super) fn last_known(&self) -> u64 {
        if self.applied.log != 0 { self.applied.log } else { self.before.keys().copied().max().unwrap_or(0) }
    }

    /// Returns whether this instance publishes.
    pub(super) fn is_owning(&self) -> bool {
        *self.owning.borrow()
    }

    /// Applies a record if it is valid.
    async fn apply_if_valid(&mut self, sequence: u64, record: LogRecord) -> Result<(), String> {
        let nonce = record.nonce;
        let mut counts = record.prev == self.applied.log;
        // The beginning was deleted: the first record that a later one names is the first valid one.
        if self.applied.log == 0
            && let Some(first) = self.before.remove(&record.prev)
        {
            self.apply(record.prev, first).await?;
            self.before.clear();
            counts = true;
        }
        if counts {
            self.apply(sequence, record).await?;
        } else if self.applied.log == 0 {
            self.before.insert(sequence, record);
        }
        if let Some(owner) = &mut self.owner {
            if counts && owner.pending == Some(nonce) {
                owner.pending = None;
            } else if counts || owner.pending == Some(nonce) {
                self.step_down();
            }
        }
        if !counts {
            self.member.counts.void.inc();
        }
        Ok(())
    }

    /// Applies a record, its pictures first.
    async fn apply(&mut self, sequence: u64, record: LogRecord) -> Result<(), String> {
        for entry in &record.decision.entries {
            let Entry::Alarm(alarm) = entry else { continue };
            let Some(shot) = &alarm.snapshot else { continue };
            let (Some(id), Some(sha256)) = (shot.picture, &shot.sha256) else { continue };
            if self.reader.pictures().read(id).is_ok() {
                continue;
            }
            match self.link.picture(sha256, shot.bytes).await {
                Some(data) if self.reader.pictures().store_as(id, &data).is_some() => {}
                _ => tracing::warn!("picture {sha256} could not be fetched from the cluster"),
            }
        }
        let at = Applied { k: self.k, log: sequence, input: record.input, ..Applied::default() };
        self.member.outbox.apply(record.decision, at).await.map_err(|error| error.to_string())?;
        self.applied = at;
        self.shared.actions.made(record.done);
        Ok(())
    }

    /// This instance publishes from now on.
    pub(super) async fn step_up(&mut self) {
        self.positions.load(self.k, self.member, self.link, &mut self.reader).await;
        tracing::info!("this instance owns partition {} of the cluster", self.k);
        self.member.counts.takeovers.inc();
        self.lease.working(true);
        self.owning.send_replace(true);
    }

    /// Ends the ownership of this instance, since another one decides.
    pub(super) fn step_down(&mut self) {
        self.owner = None;
        if self.owning.send_replace(false) {
            tracing::info!("this instance does not own partition {} of the cluster any more", self.k);
        }
    }
}
