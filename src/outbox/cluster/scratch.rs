//! Scratch ledger state, on which the owner of a cluster decides before anything is committed.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{DecidedDevice, Decision, Scope};
use crate::activity::{ActivityKey, Now};
use crate::outbox::command::Command;
use crate::outbox::device::Device;
use crate::outbox::effects::Effects;
use crate::outbox::state::ledger::Ledger;
use crate::outbox::{Closed, ClusterAction, DeliveryChange, Outbox, Submission};

/// Devices of one record of what was known before.
const IMPORTED: usize = 200;

/// Time on the clock of a scratch ledger at which the process began: reports that waited longer are taken as so old.
const BEFORE: Duration = Duration::from_secs(400 * 86_400);

/// Ledger state that includes decisions which are not committed yet.
#[derive(Debug)]
pub struct Scratch {
    ledger: Ledger,
    start: tokio::time::Instant,
}

impl Scratch {
    /// Time on its monotonic clock.
    fn elapsed(&self) -> Duration {
        BEFORE + self.start.elapsed()
    }

    /// Begins a batch of decisions.
    pub fn begin(&mut self) -> Batch<'_> {
        Batch { scratch: self, effects: Effects::default(), deliveries: Vec::new() }
    }

    /// Time at which the next activity or mute ends, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<tokio::time::Instant> {
        let activity = self.ledger.activities.next().map(|after| self.start + after.saturating_sub(BEFORE));
        let unmute = self.ledger.next_unmute.map(|end| {
            let left = Duration::try_from(end.duration_since(crate::host::now())).unwrap_or_default();
            tokio::time::Instant::now() + left
        });
        activity.into_iter().chain(unmute).min()
    }
}

/// Reports that are decided together.
#[derive(Debug)]
pub struct Batch<'a> {
    scratch: &'a mut Scratch,
    effects: Effects,
    deliveries: Vec<DeliveryChange>,
}

impl Batch<'_> {
    /// Both clocks, from a time of the wall clock.
    fn at(&self, wall: Timestamp) -> Now {
        let ago = crate::host::now().duration_since(wall);
        let ago = Duration::try_from(ago).unwrap_or_default();
        Now { mono: self.scratch.elapsed().saturating_sub(ago), wall }
    }

    /// Applies a report; `ids` are those of its alarms, `pictures` those of its stored pictures.
    pub fn report(&mut self, mut submission: Submission, ids: Vec<Uuid>, pictures: &[Option<Uuid>]) {
        let at = self.at(submission.received_at);
        self.scratch.ledger.expire(at, &mut self.effects);
        self.scratch.ledger.given = ids.into_iter().map(Some).collect();
        self.scratch.ledger.submit(&mut submission, pictures, at, &mut self.effects);
    }

    /// Applies a change. Returns whether there was something to change.
    pub fn action(&mut self, action: ClusterAction) -> bool {
        let at = self.at(crate::host::now());
        match action {
            ClusterAction::Device(change) => self.scratch.ledger.device_change(change, at, &mut self.effects),
            ClusterAction::Delivery(change) => {
                self.deliveries.push(change);
                true
            }
        }
    }

    /// Ends activities whose hold is over.
    pub fn expire(&mut self) {
        let at = self.at(crate::host::now());
        self.scratch.ledger.expire(at, &mut self.effects);
    }

    /// The decision.
    #[must_use]
    pub fn decision(self) -> Decision {
        let decision = Decision::of(&self.effects, &self.scratch.ledger);
        Decision { deliveries: self.deliveries, ..decision }
    }
}

impl Scratch {
    /// Devices and activities that were known before there was a cluster, in parts.
    #[must_use]
    pub fn imports(&self) -> Vec<Decision> {
        let mut parts = Vec::new();
        let devices: Vec<&Device> = self.ledger.devices.values().collect();
        for chunk in devices.chunks(IMPORTED) {
            let devices = chunk.iter().map(|device| (device.source.clone(), DecidedDevice::of(device)));
            let part = Decision { devices: devices.collect(), ..Decision::default() };
            let of_part = |key: &ActivityKey| part.devices.contains_key(&key.source);
            let activities = self.ledger.activities.iter().filter(|(key, _)| of_part(key));
            let activities =
                activities.map(|(key, of)| (key.source.clone(), key.event.clone(), Some(of.clone())));
            parts.push(Decision { activities: activities.collect(), ..part });
        }
        parts
    }
}

impl Outbox {
    /// Ledger state of its own to decide on what comes to a partition.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn scratch(&self, scope: Scope) -> Result<Scratch, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::CopyLedger(reply)).await.map_err(|_| Closed)?;
        let mut ledger = answer.await.map_err(|_| Closed)?;
        if 1 < scope.partitions {
            ledger.devices.retain(|_, device| scope.has(device));
            let Ledger { devices, activities, .. } = &mut ledger;
            activities.retain(|source| devices.contains_key(source));
        }
        let mut scratch = Scratch { ledger, start: self.start };
        let now = Now { mono: scratch.elapsed(), wall: crate::host::now() };
        scratch.ledger.activities.rebase(now);
        scratch.ledger.note_unmute();
        Ok(scratch)
    }
}
