//! Sends log entries and current values as messages.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::compose::{self, Lateness};
use super::flight::{Flight, InFlight};
use super::lanes::TURN;
use super::poison::{Meeting, Treatment};
use super::session::{BROKEN_TIMEOUT, RelaySession, SessionEnd, disk};
use super::values::is_heavy;
use crate::findings::FindingCode;
use crate::model::Record;
use crate::model::picture::variant::PictureForm;
use crate::model::record::SnapshotRecord;
use crate::model::value::{Content, What};
use crate::outbox::{Entry, Value, ValueContent, ValueKey};
use crate::render::{Message, MessagePart, PictureFate, Sending};
use crate::sink::{Notice, Sink, SinkDown};

/// Maximum time that a source waits for the acknowledgement of its device announcement.
const ANNOUNCEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which a learned size limit is dropped, since the broker's limit may have been raised.
const LEARNED_LIMIT_AGE: Duration = Duration::from_secs(600);

impl<S: Sink> RelaySession<'_, S> {
    /// Sends the changed pictures of one source, then part of its log.
    pub(super) async fn turn(&mut self, source_no: i64) -> Result<bool, SessionEnd> {
        let mut sent = false;
        if self.traits.one_per_source && self.pacing.values_wait() {
            // An event is not sent before the values that belong to it.
            return Ok(false);
        }
        while !self.pacing.values_wait()
            && let Some(key) = self.values.next_heavy(Some(source_no))
        {
            // Events state whether their picture is published, so a picture that may end the connection is sent first.
            self.pacing.sends_alone =
                self.state.poison.isolating() && !self.state.refusals.kinds.contains(&key.what);
            let tried = self.send_value(key).await;
            self.pacing.sends_alone = false;
            sent |= tried?;
        }
        if self.traits.one_per_source && self.values.busy(source_no) {
            return Ok(sent);
        }
        self.read_ahead(source_no)?;
        let most = if self.traits.one_per_source { 1 } else { TURN };
        for _ in 0..most {
            if self.state.poison.is_full() {
                break;
            }
            let Some(entry) = self.lanes.peek(source_no) else { break };
            self.send_entry(&entry).await?;
            sent = true;
        }
        Ok(sent)
    }

    /// Reads entries of a source, if none is read ahead.
    pub(super) fn read_ahead(&mut self, source_no: i64) -> Result<(), SessionEnd> {
        if let Some(after) = self.lanes.wants(source_no) {
            let most = if self.traits.one_per_source { self.lanes.room() } else { TURN };
            let entries = self.reader.entries_of(source_no, after, most).map_err(|error| disk(&error))?;
            self.lanes.fill(source_no, entries);
        }
        Ok(())
    }

    /// Sends the messages of one log entry.
    async fn send_entry(&mut self, entry: &Entry) -> Result<(), SessionEnd> {
        if !entry.is_for(self.traits.name) {
            self.lanes.sent(entry.source_no, 0);
            return Ok(());
        }
        if self.state.failing.sets_aside(entry.no, Instant::now()) {
            self.lanes.sent(entry.source_no, 1);
            self.lanes.hold_back(entry.source_no, entry.no);
            return Ok(());
        }
        let messages = self.messages_of(entry);
        self.lanes.sent(entry.source_no, messages.len());
        self.relay.status.update(|status| status.sent += 1);
        self.send_messages(entry, messages).await
    }

    /// Renders the messages of one log entry.
    pub(super) fn messages_of(&mut self, entry: &Entry) -> Vec<Message> {
        let picture = if self.relay.each_picture { self.picture_bytes(entry) } else { None };
        if let Some(snapshot) = compose::snapshot_of(&entry.record)
            && let Some(picture) = snapshot.picture.filter(|_| self.is_over_known_limit(snapshot.bytes))
        {
            self.state.picture_outcomes.refused(picture);
        }
        let sending = Sending {
            replayed: self.lateness().entry(entry, &self.relay.outbox),
            picture: self
                .state
                .picture_outcomes
                .of(compose::snapshot_of(&entry.record), self.link.max_payload),
        };
        let mut messages = self.variants(entry);
        messages.extend(self.relay.renderer.log(&compose::log_entry(entry, picture), &sending));
        messages
    }

    /// Sends messages of one log entry.
    pub(super) async fn send_messages(
        &mut self,
        entry: &Entry,
        messages: Vec<Message>,
    ) -> Result<(), SessionEnd> {
        tracing::debug!(
            sink.name = self.traits.name, alarm.id = %entry.record.id(), log.no = entry.no, "sending"
        );
        for mut message in messages {
            message.replay_of = entry.is_replay().then_some(entry.no);
            let picture = entry.picture().filter(|_| message.part == MessagePart::Picture);
            let flight = Flight::Log {
                source_no: entry.source_no,
                no: entry.no,
                topic: message.topic.clone(),
                part: message.part,
                picture,
            };
            match self.state.poison.decide(entry.no, &message.topic) {
                Meeting::Unknown => self.send(message, flight).await?,
                Meeting::Hold => self.lanes.hold_back(entry.source_no, entry.no),
                Meeting::Park(suspect) => {
                    self.lanes.acked(entry.source_no, entry.no);
                    self.park(suspect);
                }
            }
        }
        Ok(())
    }

    /// Variants of an entry's picture, where this sink is set to publish them.
    fn variants(&self, entry: &Entry) -> Vec<Message> {
        let Record::Alarm(alarm) = &entry.record else { return Vec::new() };
        let make = |form: &PictureForm| match self.reader.pictures().variant(alarm, (*form).into()) {
            Ok(bytes) => bytes.map(|bytes| self.relay.renderer.variant(alarm, *form, bytes)),
            Err(error) => {
                let detail = format!("{} of alarm {} is not published: {error}", form.as_str(), alarm.id);
                self.relay.findings.raise(FindingCode::PictureNotDrawn, alarm.source.as_str(), &detail);
                None
            }
        };
        self.relay.pictures.iter().filter_map(make).collect()
    }

    fn picture_bytes(&self, entry: &Entry) -> Option<Bytes> {
        let picture = entry.picture()?;
        self.reader.pictures().read(picture).ok()
    }

    /// Sends the newest version of a value. Returns whether there was one to send.
    pub(super) async fn send_value(&mut self, key: ValueKey) -> Result<bool, SessionEnd> {
        let found = self.reader.value(&key).map_err(|error| disk(&error))?;
        let Some(value) = found else { return Ok(false) };
        self.send_this(key, &value).await
    }

    /// Sends a value. Returns whether this sink carries it.
    pub(super) async fn send_this(&mut self, key: ValueKey, value: &Value) -> Result<bool, SessionEnd> {
        if self.state.refusals.given_up.get(&key) == Some(&value.version) {
            return Ok(false);
        }
        let (lateness, max) = (self.lateness(), self.link.max_payload);
        let (outcomes, reader) = (&self.state.picture_outcomes, &mut self.reader);
        let fate = |snapshot: Option<&SnapshotRecord>| match (snapshot, max) {
            (Some(snapshot), Some(max)) if (max as u64) < snapshot.bytes => {
                outcomes.of(Some(snapshot), Some(max))
            }
            _ => PictureFate::Sent,
        };
        let composed = compose::current_value(&key, value, reader, &self.relay.renderer, lateness, fate);
        let Some((current, sending)) = composed else { return Ok(false) };
        if current.what == What::Discovery && !self.traits.discovery {
            return Ok(false);
        }
        let Some(message) = self.relay.renderer.value(&current, &sending) else { return Ok(false) };
        if !self.may_be_sent(&key, value.version, &message.topic) {
            return Ok(false);
        }
        let picture = picture_of(&key, value);
        if let Some(picture) = picture.filter(|_| self.is_over_known_limit(message.payload.len() as u64)) {
            self.state.picture_outcomes.refused(picture);
            self.too_large(&message.topic, "the broker refused a smaller one");
            return Ok(false);
        }
        let first = !self.state.retained.has_of(&message.topic, key.source_no);
        if let Content::Discovery(card) = &current.content
            && self.state.retained.announces_deaf(
                key.source_no,
                &message.topic,
                self.relay.renderer.event_entities(card),
            )
        {
            // Until the announcement is acknowledged, Home Assistant is not subscribed to this source's events.
            self.lanes.hold(key.source_no, Instant::now() + ANNOUNCEMENT_TIMEOUT);
        }
        if first {
            // The topic is recorded before the acknowledgement, because the broker may retain the message even if the
            // connection breaks in between.
            self.report.change.retained.push((message.topic.clone(), Some(key.clone())));
        }
        self.values.sent(&key, value.version);
        if let Some(picture) = picture.filter(|_| !self.traits.one_per_source && self.fits(&message)) {
            self.state.picture_outcomes.sent(picture, None);
        }
        let flight =
            Flight::Value { key, version: value.version, topic: message.topic.clone(), picture, first };
        self.send(message, flight).await?;
        Ok(true)
    }

    /// Returns whether a value is to be sent now; otherwise it waits for its turn.
    fn may_be_sent(&mut self, key: &ValueKey, version: i64, topic: &str) -> bool {
        let last = self.state.poison.isolating() && self.state.refusals.kinds.contains(&key.what);
        match self.state.poison.treatment(topic, false) {
            Treatment::Wait(until, _) => {
                if is_heavy(key) {
                    self.state.refusals.pictures.insert(key.clone());
                }
                self.values.postpone(key.clone(), until);
                false
            }
            Treatment::Send if !last => true,
            Treatment::Send | Treatment::Alone if self.pacing.sends_alone => true,
            Treatment::Send | Treatment::Alone => {
                self.values.insert_alone(key.clone(), version);
                false
            }
        }
    }

    fn fits(&self, message: &Message) -> bool {
        self.link.max_payload.is_none_or(|max| message.payload.len() <= max)
    }

    /// Size from which on pictures are refused, as learned recently.
    pub(super) fn known_limit(&self) -> Option<u64> {
        self.state.learned_limit.filter(|(_, at)| at.elapsed() < LEARNED_LIMIT_AGE).map(|(bytes, _)| bytes)
    }

    fn is_over_known_limit(&self, bytes: u64) -> bool {
        self.known_limit().is_some_and(|limit| limit <= bytes)
    }

    fn lateness(&self) -> Lateness {
        Lateness { after: self.relay.replay_after }
    }

    /// Hands a message to the sink; from then on it awaits its receipt.
    pub(super) async fn send(&mut self, message: Message, flight: Flight) -> Result<(), SessionEnd> {
        let log = matches!(flight, Flight::Log { .. });
        let treatment = self.state.poison.treatment(&message.topic, log);
        if let Treatment::Wait(_, refusal) = &treatment
            && message.replay_of.is_none()
        {
            // The broker would refuse it and end the connection.
            self.refused(flight, refusal);
            return Ok(());
        }
        let alone = self.pacing.sends_alone || treatment != Treatment::Send;
        if std::mem::replace(&mut self.flights.alone, alone) || alone {
            self.wait_for_receipts().await?;
        }
        let stop = self.relay.stop.clone();
        let metrics = self.relay.status.metrics().clone();
        let (sent, bytes) = (Instant::now(), message.payload.len() as u64);
        let receipt = tokio::select! {
            biased;
            receipt = self.relay.sink.send(message) => receipt.map_err(SessionEnd::Down)?,
            // The send window stays full while stopping: the remaining messages are sent after the next start.
            () = async { stop.cancelled().await; tokio::time::sleep(self.relay.drain).await } => return Err(SessionEnd::Stopped),
        };
        self.flights.sent += 1;
        metrics.bytes.inc_by(bytes);
        let timer = matches!(flight, Flight::Log { .. }).then(|| (metrics.publish_seconds.clone(), sent));
        self.flights.waiting.push(InFlight {
            flight: Some(flight),
            order: self.flights.sent,
            timer,
            receipt,
        });
        Ok(())
    }

    /// Waits until every message has its receipt. Notices of the sink are stored for later.
    pub(super) async fn wait_for_receipts(&mut self) -> Result<(), SessionEnd> {
        while !self.flights.waiting.is_empty() {
            tokio::select! {
                biased;
                Some(receipt) = self.flights.waiting.next() => self.handle_receipt(receipt)?,
                notice = self.relay.sink.notice() => match notice {
                    Notice::Down(down) => return Err(SessionEnd::Down(down)),
                    other => self.link.pending_notices.push_back(other),
                },
                () = self.relay.stop.cancelled() => return Err(SessionEnd::Stopped),
            }
        }
        if self.link.broken.is_some() { Err(self.wait_for_reason().await) } else { Ok(()) }
    }

    /// Waits for the sink's reason for a connection loss. Nothing is sent meanwhile, since it would be taken for the
    /// cause.
    async fn wait_for_reason(&mut self) -> SessionEnd {
        let said = async {
            loop {
                if let Notice::Down(down) = self.relay.sink.notice().await {
                    return down;
                }
            }
        };
        let silent = || SinkDown { code: FindingCode::BrokerUnreachable, reason: "the link broke".into() };
        SessionEnd::Down(tokio::time::timeout(BROKEN_TIMEOUT, said).await.unwrap_or_else(|_| silent()))
    }
}

/// Picture of a value.
fn picture_of(key: &ValueKey, value: &Value) -> Option<Uuid> {
    match &value.held {
        ValueContent::Alarm(_, alarm) if key.what == What::Snapshot => alarm.snapshot.as_ref()?.picture,
        ValueContent::Alarm(..) | ValueContent::Text(_) => None,
    }
}
