//! NATS form of a message: subject, headers, message id. Pure.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::subject::subject;
use crate::model::picture::variant::PictureForm;
use crate::render::{Message, MessagePart};
use crate::sink::cloudevents;

/// Header by which a stream discards duplicates (NATS documentation, JetStream headers).
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Message ready to be published.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Subject.
    pub(super) subject: String,
    /// Headers.
    pub(super) headers: HeaderMap,
    /// Payload.
    pub(super) payload: Bytes,
    /// Digest of a picture, under which the object store may hold it.
    pub(super) picture: Option<String>,
    /// Current value: the stream keeps the newest message of its subject.
    pub(super) retain: bool,
}

/// Converts a rendered message. `source`: its log messages get the attributes of CloudEvents with this source.
///
/// # Errors
/// Returns a sentence when its topic cannot become a subject.
pub(super) fn outgoing(prefix: &str, source: Option<&str>, message: Message) -> Result<Outgoing, String> {
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", message.content_type);
    let id = message.id.map(|id| id.to_string());
    let fields = [("id", &id), ("time", &message.time)];
    for (name, value) in fields {
        if let Some(value) = value {
            headers.insert(name, one_line(value));
        }
    }
    if let Some(event) = &message.event {
        headers.insert("event", one_line(&event.to_string()));
    }
    for (name, value) in source.map(|source| cloudevents::attributes(source, &message)).unwrap_or_default() {
        headers.insert(format!("ce-{name}").as_str(), cloudevents::header(&value));
    }
    if let (Some(id), Some(part)) = (&id, part(message.part)) {
        let replay = message.replay_of.map_or_else(String::new, |no| format!(":again-{no}"));
        headers.insert(MESSAGE_ID, format!("{id}:{part}{replay}"));
    }
    Ok(Outgoing {
        subject: subject(prefix, &message.topic)?,
        headers,
        retain: message.retain,
        picture: message.sha256.filter(|_| message.content_type == "image/jpeg"),
        payload: message.payload,
    })
}

/// Name of a message's part in the message id. Values have none: the same value sent twice within the duplicate window
/// is not a duplicate.
fn part(part: MessagePart) -> Option<&'static str> {
    match part {
        MessagePart::Event => Some("event"),
        MessagePart::ActivityStart => Some("activity-start"),
        MessagePart::ActivityEnd => Some("activity-end"),
        MessagePart::Picture => Some("picture"),
        MessagePart::Variant(PictureForm::Small) => Some("picture-small"),
        MessagePart::Variant(PictureForm::Boxes) => Some("picture-boxes"),
        MessagePart::Value => None,
    }
}

/// Replaces line breaks, so that a value cannot start another header.
fn one_line(value: &str) -> String {
    value.replace(['\r', '\n'], " ")
}
