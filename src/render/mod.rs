//! Renders records and current values as messages with topic and payload. Pure. Topics are known only here and in
//! `homeassistant`.

pub mod asyncapi;
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

pub use asyncapi::asyncapi;
pub use renderer::{RenderKey, Renderer};
pub use schema::schema;
pub use settings::{Names, PictureFate, RenderError, RenderSettings, Sending};

use crate::model::EventName;
use crate::model::picture::variant::PictureForm;
pub use crate::model::value::{Content, CurrentValue, LogEntry, What};

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic, levels separated by `/` (NATS turns them to tokens).
    pub topic: String,
    /// The bytes.
    pub payload: Bytes,
    /// True for a current value, which the broker retains; false for a log message.
    pub retain: bool,
    /// The MIME type of the payload.
    pub content_type: &'static str,
    /// Type of the message, for de-duplication and statistics.
    pub part: MessagePart,
    /// The alarm or activity record it is made from.
    pub id: Option<Uuid>,
    /// The kind, for the user property.
    pub event: Option<EventName>,
    /// RFC 3339, for the user property.
    pub time: Option<String>,
    /// SHA-256 of a picture payload, hex (the object store's key).
    pub sha256: Option<String>,
    /// Number of the replay in the log, if the message is one; it must arrive although the broker has the message already.
    pub replay_of: Option<i64>,
}

/// Type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessagePart {
    /// An alarm.
    Event,
    /// An activity began.
    ActivityStart,
    /// An activity ended.
    ActivityEnd,
    /// A picture published as a log message.
    Picture,
    /// A variant of a picture, published as a log message.
    Variant(PictureForm),
    /// A current value.
    Value,
}
