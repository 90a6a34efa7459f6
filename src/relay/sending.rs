//! What a session sends: log entries, current values, and the notes it makes of what is on its way.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::block_in_place;
use tokio::time::Instant;
use uuid::Uuid;

use super::compose::{self, Lateness};
use super::flight::{Flight, InFlight};
use super::lanes::TURN;
use super::session::{End, Session, disk};
use crate::model::value::What;
use crate::outbox::{Entry, Held, Value, ValueKey};
use crate::render::{Message, Part, PictureFate, Sending};
use crate::sink::Sink;

/// A source whose announcement is not acknowledged waits no longer than this for it.
const ANNOUNCED: Duration = Duration::from_secs(5);

impl<S: Sink> Session<'_, S> {
    /// The turn of one source: its changed pictures, then some of its log.
    pub(super) async fn turn(&mut self, source_no: i64) -> Result<bool, End> {
        let mut sent = false;
        while let Some(key) = self.values.next_heavy(Some(source_no)) {
            sent |= self.send_value(key).await?;
            if sent && self.window == 1 {
                return Ok(true);
            }
        }
        if self.traits.one_per_source && self.values.busy(source_no) {
            return Ok(sent);
        }
        if let Some(after) = self.lanes.wants(source_no) {
            let entries = block_in_place(|| self.reader.entries_of(source_no, after, TURN))
                .map_err(|error| disk(&error))?;
            self.lanes.fill(source_no, entries);
        }
        let most = if self.traits.one_per_source || self.window == 1 { 1 } else { TURN };
        for _ in 0..most {
            let Some(entry) = self.lanes.peek(source_no) else { break };
            self.send_entry(&entry).await?;
            sent = true;
        }
        Ok(sent)
    }

    /// Sends the messages of one log entry.
    async fn send_entry(&mut self, entry: &Entry) -> Result<(), End> {
        if !entry.is_for(self.traits.name) {
            self.lanes.sent(entry.source_no, 0);
            return Ok(());
        }
        let picture = if self.relay.each_picture { self.picture_bytes(entry) } else { None };
        let sending = Sending {
            replayed: self.lateness().entry(entry, &self.relay.outbox),
            picture: self.kept.fates.of(compose::snapshot_of(&entry.record), self.max_payload),
        };
        let messages = self.relay.renderer.log(&compose::log_entry(entry, picture), &sending);
        self.lanes.sent(entry.source_no, messages.len());
        self.relay.status.update(|status| status.sent += 1);
        for message in messages {
            let picture = entry.picture().filter(|_| message.part == Part::Picture);
            let flight = Flight::Log {
                source_no: entry.source_no,
                no: entry.no,
                topic: message.topic.clone(),
                event: message.part == Part::Event,
                picture,
            };
            self.send(message, flight).await?;
        }
        Ok(())
    }

    fn picture_bytes(&self, entry: &Entry) -> Option<Bytes> {
        let picture = entry.picture()?;
        block_in_place(|| self.reader.pictures().read(picture)).ok()
    }

    /// Sends a current value as it stands now; says whether there was something to send.
    pub(super) async fn send_value(&mut self, key: ValueKey) -> Result<bool, End> {
        let found = block_in_place(|| self.reader.value(&key)).map_err(|error| disk(&error))?;
        let Some(value) = found else { return Ok(false) };
        self.send_this(key, &value).await
    }

    /// Sends a current value; says whether this sink carries it.
    pub(super) async fn send_this(&mut self, key: ValueKey, value: &Value) -> Result<bool, End> {
        let (lateness, max) = (self.lateness(), self.max_payload);
        let (fates, reader) = (&self.kept.fates, &mut self.reader);
        let composed = block_in_place(|| {
            compose::current_value(&key, value, reader, lateness, |snapshot| match (snapshot, max) {
                (Some(snapshot), Some(max)) if (max as u64) < snapshot.bytes => {
                    fates.of(Some(snapshot), Some(max))
                }
                _ => PictureFate::Sent,
            })
        });
        let Some((current, sending)) = composed else { return Ok(false) };
        if current.what == What::Discovery && !self.traits.discovery {
            return Ok(false);
        }
        let Some(message) = self.relay.renderer.value(&current, &sending) else { return Ok(false) };
        let picture = picture_of(&key, value);
        let first = !self.kept.retained.has(&message.topic);
        if first && key.what == What::Discovery && key.source_no != 0 {
            // Until it is acknowledged nobody can hear this source's events (a new entity is deaf at first).
            self.lanes.hold(key.source_no, Instant::now() + ANNOUNCED);
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

    fn lateness(&self) -> Lateness {
        Lateness { after: self.relay.replay_after }
    }

    /// Hands a message to the sink and notes it as on its way.
    pub(super) async fn send(&mut self, message: Message, flight: Flight) -> Result<(), End> {
        let stop = self.relay.stop.clone();
        let sent = Instant::now();
        let receipt = tokio::select! {
            receipt = self.relay.sink.send(message) => receipt.map_err(End::Down)?,
            // A window that stays full while stopping: what is left stays for the next start.
            () = async { stop.cancelled().await; tokio::time::sleep(self.relay.drain).await } => return Err(End::Stopped),
        };
        self.flying.push(InFlight { flight: Some(flight), sent, receipt });
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
