//! From meaning to bytes: what is published where. Pure; only here (and in `homeassistant`) topics are known.

pub mod payload;
pub mod schema;
pub mod topics;
pub mod url;

mod memo;
mod readback;
mod renderer;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use uuid::Uuid;

pub use renderer::{Renderer, ValueKey};
pub use schema::schema;
pub use settings::{Names, PictureFate, RenderError, RenderSettings, Sending};

use crate::model::EventName;
pub use crate::model::value::{Content, CurrentValue, LogEntry, What};

/// One thing to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic, levels parted by `/` (NATS turns them to tokens).
    pub topic: String,
    /// The bytes.
    pub payload: Bytes,
    /// Retained, newest only (the value lane), or a log message.
    pub retain: bool,
    /// The MIME type of the payload.
    pub content_type: &'static str,
    /// What it is, for de-duplication and statistics.
    pub part: Part,
    /// The alarm or activity record it is made from.
    pub id: Option<Uuid>,
    /// The kind, for the user property.
    pub event: Option<EventName>,
    /// RFC 3339, for the user property.
    pub time: Option<String>,
    /// SHA-256 of a picture payload, hex (the object store's key).
    pub sha256: Option<String>,
    /// Sent again by hand: the number of that in the log. It is meant to arrive, though the far side has it already.
    pub again: Option<i64>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// An alarm.
    Event,
    /// An activity began.
    ActivityStart,
    /// An activity ended.
    ActivityEnd,
    /// A picture of the log lane.
    Picture,
    /// A current value.
    Value,
}
