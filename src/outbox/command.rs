//! What the writer is asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::effects::{RequestRow, ValueKey};
use super::position::Position;
use super::recover::Salvaged;
use super::settings::Settings;
use super::{Appended, Submission};
use crate::model::value::What;
use crate::model::{EventName, Source};

/// One request to the writer.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit a report; its pictures are stored under these identifiers.
    Submit { submission: Box<Submission>, stored: Vec<Option<Uuid>>, reply: oneshot::Sender<Appended> },
    /// Keep a request that made no alarm.
    Record(Box<RequestRow>),
    /// A sink moved.
    Sink(SinkChange),
    /// Change something about devices.
    Device { change: DeviceChange, reply: oneshot::Sender<bool> },
    /// The bridge's own values.
    Bridge { what: What, text: String },
    /// What is parked: try again or drop; says whether there was such an entry.
    Parked { no: i64, verb: ParkedVerb, reply: oneshot::Sender<bool> },
    /// Send an alarm again; says whether it is known.
    Replay { id: Uuid, reply: oneshot::Sender<bool> },
    /// Move a sink's position back; says whether there is such a sink.
    Rewind { sink: String, low: i64, reply: oneshot::Sender<bool> },
    /// Deliver what a database set aside still holds; answers how much of it was not known.
    Recover { salvaged: Box<Salvaged>, reply: oneshot::Sender<u64> },
    /// The configuration changed.
    Configure(Arc<Settings>),
    /// Answer when everything before is committed.
    Flush(oneshot::Sender<()>),
    /// Commit what is there and end.
    Stop(oneshot::Sender<()>),
}

impl Command {
    /// Whether it comes all the time and changes devices and activities by new alarms alone.
    pub(crate) fn is_frequent(&self) -> bool {
        match self {
            Self::Submit { .. }
            | Self::Record(_)
            | Self::Sink(_)
            | Self::Bridge { .. }
            | Self::Flush(_)
            | Self::Stop(_) => true,
            Self::Device { .. }
            | Self::Parked { .. }
            | Self::Replay { .. }
            | Self::Rewind { .. }
            | Self::Recover { .. }
            | Self::Configure(_) => false,
        }
    }
}

/// What a relay tells of its sink.
#[derive(Debug, Default)]
pub struct SinkChange {
    /// The sink.
    pub sink: String,
    /// Where it stands now, if that changed.
    pub position: Option<Position>,
    /// Topics published retained for the first time, or emptied (`None`).
    pub retained: Vec<(String, Option<ValueKey>)>,
    /// Entries it will not have.
    pub parked: Vec<Parking>,
    /// Parked entries that were delivered after all.
    pub unparked: Vec<i64>,
}

/// An entry that a sink will not have.
#[derive(Debug, Clone)]
pub struct Parking {
    /// The entry.
    pub entry: i64,
    /// The topic it was for.
    pub topic: String,
    /// A stable word for the reason.
    pub code: String,
    /// The reason in full.
    pub reason: String,
}

/// A change to devices.
#[derive(Debug, Clone)]
pub enum DeviceChange {
    /// Another name to show; an empty one takes the given name back.
    Rename(Source, String),
    /// End activities by hand: one kind, or all that go on.
    Clear(Source, Option<EventName>),
    /// Forget the device; its retained topics are emptied.
    Remove(Source),
    /// Not announced until its next alarm (deleted in Home Assistant).
    Hide(Source),
    /// Whether it is there, and why that is said.
    Available(Source, bool, String),
    /// A broker holds ON at this state topic: set OFF what does not go on.
    FoundOn(Source, EventName),
}

/// What to do with something parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedVerb {
    /// Try it again.
    Retry,
    /// Forget it.
    Drop,
}
