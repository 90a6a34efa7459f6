//! The owner of a partition decides what its input stream brings.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::known::{DecidedAlarms, RecentAlarms};
use super::link::{JetStreamLink, PublishFailure};
use super::message::{Input, LogRecord, MAX_MESSAGE_BYTES, VERSION};
use super::partition::{Owner, PURGE_DELAY, Partition};
use crate::outbox::cluster::Decision;

/// Number of messages decided together.
const BATCH: usize = 64;
/// Longest time without a record: less than the log keeps them, so that an instance that was away longer finds a record
/// that names one it does not have.
const SIGN_OF_LIFE: Duration = Duration::from_secs(86_400);

impl Partition<'_> {
    /// Does the next work of the owner. Returns whether there was any.
    pub(super) async fn own(&mut self) -> Result<bool, String> {
        match &self.owner {
            None => {
                let mut imports = Vec::new();
                if self.last_known() == 0 {
                    let scratch = self.member.outbox.scratch(self.scope()).await;
                    imports = scratch.map_err(|error| error.to_string())?.imports();
                }
                self.owner = Some(Owner {
                    scratch: None,
                    pending: None,
                    input: self.applied.input,
                    recent: RecentAlarms::default(),
                    imports,
                    published: Instant::now(),
                    batch: BATCH,
                });
                self.publish("take", Decision::default(), Vec::new()).await
            }
            Some(owner) if owner.pending.is_some() => Ok(false),
            Some(owner) if owner.scratch.is_none() => {
                if let Some(import) = self.owner.as_mut().and_then(|owner| owner.imports.pop()) {
                    return self.publish("import", import, Vec::new()).await;
                }
                let scratch = self.member.outbox.scratch(self.scope()).await;
                let scratch = scratch.map_err(|error| error.to_string())?;
                if let Some(owner) = &mut self.owner {
                    owner.scratch = Some(scratch);
                }
                if !self.is_owning() {
                    self.step_up().await;
                }
                Ok(true)
            }
            Some(_) => self.decide().await,
        }
    }

    /// The next messages of the input stream that are decided together, and the sequence of the last one. The removal of a
    /// device is decided alone, since a decision has no order between devices and entries. What is not understood is left
    /// out, with a finding.
    async fn inputs(&mut self, after: u64, most: usize) -> Result<(Vec<Input>, u64), String> {
        let subject = self.link.subject(&format!("in.{}", self.k));
        let (mut inputs, mut bytes, mut last, mut read) = (Vec::new(), 0, after, 0);
        while read < most && bytes < MAX_MESSAGE_BYTES {
            let Some(message) =
                JetStreamLink::next(self.link.input(self.k)?, subject.clone(), last + 1).await?
            else {
                break;
            };
            let input = Input::read(&message.payload);
            let alone = input.as_ref().is_ok_and(Input::is_removal);
            if alone && !inputs.is_empty() {
                break;
            }
            last = message.sequence;
            bytes += message.payload.len();
            read += 1;
            match input {
                Ok(input) => inputs.push(input),
                Err(error) => self.unreadable("message", last, &error),
            }
            if alone {
                break;
            }
        }
        Ok((inputs, last))
    }

    /// Decides messages of the input stream.
    async fn decide(&mut self) -> Result<bool, String> {
        let Some((after, most)) = self.owner.as_ref().map(|owner| (owner.input, owner.batch)) else {
            return Ok(false);
        };
        let (inputs, last) = self.inputs(after, most).await?;
        let Some(owner) = &mut self.owner else { return Ok(false) };
        let Some(scratch) = &mut owner.scratch else { return Ok(false) };
        let due = scratch.next().is_some_and(|next| next <= Instant::now())
            || SIGN_OF_LIFE < owner.published.elapsed();
        if last == after && !due {
            return Ok(false);
        }
        let mut batch = scratch.begin();
        let mut known = DecidedAlarms {
            recent: &mut owner.recent,
            reader: &mut self.reader,
            merged: &self.member.counts.merged,
        };
        let mut done = Vec::new();
        for input in inputs {
            match input {
                Input { report: Some(report), .. } => known.report(report, &mut batch),
                Input { action: Some(action), id, .. } => {
                    let changed = batch.action(action);
                    done.extend(id.map(|id| (id, changed)));
                }
                Input { .. } => {}
            }
        }
        batch.expire();
        let decision = batch.decision();
        owner.input = last;
        self.publish("decide", decision, done).await
    }

    /// A record that no server takes: fewer messages are decided together, or a single one is left out with a finding.
    fn too_large(&mut self, reason: &str) {
        let Some(owner) = &mut self.owner else { return };
        let last = std::mem::replace(&mut owner.input, self.applied.input);
        (owner.pending, owner.scratch, owner.recent) = (None, None, RecentAlarms::default());
        if 1 < owner.batch {
            owner.batch /= 2;
            return;
        }
        (owner.input, owner.batch) = (last, BATCH);
        self.unreadable("decision on message", last, reason);
    }

    /// Publishes a record; it is applied when it is read back.
    async fn publish(
        &mut self,
        kind: &str,
        decision: Decision,
        done: Vec<(Uuid, bool)>,
    ) -> Result<bool, String> {
        let prev = self.last_known();
        let Some(owner) = &mut self.owner else { return Ok(false) };
        let nonce = Uuid::now_v7();
        let record = LogRecord {
            v: VERSION,
            k: self.k,
            prev,
            input: owner.input,
            by: self.member.name.clone(),
            nonce,
            kind: kind.into(),
            at: crate::host::now(),
            done,
            decision,
        };
        owner.pending = Some(nonce);
        owner.published = Instant::now();
        let payload: bytes::Bytes = serde_json::to_vec(&record).map_err(|error| error.to_string())?.into();
        let (subject, mut after) = (format!("log.{}", self.k), self.read);
        loop {
            if !self.lease.is_valid() {
                self.step_down();
                return Ok(true);
            }
            let id = nonce.to_string();
            match self.link.publish(&subject, &id, payload.clone(), Some(after)).await {
                Ok(()) => return Ok(true),
                // All records were deleted by age, so the server has no last sequence.
                Err(PublishFailure::Overtaken) if after != 0 && self.link.log_is_empty(self.k).await => {
                    after = 0
                }
                Err(PublishFailure::Overtaken) => {
                    self.step_down();
                    return Ok(true);
                }
                Err(PublishFailure::Impossible(reason)) => {
                    self.too_large(&reason);
                    return Ok(true);
                }
                Err(PublishFailure::Unknown(reason)) => {
                    tracing::debug!("a record is sent again: {reason}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Deletes reports that were decided some time ago.
    pub(super) async fn purge(&mut self) {
        if Instant::now() < self.purge.0 {
            return;
        }
        let decided =
            std::mem::replace(&mut self.purge, (Instant::now() + PURGE_DELAY, self.applied.input)).1;
        if 0 < decided
            && let Ok(input) = self.link.input(self.k)
            && let Err(error) =
                input.purge().filter(self.link.subject(&format!("in.{}", self.k))).sequence(decided + 1).await
        {
            tracing::warn!("decided reports cannot be deleted: {error}");
        }
    }
}
