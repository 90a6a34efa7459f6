//! Receipts: acknowledgements and refusals of messages on their way.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use uuid::Uuid;

use super::flight::Flight;
use super::poison::{OffendingMessage, Suspect, Verdict};
use super::retained;
use super::session::{BROKEN_TIMEOUT, RelaySession, SessionEnd};
use super::values::is_heavy;
use crate::findings::FindingCode;
use crate::model::value::What;
use crate::render::MessagePart;
use crate::sink::{Outcome, Refusal, RefusalCode, Sink, SinkDown};

/// Pause before a message is sent again after the broker asked to retry later.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Time after its announcement during which a new Home Assistant entity has not subscribed yet and misses messages.
const SUBSCRIBE_TIME: Duration = Duration::from_secs(1);

impl<S: Sink> RelaySession<'_, S> {
    /// Processes all receipts that have arrived, without waiting.
    pub(super) fn collect_receipts(&mut self) -> Result<(), SessionEnd> {
        while let Some(Some(receipt)) = self.flights.waiting.next().now_or_never() {
            self.handle_receipt(receipt)?;
        }
        Ok(())
    }

    /// Processes the last receipts of a closed connection.
    pub(super) async fn last_receipts(&mut self) {
        let all = async {
            while let Some(receipt) = self.flights.waiting.next().await {
                // The session is over already.
                self.handle_receipt(receipt).ok();
            }
        };
        tokio::time::timeout(BROKEN_TIMEOUT, all).await.ok();
    }

    /// Records the unacknowledged messages at a connection loss. Returns the cause, if it is known to be a message.
    pub(super) fn broke(&mut self, down: &SinkDown) -> Option<SinkDown> {
        let in_flight = self
            .flights
            .waiting
            .iter_mut()
            .filter_map(|waiting| Some((waiting.order, waiting.flight.take()?)));
        let mut unsent: Vec<(u64, Flight)> = self.flights.unsent.drain(..).chain(in_flight).collect();
        unsent.sort_by_key(|(order, _)| *order);
        let unsent: Vec<Flight> = unsent
            .into_iter()
            .map(|(_, flight)| flight)
            .filter(|flight| !flight.topic().is_empty())
            .collect();
        for flight in &unsent {
            if let Flight::Value { picture: Some(picture), .. } = flight {
                self.state.picture_outcomes.unsent(*picture);
            }
        }
        let seen = self.state.poison.broke(&unsent, down);
        if let Some(OffendingMessage { flight, refusal }) = seen.offending_message {
            self.handle_offending(flight, &refusal);
        }
        seen.cause
    }

    /// Processes one receipt.
    pub(super) fn handle_receipt(
        &mut self,
        (flight, order, outcome): (Flight, u64, Option<Outcome>),
    ) -> Result<(), SessionEnd> {
        let Some(outcome) = outcome else {
            // The session ended before it came, so the message counts as unsent.
            self.flights.unsent.push((order, flight));
            self.link.broken.get_or_insert_with(Instant::now);
            return Ok(());
        };
        match outcome {
            Outcome::Delivered { object, heard } => {
                for suspect in self.state.poison.acknowledged(&flight) {
                    self.lanes.parked(suspect.source_no, suspect.no);
                    self.park(suspect);
                }
                self.delivered(flight, object, heard);
            }
            Outcome::Refused(refusal) => {
                self.state.poison.refused(flight.topic(), &refusal);
                self.refused(flight, &refusal);
            }
            Outcome::Later(reason) => self.send_later(flight, &reason),
            Outcome::Failed(failure) => self.failed(flight, &failure),
            Outcome::Skipped => self.skipped(flight),
        }
        Ok(())
    }

    fn delivered(&mut self, flight: Flight, object: Option<String>, heard: Option<bool>) {
        match flight {
            Flight::Log { source_no, no, topic, part, picture } => {
                tracing::debug!(sink.name = self.traits.name, log.no = no, topic, "acknowledged");
                if let Some(picture) = picture {
                    self.state.picture_outcomes.sent(picture, object);
                }
                self.lanes.acked(source_no, no);
                self.state.position.delivered += 1;
                self.report.unreported += 1;
                self.state.failing.accepted(no, Instant::now());
                self.no_longer_waits();
                self.no_longer_blocked();
                // Only events count: subscribers to events need not subscribe to activities and pictures.
                self.note_subscriber(no, &topic, heard.filter(|_| part == MessagePart::Event));
            }
            Flight::Value { key, version, topic, picture, first } => {
                self.values.answered(&key, version);
                self.report.unreported += 1;
                if let Some(picture) = picture {
                    self.state.picture_outcomes.sent(picture, object);
                }
                self.relay.findings.settle(FindingCode::ValueRefused, &topic);
                if !self.state.refusals.pictures.is_empty() {
                    self.state.refusals.pictures.remove(&key);
                }
                if !self.state.refusals.kinds.is_empty() {
                    self.state.refusals.kinds.remove(&key.what);
                }
                if !self.state.refusals.given_up.is_empty() {
                    self.state.refusals.given_up.remove(&key);
                }
                if key.what == What::Discovery && key.source_no != 0 {
                    self.lanes.release(key.source_no, Instant::now() + SUBSCRIBE_TIME);
                }
                if first {
                    self.state.retained.add(&topic, key.source_no);
                }
            }
            Flight::Gone { topic } => {
                self.state.retained.forget(&topic);
                self.state.retained.settled(&topic);
                self.report.change.retained.push((topic, None));
            }
            Flight::Removed { .. } => {}
            Flight::Bridge { topic, token } => {
                if token.is_some() {
                    self.state.position.token = token;
                    self.report.unreported += 1;
                }
                self.relay.findings.settle(FindingCode::ValueRefused, &topic);
                if !topic.is_empty() && !self.state.retained.has(&topic) {
                    self.state.retained.add(&topic, 0);
                    self.report.change.retained.push((topic, Some(retained::bridge_key())));
                }
            }
        }
    }

    /// Records that the sink does not send this message: it needs no acknowledgement, and ends no finding.
    fn skipped(&mut self, flight: Flight) {
        match flight {
            Flight::Log { source_no, no, part, .. } => {
                self.lanes.acked(source_no, no);
                self.report.unreported += 1;
                if part == MessagePart::Event {
                    self.state.failing.forget(no);
                    self.relay.status.left_out(no);
                }
            }
            Flight::Value { key, version, .. } => self.values.answered(&key, version),
            Flight::Gone { .. } | Flight::Bridge { .. } | Flight::Removed { .. } => {}
        }
    }

    /// Records whether events have a subscriber.
    fn note_subscriber(&mut self, no: i64, topic: &str, heard: Option<bool>) {
        let name = self.traits.name;
        self.relay.status.acknowledged(no, heard);
        match heard {
            Some(false) => {
                self.relay.findings.raise(
                    FindingCode::NobodyListens,
                    name,
                    &format!("the broker took a message for {topic}, and nobody subscribes to it"),
                );
            }
            Some(true) => self.relay.findings.settle(FindingCode::NobodyListens, name),
            None => {}
        }
    }

    /// Processes a refusal by the broker, or one that is certain in advance.
    pub(super) fn refused(&mut self, flight: Flight, refusal: &Refusal) {
        match flight {
            Flight::Log { source_no, no, topic, part: _, picture } => {
                self.state.failing.forget(no);
                match self.state.poison.decide_refused(source_no, no, &topic, refusal) {
                    // A separately published picture that is too large loses the picture, not the event.
                    Verdict::Park(_) if picture.is_some() && refusal.code == RefusalCode::TooLarge => {
                        self.lanes.acked(source_no, no);
                        self.too_large(&topic, &refusal.reason);
                    }
                    Verdict::Park(suspect) => {
                        self.lanes.acked(source_no, no);
                        self.park(suspect);
                    }
                    Verdict::Hold => self.lanes.hold_back(source_no, no),
                }
            }
            Flight::Value { key, version, topic, picture, .. } => {
                self.values.answered(&key, version);
                self.report.unreported += 1;
                self.state.refusals.kinds.insert(key.what);
                picture.into_iter().for_each(|picture| self.state.picture_outcomes.unsent(picture));
                if is_heavy(&key) && refusal.code == RefusalCode::TooLarge {
                    picture.into_iter().for_each(|picture| self.state.picture_outcomes.refused(picture));
                    self.too_large(&topic, &refusal.reason);
                } else {
                    if is_heavy(&key) {
                        self.state.refusals.pictures.insert(key.clone());
                    }
                    self.relay.findings.raise(
                        FindingCode::ValueRefused,
                        &topic,
                        &format!("{}: {}", topic, refusal.reason),
                    );
                }
                self.lanes.release(key.source_no, Instant::now());
            }
            Flight::Gone { topic } => {
                self.state.retained.settled(&topic);
                self.relay.findings.raise(
                    FindingCode::ValueRefused,
                    &topic,
                    &format!("{topic} cannot be emptied: {}", refusal.reason),
                );
            }
            Flight::Bridge { topic, .. } | Flight::Removed { topic } => {
                let detail = format!("{topic}: {}", refusal.reason);
                self.relay.findings.raise(FindingCode::ValueRefused, &topic, &detail);
            }
        }
    }

    /// Raises the finding of a picture that is too large.
    pub(super) fn too_large(&self, topic: &str, reason: &str) {
        let detail = format!("a picture for {topic} is not published, its event is: {reason}");
        self.relay.findings.raise(FindingCode::PictureTooLarge, topic, &detail);
    }

    /// Parks a message, so that later messages are sent.
    pub(super) fn park(&mut self, suspect: Suspect) {
        let Suspect { parking, .. } = suspect;
        let detail = format!("a message for {} was parked: {}", parking.topic, parking.reason);
        self.relay.findings.raise(FindingCode::Parked, self.traits.name, &detail);
        self.report.change.parked.push(parking);
        self.relay.status.update(|status| status.parked += 1);
        self.report.unreported += 1;
    }

    /// Queues a message to be sent again after a pause.
    pub(super) fn send_later(&mut self, flight: Flight, reason: &str) {
        tracing::debug!(sink.name = self.traits.name, "not taken now: {reason}");
        let until = Instant::now() + RETRY_DELAY;
        if !std::mem::replace(&mut self.link.busy, true) {
            self.relay.findings.raise(FindingCode::BrokerBusy, self.traits.name, reason);
            self.relay.status.update(|status| status.trouble = Some(reason.to_owned()));
        }
        match flight {
            Flight::Log { source_no, no, .. } => self.lanes.rewind(source_no, no, until),
            Flight::Value { key, version, .. } => {
                self.values.answered(&key, version);
                self.values.retry(key, version);
                self.pacing.values_wait = Some(until);
            }
            Flight::Gone { topic } => {
                self.pacing.empty_again.push(topic);
                self.pacing.values_wait = Some(until);
            }
            Flight::Bridge { token: None, .. } => {
                self.pacing.online_again = true;
                self.pacing.values_wait = Some(until);
            }
            Flight::Bridge { token: Some(_), .. } => {
                self.link.token = Some(self.link.marked.take_back());
                self.pacing.values_wait = Some(until);
            }
            // Its topic is emptied next, so the failed announcement has no effect.
            Flight::Removed { .. } => {}
        }
    }

    /// Derives a size limit, which the broker does not name, from a picture above it. Pictures of this size are not
    /// sent, so that they do not end the connection.
    fn learn_limit(&mut self, picture: Uuid) {
        self.state.picture_outcomes.refused(picture);
        let found = self.reader.pictures().read(picture);
        if let Ok(bytes) = found.map(|bytes| bytes.len() as u64) {
            let known = self.known_limit().unwrap_or(u64::MAX);
            self.state.learned_limit = Some((known.min(bytes), Instant::now()));
        }
    }

    /// Records that the broker accepts log messages again after it asked to retry later.
    fn no_longer_waits(&mut self) {
        if std::mem::take(&mut self.link.busy) {
            self.relay.findings.settle(FindingCode::BrokerBusy, self.traits.name);
            self.relay.status.update(|status| status.trouble = None);
        }
    }

    /// Records that log messages are accepted, so the sink is not blocked.
    fn no_longer_blocked(&mut self) {
        if std::mem::take(&mut self.state.blocked) {
            self.relay.findings.settle(FindingCode::SinkBlocked, self.traits.name);
            self.relay.status.update(|status| status.blocked = false);
        }
    }

    /// Processes a message for which the broker ended the connection without a refusing receipt. A log message is
    /// already set aside.
    fn handle_offending(&mut self, flight: Flight, refusal: &Refusal) {
        let permitted = refusal.code != RefusalCode::Permission;
        match flight {
            Flight::Log { topic, picture: Some(picture), .. } if permitted => {
                // Its event is sent and states that the picture is missing.
                self.learn_limit(picture);
                self.too_large(&topic, &refusal.reason);
            }
            Flight::Value { key, version, topic, picture, .. } => {
                if permitted {
                    self.state.refusals.given_up.insert(key.clone(), version);
                }
                if picture.is_none() || !permitted {
                    self.state.refusals.kinds.insert(key.what);
                }
                if let Some(picture) = picture.filter(|_| permitted) {
                    self.learn_limit(picture);
                    self.too_large(&topic, &refusal.reason);
                } else {
                    let detail = format!("{topic}: {}; it is not sent again for a while", refusal.reason);
                    self.relay.findings.raise(FindingCode::ValueRefused, &topic, &detail);
                }
            }
            Flight::Gone { topic } | Flight::Bridge { topic, .. } | Flight::Removed { topic } => {
                let detail = format!("{topic}: {}", refusal.reason);
                self.relay.findings.raise(FindingCode::ValueRefused, &topic, &detail);
            }
            Flight::Log { .. } => {}
        }
    }
}
