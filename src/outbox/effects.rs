//! What one commit changes, as plain data: computed first, written second, so that a disk that refuses can be
//! tried again with the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::device::Device;
use super::position::Position;
use crate::activity::{Key, Ongoing};
use crate::model::record::AlarmRecord;
use crate::model::value::{Card, What};
use crate::model::{EventName, Record, Source};

/// Everything one commit changes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Effects {
    /// New rows of the log, in order.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Changed values; `None`: gone.
    pub(crate) values: BTreeMap<ValueKey, Option<Arc<Value>>>,
    /// Changed devices; `None`: gone.
    pub(crate) devices: BTreeMap<i64, Option<Device>>,
    /// Devices of which only numbers changed: whatever else there is of them stands.
    pub(crate) heard: BTreeMap<i64, Heard>,
    /// Changed activities; `None`: over.
    pub(crate) activities: BTreeMap<Key, Option<Ongoing>>,
    /// Activities of which nothing is new but one more alarm.
    pub(crate) repeats: BTreeMap<Key, Ongoing>,
    /// Pictures that are now on disk (or held in memory).
    pub(crate) pictures: Vec<PictureRow>,
    /// Sinks that moved; `None`: removed.
    pub(crate) sinks: BTreeMap<String, Option<Position>>,
    /// Topics a sink published first, or emptied (`None`).
    pub(crate) retained: BTreeMap<(String, String), Option<ValueKey>>,
    /// Changes to what is parked.
    pub(crate) parked: Vec<ParkedChange>,
    /// Requests for the Requests page.
    pub(crate) requests: Vec<RequestRow>,
    /// Small texts kept by name.
    pub(crate) notes: BTreeMap<String, String>,
    /// What was announced of devices that are removed.
    pub(crate) removed: Vec<Card>,
    /// Pictures stored that nothing refers to; their files go after the commit.
    pub(crate) unwanted: Vec<Uuid>,
}

/// A row of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number; grows with every row.
    pub no: i64,
    /// The number of its source.
    pub source_no: i64,
    /// The run of the process it was received in.
    pub run: i64,
    /// Milliseconds of that run at receipt, by the monotonic clock.
    pub mono_ms: i64,
    /// The record.
    pub record: Record,
    /// The record as JSON.
    pub(crate) body: String,
    /// Sent again by hand: for this sink, or (empty) for all.
    pub(crate) again: Option<String>,
}

impl Entry {
    /// The run of entries that are `replayed` whenever they were received.
    pub const REPLAYED: i64 = -1;

    /// An entry of no run, for whoever has one to make (recovery, tests).
    #[must_use]
    pub fn new(no: i64, source_no: i64, record: Record) -> Self {
        let body = serde_json::to_string(&record).unwrap_or_default();
        Self { no, source_no, run: 0, mono_ms: 0, record, body, again: None }
    }

    /// Whether it is sent again by hand, and so is `replayed` however young it is.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// Whether it is for this sink: everything is, but what another sink tries again.
    #[must_use]
    pub fn is_for(&self, sink: &str) -> bool {
        self.again.as_deref().is_none_or(|only| only.is_empty() || only == sink)
    }

    /// The kind, of an alarm that is not sent again.
    pub(crate) fn event(&self) -> Option<&EventName> {
        match &self.record {
            Record::Alarm(alarm) if self.again.is_none() => Some(&alarm.event),
            Record::Alarm(_) | Record::Activity(_) => None,
        }
    }

    /// The row of its picture.
    pub(crate) fn picture_row(&self) -> Option<PictureRow> {
        let Record::Alarm(alarm) = &self.record else { return None };
        let snapshot = alarm.snapshot.as_ref()?;
        Some(PictureRow { id: snapshot.picture?, at: alarm.received_at, bytes: snapshot.bytes })
    }

    /// Its picture.
    #[must_use]
    pub fn picture(&self) -> Option<Uuid> {
        match &self.record {
            Record::Alarm(alarm) => alarm.snapshot.as_ref().and_then(|snapshot| snapshot.picture),
            Record::Activity(_) => None,
        }
    }
}

/// Which current value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueKey {
    /// The number of its source; 0 for the bridge itself.
    pub source_no: i64,
    /// Which.
    pub what: What,
    /// Of which kind, where it is kept by kind.
    pub event: Option<EventName>,
}

/// A current value.
#[derive(Debug, Clone)]
pub struct Value {
    /// Grows with every change, over all values.
    pub version: i64,
    /// Whose; `None`: the bridge's own.
    pub source: Option<Source>,
    /// What it holds.
    pub held: Held,
}

/// What a value row holds.
#[derive(Debug, Clone)]
pub enum Held {
    /// A short text or a JSON document.
    Text(String),
    /// A reference to an alarm in the log.
    Alarm(i64, Arc<AlarmRecord>),
}

/// The numbers of a device that change with every alarm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) seq: u64,
    pub(crate) alarms: u64,
    pub(crate) last_heard_ms: i64,
}

impl From<&Device> for Heard {
    fn from(device: &Device) -> Self {
        Self { seq: device.seq, alarms: device.alarms, last_heard_ms: device.last_heard_ms }
    }
}

/// A picture's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureRow {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) bytes: u64,
}

/// A change to what is parked.
#[derive(Debug, Clone)]
pub(crate) enum ParkedChange {
    /// A sink will not have this entry.
    Add { sink: String, entry: i64, topic: String, code: String, reason: String, at: Timestamp },
    /// It was delivered after all, dropped, or is tried again as a new entry.
    Remove(i64),
}

/// A request as it is kept for the Requests page.
#[derive(Debug, Clone)]
pub(crate) struct RequestRow {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) peer: String,
    pub(crate) status: u16,
    pub(crate) verdict: String,
    pub(crate) head: String,
    pub(crate) body: Bytes,
    pub(crate) alarms: Vec<Uuid>,
}

impl Effects {
    /// Nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.values.is_empty()
            && self.devices.is_empty()
            && self.heard.is_empty()
            && self.activities.is_empty()
            && self.repeats.is_empty()
            && self.pictures.is_empty()
            && self.sinks.is_empty()
            && self.retained.is_empty()
            && self.parked.is_empty()
            && self.requests.is_empty()
            && self.notes.is_empty()
            && self.unwanted.is_empty()
    }

    /// Whether a value may be written some time after the entry it refers to, since that is enough to find it: the latest
    /// alarm of a device of which nothing else is new. So it has a row already.
    pub(crate) fn may_wait(&self, key: &ValueKey) -> bool {
        key.what == What::Last && !self.devices.contains_key(&key.source_no)
    }

    /// Adds what a later commit changes.
    pub(crate) fn merge(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.values.extend(later.values);
        for no in later.devices.keys() {
            self.heard.remove(no);
        }
        self.devices.extend(later.devices);
        self.heard.extend(later.heard);
        for key in later.activities.keys() {
            self.repeats.remove(key);
        }
        self.activities.extend(later.activities);
        self.repeats.extend(later.repeats);
        self.pictures.extend(later.pictures);
        self.sinks.extend(later.sinks);
        self.retained.extend(later.retained);
        self.parked.extend(later.parked);
        self.requests.extend(later.requests);
        self.notes.extend(later.notes);
        self.removed.extend(later.removed);
        self.unwanted.extend(later.unwanted);
    }

    /// The rough size in memory, for the bound while the disk refuses writes.
    pub(crate) fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| size_of(entry)).sum();
        let requests: usize =
            self.requests.iter().map(|request| request.body.len() + request.head.len() + 256).sum();
        entries
            + requests
            + self.values.len() * 1_024
            + self.devices.len() * 512
            + (self.activities.len() + self.repeats.len()) * 512
    }

    /// Forgets kept requests: alarms need the room.
    pub(crate) fn forget_requests(&mut self) {
        self.requests.clear();
    }

    /// Forgets the oldest entries until the rest has at most `most` bytes; those that a current value refers to stay.
    pub(crate) fn forget_oldest(&mut self, most: usize, delivered: i64) -> Forgotten {
        let mut gone = Forgotten::default();
        let mut excess = self.bytes().saturating_sub(most);
        let held = |value: &Option<Arc<Value>>| match value.as_deref() {
            Some(Value { held: Held::Alarm(no, _), .. }) => Some(*no),
            _ => None,
        };
        let needed: BTreeSet<i64> = self.values.values().filter_map(held).collect();
        self.entries.retain(|entry| {
            if excess == 0 || needed.contains(&entry.no) {
                return true;
            }
            excess = excess.saturating_sub(size_of(entry));
            gone.last = gone.last.max(entry.no);
            gone.undelivered += u64::from(delivered < entry.no);
            false
        });
        gone
    }
}

/// What was forgotten because memory is full.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forgotten {
    /// The last number of it.
    pub(crate) last: i64,
    /// How many of it a sink had not got yet.
    pub(crate) undelivered: u64,
}

/// An entry's rough size in memory: its JSON, and the same as a record.
fn size_of(entry: &Entry) -> usize {
    entry.body.len() * 2 + 512
}
