//! Retained topics that a sink has published. They are stored so that a topic without a current value (of a removed
//! device, an old base topic or an old name) can be emptied.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::compose;
use super::flight::Flight;
use super::session::{RelaySession, SessionEnd, disk};
use super::values::is_heavy;
use crate::model::value::What;
use crate::outbox::{DeviceChange, RetainedTopic};
use crate::render::{Message, MessagePart, RenderKey};
use crate::sink::Sink;

/// Time that Home Assistant needs to remove a device.
const REMOVAL_TIME: Duration = Duration::from_secs(1);

/// Topics known to be published, stored as hashes because there may be hundreds of thousands.
#[derive(Debug, Default)]
pub(super) struct KnownTopics {
    /// Hash of each topic, and the number of the source whose value was published there.
    hashes: HashMap<u64, i64>,
    /// Makes the hashes.
    hasher: RandomState,
    /// True if the topics published before this run are loaded.
    loaded: bool,
    /// Announcements of devices that were removed while Home Assistant may have been offline.
    unheard: Vec<Message>,
    /// Topics without a current value that are not emptied yet.
    stale: HashSet<String>,
    /// Number of event entities that each source was announced with.
    event_entities: HashMap<i64, usize>,
}

impl KnownTopics {
    /// Returns whether a topic was published before.
    pub(super) fn has(&self, topic: &str) -> bool {
        self.hashes.contains_key(&self.hasher.hash_one(topic))
    }

    /// Returns whether a topic was published before for this source. A device that was removed and came back has
    /// another number, and its topics are to be remembered under the new one.
    pub(super) fn has_of(&self, topic: &str, source_no: i64) -> bool {
        self.hashes.get(&self.hasher.hash_one(topic)) == Some(&source_no)
    }

    /// Returns whether the topics published before this run are loaded.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Records an announcement with its number of event entities. Returns whether one of them is new and so receives
    /// nothing at first.
    pub(super) fn announces_deaf(&mut self, source_no: i64, topic: &str, entities: usize) -> bool {
        let before = self.event_entities.insert(source_no, entities).filter(|_| self.has(topic));
        before.unwrap_or(usize::from(self.has(topic))) < entities
    }

    /// Records a topic published for a source.
    pub(super) fn add(&mut self, topic: &str, source_no: i64) {
        self.hashes.insert(self.hasher.hash_one(topic), source_no);
    }

    /// Records that a topic without a current value was emptied, or cannot be emptied.
    pub(super) fn settled(&mut self, topic: &str) {
        if !self.stale.is_empty() {
            self.stale.remove(topic);
        }
    }

    /// Records that a topic was emptied.
    pub(super) fn forget(&mut self, topic: &str) {
        self.hashes.remove(&self.hasher.hash_one(topic));
    }
}

/// Key under which `bridge/state` and `bridge/token` are stored, since they are not current values.
pub(super) fn bridge_key() -> crate::outbox::ValueKey {
    crate::outbox::ValueKey { source_no: 0, what: What::Info, event: None }
}

impl<S: Sink> RelaySession<'_, S> {
    /// Loads the published topics once, and records those without a current value.
    pub(super) fn load_retained(&mut self) -> Result<(), SessionEnd> {
        if self.state.retained.loaded || !self.traits.values {
            return Ok(());
        }
        let Some(published) = self.published(false)? else { return Ok(()) };
        self.state.retained.loaded = true;
        for of in &published {
            self.state.retained.add(&of.topic, of.key.source_no);
        }
        for of in published {
            if !self.renders_to(&of) {
                if of.alive && is_heavy(&of.key) {
                    // The topic of this picture changed, so it is published again at the new one.
                    self.state.refusals.pictures.insert(of.key);
                }
                self.state.retained.forget(&of.topic);
                self.state.retained.stale.insert(of.topic);
            }
        }
        Ok(())
    }

    /// Empties the topics without a current value. After a session that a message ended, the log is sent first.
    pub(super) async fn empty_stale(&mut self) -> Result<(), SessionEnd> {
        let published_again = |topic: &String| self.state.retained.has(topic);
        let (again, stale): (Vec<String>, Vec<String>) =
            self.state.retained.stale.iter().cloned().partition(published_again);
        again.iter().for_each(|topic| self.state.retained.settled(topic));
        if self.state.poison.isolating() {
            self.pacing.empty_again.extend(stale);
            return Ok(());
        }
        for topic in stale {
            self.empty(topic).await?;
        }
        Ok(())
    }

    /// Empties the topics of removed values. `late`: the values may have been removed while there was no session.
    pub(super) async fn empty_gone(&mut self, late: bool) -> Result<(), SessionEnd> {
        if !self.traits.values {
            return Ok(());
        }
        // Topics published just now may not be stored yet.
        self.report_now().await;
        if self.relay.outbox.flush().await.is_err() {
            return Err(SessionEnd::Stopped);
        }
        let Some(gone) = self.published(true)? else { return Ok(()) };
        let (announced, others): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|of| of.key.what == What::Discovery && of.key.source_no != 0);
        let now = if announced.is_empty() {
            others
        } else {
            // The device is removed first, because Home Assistant logs an error when the state topic of an entity is
            // emptied.
            self.progress.gone = u64::MAX;
            self.progress.gone_wait = Some(Instant::now() + REMOVAL_TIME);
            announced
        };
        for of in now {
            if let Some(announcement) = self.announcement_of_removed(&of.topic) {
                if late {
                    self.state.retained.unheard.push(announcement.clone());
                }
                let topic = announcement.topic.clone();
                self.send(announcement, Flight::Removed { topic }).await?;
            }
            self.empty(of.topic).await?;
        }
        Ok(())
    }

    /// Topics that this sink has published retained. `None`: the disk is unavailable and only memory can be read; the
    /// topics are checked again when the disk is back.
    fn published(&mut self, gone_only: bool) -> Result<Option<Vec<RetainedTopic>>, SessionEnd> {
        match self.reader.retained(self.traits.name, gone_only) {
            Ok(published) => Ok(Some(published)),
            Err(_) if self.reader.memory_begins().is_some() => Ok(None),
            Err(error) => Err(disk(&error)),
        }
    }

    /// The announcement of a removed device, to be published once more before its topic is emptied. Without it, a Home
    /// Assistant that has restarted, on a broker that lost its retained messages, would keep the entities as orphans.
    fn announcement_of_removed(&self, topic: &str) -> Option<Message> {
        let source = self.relay.renderer.announced_source(topic)?;
        let card = self.relay.outbox.removed(&source)?;
        self.relay.renderer.announce(&card, &[]).filter(|message| message.topic == topic)
    }

    /// Acts on the start of Home Assistant: removes devices that were removed while it was offline.
    pub(super) async fn remove_gone_devices(&mut self) -> Result<(), SessionEnd> {
        for announcement in std::mem::take(&mut self.state.retained.unheard) {
            let topic = announcement.topic.clone();
            if !self.state.retained.has(&topic) {
                self.send(announcement, Flight::Removed { topic: topic.clone() }).await?;
                self.empty(topic).await?;
            }
        }
        Ok(())
    }

    /// Returns whether a value still renders to the topic it was published at.
    fn renders_to(&mut self, of: &RetainedTopic) -> bool {
        let renderer = &self.relay.renderer;
        if of.topic == renderer.bridge_state(true).topic || of.topic == renderer.bridge_token("").topic {
            return true;
        }
        if !of.alive {
            return false;
        }
        let device = compose::device_of(of.key.source_no, &mut self.reader, &self.relay.renderer);
        let key = RenderKey {
            source: of.source.as_ref(),
            what: of.key.what,
            event: of.key.event.as_ref(),
            device: device.as_ref(),
        };
        self.relay.renderer.topic(&key).is_some_and(|topic| topic == of.topic)
    }

    /// Empties a retained topic.
    pub(super) async fn empty(&mut self, topic: String) -> Result<(), SessionEnd> {
        // A later publication to this topic counts as a new one.
        self.state.retained.forget(&topic);
        let message = Message {
            topic: topic.clone(),
            payload: Bytes::new(),
            retain: true,
            content_type: "text/plain",
            part: MessagePart::Value,
            id: None,
            event: None,
            time: None,
            sha256: None,
            replay_of: None,
        };
        self.send(message, Flight::Gone { topic }).await
    }

    /// Hides a device that was deleted in Home Assistant (which empties the retained topic) until its next alarm.
    pub(super) async fn handle_emptied(&mut self, topic: &str) {
        let Some(source) = self.relay.renderer.announced_source(topic) else { return };
        self.state.retained.forget(topic);
        // The topic is empty already; emptying it again would make Home Assistant log an error.
        self.report.change.retained.push((topic.to_owned(), None));
        tracing::info!(device.source = %source, "deleted in Home Assistant; it is announced again with its next alarm");
        if self.relay.outbox.device(DeviceChange::Hide(source)).await.is_err() {
            tracing::debug!("the writer is gone");
        }
    }

    /// Processes a state that the broker retains.
    pub(super) async fn handle_found_state(&mut self, topic: &str, payload: &[u8]) {
        if payload != b"ON" {
            return;
        }
        let Some((source, event)) = self.relay.renderer.state_of(topic) else { return };
        if self.relay.outbox.device(DeviceChange::FoundOn(source, event)).await.is_err() {
            tracing::debug!("the writer is gone");
        }
    }
}
