//! The outbox in a cluster: reports are kept in the spool until JetStream has acknowledged them, and each decision of
//! the cluster is applied as one commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

mod actions;
mod scope;
mod scratch;
mod spool;
#[cfg(test)]
mod tests;

use super::command::Command;
use super::effects::Effects;
use super::log::entry::StoredRequest;
use super::state::device::Device;
use super::state::ledger::Ledger;
use super::state::value::ValueContent;
use super::{Appended, Closed, ClusterAction, DeliveryChange, Outbox, Reader, Submission};
use crate::activity::Ongoing;
use crate::model::value::What;
use crate::model::{EventName, Record, Source};
pub(crate) use scope::Hashes;
pub use scope::{Scope, partition};
pub use scratch::{Batch, Scratch};
pub(crate) use spool::{SpoolMemory, load};
pub use spool::{SpoolRow, SpoolSize};

/// Number of the latest applied records that are kept with the entries they led to.
const KEPT_RECORDS: i64 = 100_000;

/// Converts reports and actions into messages for the cluster.
pub trait Edge: std::fmt::Debug + Send + Sync {
    /// The report as the cluster gets it.
    fn report(&self, submission: &Submission) -> Spooled;
    /// The change as the cluster gets it.
    fn action(&self, action: ClusterAction) -> SpooledAction;
    /// Returns whether this instance decides what a device brings.
    fn decides(&self, source: &Source, reader: &mut Reader) -> bool;
}

/// A change for the cluster.
#[derive(Debug)]
pub struct SpooledAction {
    /// The message as JSON.
    pub row: SpoolRow,
    /// Ends when the change was made here, with whether there was something to change.
    pub done: oneshot::Receiver<bool>,
}

/// A report for the cluster.
#[derive(Debug)]
pub struct Spooled {
    /// The message as JSON.
    pub row: SpoolRow,
    /// Identifiers of its alarms.
    pub ids: Vec<Uuid>,
    /// Ends when JetStream has it, and how long the answer waits for that, if it does.
    pub taken: Option<(oneshot::Receiver<()>, Duration)>,
}

/// Position up to which the cluster's log was applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// The partition.
    pub k: u64,
    /// Sequence of the record in the log.
    pub log: u64,
    /// Sequence of the last report that it decides.
    pub input: u64,
    /// Number of the last log entry it led to.
    pub no: i64,
    /// Last version of a value it led to.
    pub version: i64,
}

/// The decision on one or more reports, without numbers of a particular database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Decision {
    /// New entries, in order.
    pub entries: Vec<Record>,
    /// Changed values, in order.
    pub values: Vec<(Source, What, Option<EventName>, DecidedValue)>,
    /// Changed devices.
    pub devices: BTreeMap<Source, DecidedDevice>,
    /// Activities that began, changed or (`None`) ended.
    pub activities: Vec<(Source, EventName, Option<Ongoing>)>,
    /// Removed devices.
    pub gone: Vec<Source>,
    /// Changes to what is delivered, in order, after all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryChange>,
}

/// Content of a value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DecidedValue {
    /// A text.
    Text(String),
    /// The alarm of an entry of the decision.
    Entry {
        /// Index of the entry.
        entry: usize,
    },
}

/// A device as decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecidedDevice {
    /// Sequence number of its latest alarm.
    pub seq: u64,
    /// Number of its alarms so far.
    pub alarms: u64,
    /// Time of receipt of the latest alarm, in milliseconds since 1970.
    pub last_heard_ms: i64,
    /// Its whole row, for instances that join later and do not know the device.
    pub row: Device,
}

impl Decision {
    /// Converts the effects that `ledger` computed into a decision.
    pub(crate) fn of(effects: &Effects, ledger: &Ledger) -> Self {
        let indexes: HashMap<i64, usize> =
            effects.log.entries.iter().enumerate().map(|(index, entry)| (entry.no, index)).collect();
        let mut values: Vec<_> = effects.state.values.iter().collect();
        values.sort_by_key(|(_, value)| value.as_ref().map(|value| value.version));
        let value = |(key, value): (&super::ValueKey, &Option<Arc<super::Value>>)| {
            let value = value.as_ref()?;
            let held = match &value.held {
                ValueContent::Text(text) => DecidedValue::Text(text.clone()),
                ValueContent::Alarm(no, _) => DecidedValue::Entry { entry: *indexes.get(no)? },
            };
            Some((value.source.clone()?, key.what, key.event.clone(), held))
        };
        let mut devices = BTreeMap::new();
        for device in ledger.devices.values() {
            let no = &device.no;
            if effects.state.devices.contains_key(no) || effects.state.counters.contains_key(no) {
                devices.insert(device.source.clone(), DecidedDevice::of(device));
            }
        }
        let repeats = effects.state.repeats.iter().map(|(key, of)| (key, Some(of.clone())));
        let changed = effects.state.activities.iter().map(|(key, of)| (key, of.clone()));
        Self {
            entries: effects.log.entries.iter().map(|entry| entry.record.clone()).collect(),
            values: values.into_iter().filter_map(value).collect(),
            devices,
            activities: repeats
                .chain(changed)
                .map(|(key, of)| (key.source.clone(), key.event.clone(), of))
                .collect(),
            gone: effects.state.removed.iter().map(|card| card.source.clone()).collect(),
            deliveries: Vec::new(),
        }
    }
}

impl DecidedDevice {
    fn of(device: &Device) -> Self {
        Self {
            seq: device.seq,
            alarms: device.alarms,
            last_heard_ms: device.last_heard_ms,
            row: device.clone(),
        }
    }
}

/// Changes of a commit to spool and `applied`.
#[derive(Debug, Default, Clone)]
pub(crate) struct ClusterChanges {
    /// Messages that wait for JetStream.
    pub(crate) spool: Vec<Arc<SpoolRow>>,
    /// Number up to which JetStream has acknowledged the spool.
    pub(crate) spooled: Option<i64>,
    /// Records of the cluster's log that were applied.
    pub(crate) applied: Vec<Applied>,
}

impl ClusterChanges {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.spool.is_empty() && self.spooled.is_none() && self.applied.is_empty()
    }

    /// Adds the changes of a later commit.
    pub(crate) fn merge(&mut self, later: Self) {
        self.spool.extend(later.spool);
        self.spooled = self.spooled.max(later.spooled);
        self.spool.retain(|row| self.spooled.is_none_or(|no| no < row.no));
        self.applied.extend(later.applied);
    }

    /// Rough size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.spool.iter().map(|row| row.bytes()).sum()
    }

    /// Forgets the oldest messages until the rest takes at most `most` bytes. Returns their number, and the number of
    /// the last one.
    pub(crate) fn forget_oldest(&mut self, most: usize) -> (u64, i64) {
        let (mut excess, mut gone, mut last) = (self.bytes().saturating_sub(most), 0, 0);
        self.spool.retain(|row| {
            let goes = 0 < excess;
            if goes {
                (excess, gone, last) = (excess.saturating_sub(row.bytes()), gone + 1, row.no);
            }
            !goes
        });
        (gone, last)
    }

    /// Writes them.
    pub(crate) fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut put = transaction
            .prepare_cached("INSERT OR REPLACE INTO spool (no, body, pictures) VALUES (?1, ?2, ?3)")?;
        for row in &self.spool {
            put.execute(params![row.no, row.body, row.pictures])?;
        }
        if let Some(no) = self.spooled {
            transaction.execute("DELETE FROM spool WHERE no <= ?1", [no])?;
        }
        let mut put = transaction.prepare_cached(
            "INSERT OR REPLACE INTO applied (k, log, input, no, version) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for at in &self.applied {
            let log = i64::try_from(at.log).unwrap_or(i64::MAX);
            let k = i64::try_from(at.k).unwrap_or(i64::MAX);
            // The log ended before them once, and went on with these numbers.
            transaction.execute("DELETE FROM applied WHERE k = ?1 AND log > ?2", [k, log])?;
            put.execute(params![k, log, i64::try_from(at.input).unwrap_or(i64::MAX), at.no, at.version])?;
            if log % 1_000 == 0 {
                transaction
                    .execute("DELETE FROM applied WHERE k = ?1 AND log < ?2", [k, log - KEPT_RECORDS])?;
            }
        }
        Ok(())
    }
}

/// A row of `applied`.
fn applied(row: &rusqlite::Row<'_>) -> rusqlite::Result<Applied> {
    Ok(Applied {
        k: row.get::<_, i64>(0)?.unsigned_abs(),
        log: row.get::<_, i64>(1)?.unsigned_abs(),
        input: row.get::<_, i64>(2)?.unsigned_abs(),
        no: row.get(3)?,
        version: row.get(4)?,
    })
}

impl Reader {
    /// The last record of a partition that was taken over.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn applied(&mut self, k: u64) -> rusqlite::Result<Option<Applied>> {
        self.applied_at(k, u64::MAX)
    }

    /// The last record of a partition at or before a sequence of the log.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn applied_at(&mut self, k: u64, log: u64) -> rusqlite::Result<Option<Applied>> {
        let sql = "SELECT k, log, input, no, version FROM applied WHERE k = ?1 AND log <= ?2 ORDER BY log DESC LIMIT 1";
        let params = [k, log].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        self.disk(|connection| connection.query_row(sql, params, applied).optional())
    }

    /// The last record of a partition of which all entries are at or before a number.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn applied_until(&mut self, k: u64, no: i64) -> rusqlite::Result<Option<Applied>> {
        let sql = "SELECT k, log, input, no, version FROM applied WHERE k = ?1 AND no <= ?2 ORDER BY log DESC LIMIT 1";
        let k = i64::try_from(k).unwrap_or(i64::MAX);
        self.disk(|connection| connection.query_row(sql, [k, no], applied).optional())
    }

    /// Time of receipt of an alarm in the log.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn received_at(&mut self, id: Uuid) -> rusqlite::Result<Option<Timestamp>> {
        let sql = "SELECT at FROM entry WHERE id = ?1 LIMIT 1";
        let at = self.disk(|connection| {
            connection.query_row(sql, [id.as_bytes()], |row| row.get::<_, i64>(0)).optional()
        })?;
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }
}

impl Outbox {
    /// Sends all further reports to the cluster.
    pub fn join(&self, edge: Arc<dyn Edge>) {
        if self.edge.set(edge).is_err() {
            tracing::debug!("the outbox is in the cluster already");
        }
    }

    /// Writes a message to the spool.
    pub(super) async fn spool(
        &self,
        row: SpoolRow,
        request: Option<Box<StoredRequest>>,
        ids: Vec<Uuid>,
    ) -> Result<Appended, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Spool { row, request, reply }).await.map_err(|_| Closed)?;
        let appended = answer.await.map_err(|_| Closed)?;
        self.shared.spooled.notify_one();
        Ok(Appended { ids, ..appended })
    }

    /// Returns when a message was written to the spool.
    pub async fn spooled(&self) {
        self.shared.spooled.notified().await;
    }

    /// Deletes the spool up to a number, after JetStream has acknowledged it.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn unspool(&self, no: i64) -> Result<(), Closed> {
        self.commands.send(Command::Spooled(no)).await.map_err(|_| Closed)
    }

    /// Applies a decision of the cluster; returns once it is committed.
    ///
    /// # Errors
    /// When the bridge is stopping.
    pub async fn apply(&self, decision: Decision, at: Applied) -> Result<(), Closed> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Apply { decision: Box::new(decision), at, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        answer.await.map(drop).map_err(|_| Closed)
    }
}
