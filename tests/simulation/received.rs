//! Log messages that a broker received, each read once.

use std::hash::{Hash as _, Hasher};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::model::Broken;

/// All log messages that a broker received, in order.
#[derive(Debug, Default)]
pub(crate) struct Received {
    messages: Vec<(String, Content)>,
    /// The first message that cannot be read.
    unreadable: Option<Broken>,
}

/// Keys of a message's JSON that the rules need.
#[derive(Debug)]
enum Content {
    Event(EventJson),
    Activity(ActivityJson),
    Other,
}

/// Keys of an event's JSON.
#[derive(Debug, Deserialize)]
pub(crate) struct EventJson {
    pub(crate) id: Uuid,
    pub(crate) source: String,
    pub(crate) seq: u64,
    phase: String,
    pub(crate) replayed: bool,
}

/// Keys of an activity's JSON.
#[derive(Debug, Deserialize)]
pub(crate) struct ActivityJson {
    pub(crate) id: Uuid,
    pub(crate) activity_id: Uuid,
    pub(crate) phase: String,
    replayed: bool,
}

impl Received {
    /// Adds a message.
    pub(crate) fn add(&mut self, topic: String, payload: &Bytes) {
        let content = if topic.contains("/event/") {
            self.read(&topic, payload).map_or(Content::Other, Content::Event)
        } else if topic.contains("/activity/") {
            self.read(&topic, payload).map_or(Content::Other, Content::Activity)
        } else {
            Content::Other
        };
        self.messages.push((topic, content));
    }

    fn read<T: DeserializeOwned>(&mut self, topic: &str, payload: &Bytes) -> Option<T> {
        let read = serde_json::from_slice(payload);
        let unreadable = |error: &serde_json::Error| {
            let seen = format!("{topic}: {error}: {payload:?}");
            self.unreadable.get_or_insert(Broken { rule: "messages are readable", seen });
        };
        read.inspect_err(unreadable).ok()
    }

    /// The events.
    pub(crate) fn events(&self) -> Result<impl Iterator<Item = &EventJson>, Broken> {
        self.readable()?;
        Ok(self
            .messages
            .iter()
            .filter_map(|(_, content)| if let Content::Event(event) = content { Some(event) } else { None }))
    }

    /// The starts and ends of activities.
    pub(crate) fn activities(&self) -> Result<impl Iterator<Item = &ActivityJson>, Broken> {
        self.readable()?;
        Ok(self.messages.iter().filter_map(|(_, content)| {
            if let Content::Activity(activity) = content { Some(activity) } else { None }
        }))
    }

    fn readable(&self) -> Result<(), Broken> {
        self.unreadable.clone().map_or(Ok(()), Err)
    }

    /// Adds all messages to a hash, without random identifiers.
    pub(crate) fn digest(&self, digest: &mut impl Hasher) {
        for (topic, content) in &self.messages {
            let (seq, phase, replayed) = match content {
                Content::Event(event) => (Some(event.seq), Some(&event.phase), Some(event.replayed)),
                Content::Activity(activity) => (None, Some(&activity.phase), Some(activity.replayed)),
                Content::Other => (None, None, None),
            };
            (topic, seq, phase, replayed).hash(digest);
        }
    }
}
