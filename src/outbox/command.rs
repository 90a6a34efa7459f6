//! Requests to the writer.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::cluster::{Applied, Decision, SpoolRow};
use super::delivery::position::Position;
use super::log::entry::StoredRequest;
use super::settings::WriterSettings;
use super::state::ledger::Ledger;
use super::state::value::ValueKey;
use super::store::lineage::Mark;
use super::store::recover::Salvaged;
use super::{Appended, Submission};
use crate::model::value::What;
use crate::model::{EventName, Mute, Source};

/// A request to the writer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit a report; its pictures are stored under these identifiers. `given`: identifiers of its alarms, if they were
    /// answered before.
    Submit {
        submission: Box<Submission>,
        stored: Vec<Option<Uuid>>,
        given: Vec<Uuid>,
        reply: oneshot::Sender<Appended>,
    },
    /// Store a request that made no alarm.
    Record(Box<StoredRequest>),
    /// Store the position of a sink, and which topics it retained and which messages it parked.
    Sink(SinkChange),
    /// Change a device. Answers whether there was something to change.
    Device { change: DeviceChange, reply: oneshot::Sender<bool> },
    /// Set one of the bridge's own values.
    Bridge { what: What, text: String },
    /// Try a parked message again or drop it. Answers whether there is one.
    Parked { no: i64, verb: ParkedVerb, reply: oneshot::Sender<bool> },
    /// Send an alarm again. Answers whether it is known.
    Replay { id: Uuid, reply: oneshot::Sender<bool> },
    /// Mark the alarms of a report as reviewed, or lift the mark. Answers whether the alarm is known.
    Review { id: Uuid, reviewed: bool, reply: oneshot::Sender<bool> },
    /// Move the position of a sink back. Answers whether there is such a sink.
    Rewind { sink: String, low: i64, reply: oneshot::Sender<bool> },
    /// Compare the mark that a broker retains. Answers whether the mark comes from a newer database than this one.
    CompareMark { mark: Mark, reply: oneshot::Sender<bool> },
    /// Add a part of a database that was set aside. Answers how many of its records were new.
    Recover { salvaged: Box<Salvaged>, reply: oneshot::Sender<u64> },
    /// Store a small text by name.
    Note { key: &'static str, text: String },
    /// Replace the settings.
    Configure(Arc<WriterSettings>),
    /// Store a report in the spool until the cluster has acknowledged it.
    Spool { row: SpoolRow, request: Option<Box<StoredRequest>>, reply: oneshot::Sender<Appended> },
    /// Delete the spool up to this number: the cluster has acknowledged it.
    Spooled(i64),
    /// Apply a decision of the cluster; answers once it is committed.
    Apply { decision: Box<Decision>, at: Applied, reply: oneshot::Sender<bool> },
    /// A copy of the ledger state, to decide on.
    CopyLedger(oneshot::Sender<Ledger>),
    /// Answer when everything before is committed.
    Flush(oneshot::Sender<()>),
    /// Commit what is in memory and end.
    Stop(oneshot::Sender<()>),
}

impl Command {
    /// Returns whether the command is frequent and changes devices and activities only by new alarms. Such a commit
    /// need not be a checkpoint.
    pub(crate) fn is_frequent(&self) -> bool {
        match self {
            Self::Submit { .. }
            | Self::Record(_)
            | Self::Sink(_)
            | Self::Bridge { .. }
            | Self::Note { .. }
            | Self::CompareMark { .. }
            | Self::Spool { .. }
            | Self::Spooled(_)
            | Self::CopyLedger(_)
            | Self::Flush(_)
            | Self::Stop(_) => true,
            Self::Apply { .. }
            | Self::Device { .. }
            | Self::Parked { .. }
            | Self::Replay { .. }
            | Self::Review { .. }
            | Self::Rewind { .. }
            | Self::Recover { .. }
            | Self::Configure(_) => false,
        }
    }
}

/// A report of a relay about its sink.
#[derive(Debug, Default)]
pub struct SinkChange {
    /// The sink.
    pub sink: String,
    /// Its position, if that changed.
    pub position: Option<Position>,
    /// Topics published retained for the first time, or emptied (`None`).
    pub retained: Vec<(String, Option<ValueKey>)>,
    /// Entries that it refuses for good.
    pub parked: Vec<Parking>,
    /// Parked entries that were delivered after all.
    pub unparked: Vec<i64>,
}

/// An entry that a sink refuses for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parking {
    /// Number of the entry.
    pub entry: i64,
    /// Topic of the message.
    pub topic: String,
    /// Stable code of the reason.
    pub code: String,
    /// Full text of the reason.
    pub reason: String,
}

/// A change to devices.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum DeviceChange {
    /// Another name to show; an empty name restores the camera's own.
    Rename(Source, String),
    /// Another area; an empty one restores the configured one.
    Area(Source, String),
    /// Another hold, in seconds; `None` restores the configured one.
    Hold(Source, Option<u64>),
    /// Mute a kind, or everything.
    Mute(Source, Mute),
    /// Lift the mute of a kind, or all of them.
    Unmute(Source, Option<EventName>),
    /// Set states to OFF by hand: one kind, or all activities in progress.
    Clear(Source, Option<EventName>),
    /// Delete the device and empty its retained topics.
    Remove(Source),
    /// Stop announcing it until its next alarm (it was deleted in Home Assistant).
    Hide(Source),
    /// Availability of the device, and the reason.
    Available(Source, bool, String),
    /// Set a kind to OFF whose retained topic says ON, unless an activity of it is in progress.
    FoundOn(Source, EventName),
}

impl DeviceChange {
    /// The device that it is about.
    #[must_use]
    pub fn source(&self) -> &Source {
        match self {
            Self::Rename(source, _)
            | Self::Area(source, _)
            | Self::Hold(source, _)
            | Self::Mute(source, _)
            | Self::Unmute(source, _)
            | Self::Clear(source, _)
            | Self::Remove(source)
            | Self::Hide(source)
            | Self::Available(source, ..)
            | Self::FoundOn(source, _) => source,
        }
    }
}

/// A change to what is delivered, at all instances of a cluster. Messages are named by the identifiers of their records,
/// since numbers differ between databases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum DeliveryChange {
    /// Send an alarm again to every sink.
    Replay(Uuid),
    /// A sink refuses a message for good.
    Park {
        /// Key of the sink.
        sink: String,
        /// Identifier of the record.
        id: Uuid,
        /// Topic of the message.
        topic: String,
        /// Stable code of the reason.
        code: String,
        /// Full text of the reason.
        reason: String,
        /// Time at which it was parked.
        at: Timestamp,
    },
    /// Send a parked message again to its sink.
    Retry(String, Uuid),
    /// Delete a parked message of a sink.
    Drop(String, Uuid),
    /// Send everything again to a sink that was received since a moment.
    Rewind(String, Timestamp),
}

/// A change that all instances of a cluster make in the same order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClusterAction {
    /// To devices.
    Device(DeviceChange),
    /// To what is delivered.
    Delivery(DeliveryChange),
}

/// Action on a parked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedVerb {
    /// Send it again.
    Retry,
    /// Delete it.
    Drop,
}
