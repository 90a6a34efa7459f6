//! Retained topics a sink has published: remembered, so that one to which no value renders any more (a device
//! removed, a new base topic, a rename) can be emptied.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use tokio::task::block_in_place;

use super::compose;
use super::flight::Flight;
use super::session::{End, Session, disk};
use crate::model::value::What;
use crate::outbox::{DeviceChange, RetainedTopic};
use crate::render::{Message, Part, ValueKey};
use crate::sink::Sink;

/// The topics known to be published, by hash: there may be hundreds of thousands.
#[derive(Debug, Default)]
pub(super) struct Known {
    hashes: HashSet<u64>,
    hasher: RandomState,
    loaded: bool,
}

impl Known {
    /// Whether a topic was published before.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(topic))
    }

    /// A topic was published.
    pub(super) fn add(&mut self, topic: &str) {
        self.hashes.insert(self.hasher.hash_one(topic));
    }

    /// A topic was emptied.
    pub(super) fn forget(&mut self, topic: &str) {
        self.hashes.remove(&self.hasher.hash_one(topic));
    }
}

/// What `bridge/state` and `bridge/token`, which no value stands for, are remembered under.
pub(super) fn bridge_key() -> crate::outbox::ValueKey {
    crate::outbox::ValueKey { source_no: 0, what: What::Info, event: None }
}

impl<S: Sink> Session<'_, S> {
    /// Once: reads which topics were published, and empties those to which nothing renders now.
    pub(super) async fn load_retained(&mut self) -> Result<(), End> {
        if std::mem::replace(&mut self.kept.retained.loaded, true) || !self.traits.values {
            return Ok(());
        }
        let published =
            block_in_place(|| self.reader.retained(self.traits.name, false)).map_err(|error| disk(&error))?;
        for of in &published {
            self.kept.retained.add(&of.topic);
        }
        for of in published {
            if !self.renders_to(&of) {
                self.empty(of.topic).await?;
            }
        }
        Ok(())
    }

    /// Values went away: empties their topics.
    pub(super) async fn empty_gone(&mut self) -> Result<(), End> {
        if !self.traits.values {
            return Ok(());
        }
        // What was published a moment ago may not be written yet.
        self.tell().await;
        if self.relay.outbox.flush().await.is_err() {
            return Err(End::Stopped);
        }
        let gone =
            block_in_place(|| self.reader.retained(self.traits.name, true)).map_err(|error| disk(&error))?;
        for of in gone {
            self.empty(of.topic).await?;
        }
        Ok(())
    }

    /// Whether a value still renders to the topic it was published at.
    fn renders_to(&mut self, of: &RetainedTopic) -> bool {
        let renderer = &self.relay.renderer;
        if of.topic == renderer.bridge_state(true).topic || of.topic == renderer.bridge_token("").topic {
            return true;
        }
        if !of.alive {
            return false;
        }
        let device = block_in_place(|| compose::device_of(of.key.source_no, &mut self.reader));
        let key = ValueKey {
            source: of.source.as_ref(),
            what: of.key.what,
            event: of.key.event.as_ref(),
            device: device.as_ref(),
        };
        self.relay.renderer.topic(&key).is_some_and(|topic| topic == of.topic)
    }

    async fn empty(&mut self, topic: String) -> Result<(), End> {
        let message = Message {
            topic: topic.clone(),
            payload: Bytes::new(),
            retain: true,
            content_type: "text/plain",
            part: Part::Value,
            id: None,
            event: None,
            time: None,
            sha256: None,
        };
        self.send(message, Flight::Gone { topic }).await
    }

    /// Somebody emptied a retained topic: a device deleted in Home Assistant stays away until its next alarm.
    pub(super) async fn emptied(&mut self, topic: &str) {
        let Some(source) = self.relay.renderer.announced_source(topic) else { return };
        self.kept.retained.forget(topic);
        tracing::info!(device.source = %source, "deleted in Home Assistant; it is announced again with its next alarm");
        if self.relay.outbox.device(DeviceChange::Hide(source)).await.is_err() {
            tracing::debug!("the writer is gone");
        }
    }

    /// A broker still holds a state that this database may not know.
    pub(super) async fn found(&mut self, topic: &str, payload: &[u8]) {
        if payload != b"ON" {
            return;
        }
        let Some((source, event)) = self.relay.renderer.state_of(topic) else { return };
        if self.relay.outbox.device(DeviceChange::FoundOn(source, event)).await.is_err() {
            tracing::debug!("the writer is gone");
        }
    }
}
