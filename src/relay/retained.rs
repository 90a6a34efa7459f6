//! Retained topics a sink has published: remembered, so that one to which no value renders any more (a device
//! removed, a new base topic, a rename) can be emptied.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::compose;
use super::flight::Flight;
use super::session::{End, Session, disk};
use super::values::is_heavy;
use crate::model::value::What;
use crate::outbox::{DeviceChange, RetainedTopic};
use crate::render::{Message, Part, ValueKey};
use crate::sink::Sink;

/// Home Assistant needs so long to let go of a device.
const LETTING_GO: Duration = Duration::from_secs(1);

/// The topics known to be published, by hash: there may be hundreds of thousands.
#[derive(Debug, Default)]
pub(super) struct Known {
    hashes: HashSet<u64>,
    hasher: RandomState,
    loaded: bool,
    /// Announcements of devices that were removed while nobody may have been there to hear it.
    unheard: Vec<Message>,
    /// How many event entities each source was announced with.
    event_entities: HashMap<i64, usize>,
}

impl Known {
    /// Whether a topic was published before.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(topic))
    }

    /// The topics published before this run are known.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Notes an announcement with so many event entities; says whether one of them is new, and so deaf at first.
    pub(super) fn announces_deaf(&mut self, source_no: i64, topic: &str, entities: usize) -> bool {
        let before = self.event_entities.insert(source_no, entities).filter(|_| self.has(topic));
        before.unwrap_or(usize::from(self.has(topic))) < entities
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
        if self.kept.retained.loaded || !self.traits.values {
            return Ok(());
        }
        let Some(published) = self.published(false)? else { return Ok(()) };
        self.kept.retained.loaded = true;
        for of in &published {
            self.kept.retained.add(&of.topic);
        }
        for of in published {
            if !self.renders_to(&of) {
                if of.alive && is_heavy(&of.key) {
                    // A picture that has another topic now is wanted there.
                    self.kept.refused.insert(of.key);
                }
                self.empty(of.topic).await?;
            }
        }
        Ok(())
    }

    /// Values went away: empties their topics. `late`: that may have been a while ago, when there was no session.
    pub(super) async fn empty_gone(&mut self, late: bool) -> Result<(), End> {
        if !self.traits.values {
            return Ok(());
        }
        // What was published a moment ago may not be written yet.
        self.tell().await;
        if self.relay.outbox.flush().await.is_err() {
            return Err(End::Stopped);
        }
        let Some(gone) = self.published(true)? else { return Ok(()) };
        let (announced, others): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|of| of.key.what == What::Discovery && of.key.source_no != 0);
        let now = if announced.is_empty() {
            others
        } else {
            // Home Assistant lets go of a device first: its entities would complain of what is empty.
            self.gone_seen = u64::MAX;
            self.gone_wait = Some(Instant::now() + LETTING_GO);
            announced
        };
        for of in now {
            if let Some(announcement) = self.announcement_of_removed(&of.topic) {
                if late {
                    self.kept.retained.unheard.push(announcement.clone());
                }
                self.send(announcement, Flight::Removed).await?;
            }
            self.empty(of.topic).await?;
        }
        Ok(())
    }

    /// The topics this sink has published retained. `None`: the disk is out of reach and memory is all there is; they
    /// are looked at again when that is over.
    fn published(&mut self, gone_only: bool) -> Result<Option<Vec<RetainedTopic>>, End> {
        match self.reader.retained(self.traits.name, gone_only) {
            Ok(published) => Ok(Some(published)),
            Err(_) if self.reader.memory_begins().is_some() => Ok(None),
            Err(error) => Err(disk(&error)),
        }
    }

    /// The announcement of a removed device, to be said once more before it is emptied: a Home Assistant that has
    /// not heard of it since its own start (the broker forgot too) would keep its entities as orphans.
    fn announcement_of_removed(&self, topic: &str) -> Option<Message> {
        let source = self.relay.renderer.announced_source(topic)?;
        let card = self.relay.outbox.removed(&source)?;
        self.relay.renderer.announce(&card, &[]).filter(|message| message.topic == topic)
    }

    /// Home Assistant is up: takes back what it may know and was removed in its absence.
    pub(super) async fn take_back(&mut self) -> Result<(), End> {
        for announcement in std::mem::take(&mut self.kept.retained.unheard) {
            let topic = announcement.topic.clone();
            if !self.kept.retained.has(&topic) {
                self.send(announcement, Flight::Removed).await?;
                self.empty(topic).await?;
            }
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
        let device = compose::device_of(of.key.source_no, &mut self.reader, &self.relay.renderer);
        let key = ValueKey {
            source: of.source.as_ref(),
            what: of.key.what,
            event: of.key.event.as_ref(),
            device: device.as_ref(),
        };
        self.relay.renderer.topic(&key).is_some_and(|topic| topic == of.topic)
    }

    /// Empties a retained topic.
    pub(super) async fn empty(&mut self, topic: String) -> Result<(), End> {
        // What is published there from now on is published anew.
        self.kept.retained.forget(&topic);
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
            again: None,
        };
        self.send(message, Flight::Gone { topic }).await
    }

    /// Somebody emptied a retained topic: a device deleted in Home Assistant stays away until its next alarm.
    pub(super) async fn emptied(&mut self, topic: &str) {
        let Some(source) = self.relay.renderer.announced_source(topic) else { return };
        self.kept.retained.forget(topic);
        // Emptied already: doing so again would make Home Assistant complain.
        self.change.retained.push((topic.to_owned(), None));
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
