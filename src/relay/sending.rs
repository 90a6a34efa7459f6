//! What a session sends: log entries, current values, and the notes it makes of what is on its way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::compose::{self, Lateness};
use super::flight::{Flight, InFlight};
use super::lanes::TURN;
use super::session::{End, Session, disk};
use crate::model::record::SnapshotRecord;
use crate::model::value::{Content, What};
use crate::outbox::{Entry, Held, Value, ValueKey};
use crate::render::{Message, Part, PictureFate, Sending};
use crate::sink::{Notice, Sink};

/// A source whose announcement is not acknowledged waits no longer than this for it.
const ANNOUNCED: Duration = Duration::from_secs(5);

/// A limit that was found out is believed for so long; it may have been raised.
const LEARNED: Duration = Duration::from_secs(600);

impl<S: Sink> Session<'_, S> {
    /// The turn of one source: its changed pictures, then some of its log.
    pub(super) async fn turn(&mut self, source_no: i64) -> Result<bool, End> {
        let mut sent = false;
        while let Some(key) = self.values.next_heavy(Some(source_no)) {
            sent |= self.send_value(key).await?;
            if sent && self.kept.poison.single() {
                return Ok(true);
            }
        }
        if self.traits.one_per_source && self.values.busy(source_no) {
            return Ok(sent);
        }
        self.read_ahead(source_no)?;
        let most = if self.traits.one_per_source || self.kept.poison.single() { 1 } else { TURN };
        for _ in 0..most {
            let Some(entry) = self.lanes.peek(source_no) else { break };
            self.send_entry(&entry).await?;
            sent = true;
        }
        Ok(sent)
    }

    /// Reads what a source has left, if nothing of it is at hand.
    pub(super) fn read_ahead(&mut self, source_no: i64) -> Result<(), End> {
        if let Some(after) = self.lanes.wants(source_no) {
            let most = if self.traits.one_per_source { self.lanes.room() } else { TURN };
            let entries = self.reader.entries_of(source_no, after, most).map_err(|error| disk(&error))?;
            self.lanes.fill(source_no, entries);
        }
        Ok(())
    }

    /// Sends the messages of one log entry.
    async fn send_entry(&mut self, entry: &Entry) -> Result<(), End> {
        if !entry.is_for(self.traits.name) {
            self.lanes.sent(entry.source_no, 0);
            return Ok(());
        }
        let picture = if self.relay.each_picture { self.picture_bytes(entry) } else { None };
        if let Some(snapshot) = compose::snapshot_of(&entry.record)
            && let Some(picture) = snapshot.picture.filter(|_| self.is_over_known_limit(snapshot.bytes))
        {
            self.kept.fates.refused(picture);
        }
        let sending = Sending {
            replayed: self.lateness().entry(entry, &self.relay.outbox),
            picture: self.kept.fates.of(compose::snapshot_of(&entry.record), self.max_payload),
        };
        let messages = self.relay.renderer.log(&compose::log_entry(entry, picture), &sending);
        self.lanes.sent(entry.source_no, messages.len());
        self.relay.status.update(|status| status.sent += 1);
        tracing::debug!(
            sink.name = self.traits.name, alarm.id = %entry.record.id(), log.no = entry.no, "sending"
        );
        for mut message in messages {
            message.again = entry.is_again().then_some(entry.no);
            let picture = entry.picture().filter(|_| message.part == Part::Picture);
            let flight = Flight::Log {
                source_no: entry.source_no,
                no: entry.no,
                topic: message.topic.clone(),
                part: message.part,
                picture,
            };
            self.send(message, flight).await?;
        }
        Ok(())
    }

    fn picture_bytes(&self, entry: &Entry) -> Option<Bytes> {
        let picture = entry.picture()?;
        self.reader.pictures().read(picture).ok()
    }

    /// Sends a current value as it stands now; says whether there was something to send.
    pub(super) async fn send_value(&mut self, key: ValueKey) -> Result<bool, End> {
        let found = self.reader.value(&key).map_err(|error| disk(&error))?;
        let Some(value) = found else { return Ok(false) };
        self.send_this(key, &value).await
    }

    /// Sends a current value; says whether this sink carries it.
    pub(super) async fn send_this(&mut self, key: ValueKey, value: &Value) -> Result<bool, End> {
        if self.kept.given_up.get(&key) == Some(&value.version) {
            return Ok(false);
        }
        let (lateness, max) = (self.lateness(), self.max_payload);
        let (fates, reader) = (&self.kept.fates, &mut self.reader);
        let fate = |snapshot: Option<&SnapshotRecord>| match (snapshot, max) {
            (Some(snapshot), Some(max)) if (max as u64) < snapshot.bytes => {
                fates.of(Some(snapshot), Some(max))
            }
            _ => PictureFate::Sent,
        };
        let composed = compose::current_value(&key, value, reader, &self.relay.renderer, lateness, fate);
        let Some((current, sending)) = composed else { return Ok(false) };
        if current.what == What::Discovery && !self.traits.discovery {
            return Ok(false);
        }
        let Some(message) = self.relay.renderer.value(&current, &sending) else { return Ok(false) };
        let picture = picture_of(&key, value);
        if let Some(picture) = picture.filter(|_| self.is_over_known_limit(message.payload.len() as u64)) {
            self.kept.fates.refused(picture);
            self.too_large(&message.topic, "the broker refused a smaller one");
            return Ok(false);
        }
        let first = !self.kept.retained.has(&message.topic);
        if let Content::Discovery(card) = &current.content
            && self.kept.retained.announces_deaf(
                key.source_no,
                &message.topic,
                self.relay.renderer.event_entities(card),
            )
        {
            // Until it is acknowledged nobody can hear this source's events (a new entity is deaf at first).
            self.lanes.hold(key.source_no, Instant::now() + ANNOUNCED);
        }
        if first {
            // Before it is acknowledged: a link that breaks in between may have left it there.
            self.change.retained.push((message.topic.clone(), Some(key.clone())));
        }
        self.values.sent(&key, value.version);
        if let Some(picture) = picture.filter(|_| !self.traits.one_per_source && self.fits(&message)) {
            self.kept.fates.sent(picture, None);
        }
        let flight =
            Flight::Value { key, version: value.version, topic: message.topic.clone(), picture, first };
        self.send(message, flight).await?;
        Ok(true)
    }

    fn fits(&self, message: &Message) -> bool {
        self.max_payload.is_none_or(|max| message.payload.len() <= max)
    }

    /// The size from which on pictures are refused, as found out lately.
    pub(super) fn known_limit(&self) -> Option<u64> {
        self.kept.learned.filter(|(_, at)| at.elapsed() < LEARNED).map(|(bytes, _)| bytes)
    }

    fn is_over_known_limit(&self, bytes: u64) -> bool {
        self.known_limit().is_some_and(|limit| limit <= bytes)
    }

    fn lateness(&self) -> Lateness {
        Lateness { after: self.relay.replay_after }
    }

    /// Hands a message to the sink and notes it as on its way.
    pub(super) async fn send(&mut self, message: Message, flight: Flight) -> Result<(), End> {
        if self.kept.poison.single() {
            self.all_landed().await?;
        }
        let stop = self.relay.stop.clone();
        let metrics = self.relay.status.metrics().clone();
        let (sent, bytes) = (Instant::now(), message.payload.len() as u64);
        let receipt = tokio::select! {
            receipt = self.relay.sink.send(message) => receipt.map_err(End::Down)?,
            // A window that stays full while stopping: what is left stays for the next start.
            () = async { stop.cancelled().await; tokio::time::sleep(self.relay.drain).await } => return Err(End::Stopped),
        };
        self.order += 1;
        metrics.bytes.inc_by(bytes);
        let timer = matches!(flight, Flight::Log { .. }).then(|| (metrics.publish_seconds.clone(), sent));
        self.flying.push(InFlight { flight: Some(flight), order: self.order, timer, receipt });
        Ok(())
    }

    /// Waits until nothing is on its way. What the far side says meanwhile is acted on later.
    async fn all_landed(&mut self) -> Result<(), End> {
        while !self.flying.is_empty() {
            tokio::select! {
                Some(landed) = self.flying.next() => self.landed(landed)?,
                notice = self.relay.sink.notice() => match notice {
                    Notice::Down(down) => return Err(End::Down(down)),
                    other => self.noted.push_back(other),
                },
                () = self.relay.stop.cancelled() => return Err(End::Stopped),
            }
        }
        Ok(())
    }
}

/// The picture a value carries.
fn picture_of(key: &ValueKey, value: &Value) -> Option<Uuid> {
    match &value.held {
        Held::Alarm(_, alarm) if key.what == What::Snapshot => alarm.snapshot.as_ref()?.picture,
        Held::Alarm(..) | Held::Text(_) => None,
    }
}
