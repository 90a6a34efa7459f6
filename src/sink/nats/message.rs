//! A message as NATS carries it: subject, headers, identity. Pure.

use async_nats::HeaderMap;
use bytes::Bytes;

use super::subject::subject;
use crate::render::{Message, Part};

/// The header by which a stream drops what it already has (NATS documentation, JetStream headers).
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A message ready to be published.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Where.
    pub(super) subject: String,
    /// With what.
    pub(super) headers: HeaderMap,
    /// What.
    pub(super) payload: Bytes,
    /// A picture's digest: then the object store may take it.
    pub(super) picture: Option<String>,
    /// A value: the newest of its subject is kept.
    pub(super) retain: bool,
}

/// Translates a rendered message.
///
/// # Errors
/// In words, when its topic makes no subject.
pub(super) fn outgoing(prefix: &str, message: Message) -> Result<Outgoing, String> {
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
    if let (Some(id), Some(part)) = (&id, part(message.part)) {
        let again = message.again.map_or_else(String::new, |no| format!(":again-{no}"));
        headers.insert(MESSAGE_ID, format!("{id}:{part}{again}"));
    }
    Ok(Outgoing {
        subject: subject(prefix, &message.topic)?,
        headers,
        retain: message.retain,
        picture: message.sha256.filter(|_| message.content_type == "image/jpeg"),
        payload: message.payload,
    })
}

/// The part's word in the message id. Values have none: the same value twice within the window is not a duplicate.
fn part(part: Part) -> Option<&'static str> {
    match part {
        Part::Event => Some("event"),
        Part::ActivityStart => Some("activity-start"),
        Part::ActivityEnd => Some("activity-end"),
        Part::Picture => Some("picture"),
        Part::Value => None,
    }
}

/// No header value may begin another header.
fn one_line(value: &str) -> String {
    value.replace(['\r', '\n'], " ")
}
