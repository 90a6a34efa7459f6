//! What became of messages that were on their way.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use uuid::Uuid;

use super::flight::Flight;
use super::poison::{Cutter, Suspect, Verdict};
use super::retained;
use super::session::{BROKEN, End, Session};
use super::values::is_heavy;
use crate::model::value::What;
use crate::outbox::Parking;
use crate::render::Part;
use crate::sink::{Outcome, Refusal, Sink, SinkDown};

/// A message that is not taken now is sent again after this.
const LATER: Duration = Duration::from_millis(500);
/// A new entity of Home Assistant hears nothing for so long after its announcement.
const DEAF: Duration = Duration::from_secs(1);

impl<S: Sink> Session<'_, S> {
    /// Takes every receipt that is there, without waiting.
    pub(super) fn collect_landed(&mut self) -> Result<(), End> {
        while let Some(Some(landed)) = self.flying.next().now_or_never() {
            self.landed(landed)?;
        }
        Ok(())
    }

    /// The link is gone, so every receipt is decided; those that came count.
    pub(super) async fn last_receipts(&mut self) {
        let all = async {
            while let Some(landed) = self.flying.next().await {
                // The session is over already; what else would end it changes nothing.
                self.landed(landed).ok();
            }
        };
        tokio::time::timeout(BROKEN, all).await.ok();
    }

    /// Notes what was on its way when the link broke.
    pub(super) fn broke(&mut self, down: &SinkDown) {
        let flying =
            self.flying.iter_mut().filter_map(|waiting| Some((waiting.order, waiting.flight.take()?)));
        let mut unsent: Vec<(u64, Flight)> = self.unsent.drain(..).chain(flying).collect();
        unsent.sort_by_key(|(order, _)| *order);
        let unsent: Vec<Flight> = unsent.into_iter().map(|(_, flight)| flight).collect();
        for flight in &unsent {
            if let Flight::Value { picture: Some(picture), .. } = flight {
                self.kept.fates.unsent(*picture);
            }
        }
        let too_large = (down.code == "message_too_large").then_some(down.reason.as_str());
        self.kept.poison.broke(&unsent, too_large);
    }

    /// Acts on one receipt.
    pub(super) fn landed(
        &mut self,
        (flight, order, outcome): (Flight, u64, Option<Outcome>),
    ) -> Result<(), End> {
        let Some(outcome) = outcome else {
            // The session ended before it came: unsent. What ended it is about to be noticed.
            self.unsent.push((order, flight));
            self.broken.get_or_insert_with(Instant::now);
            return Ok(());
        };
        match outcome {
            Outcome::Delivered { object, heard } => {
                self.kept.poison.passed();
                self.delivered(flight, object, heard);
            }
            Outcome::Refused(refusal) => self.refused(flight, &refusal)?,
            Outcome::Later(reason) => self.later(flight, &reason),
        }
        Ok(())
    }

    fn delivered(&mut self, flight: Flight, object: Option<String>, heard: Option<bool>) {
        match flight {
            Flight::Log { source_no, no, topic, part, picture } => {
                tracing::debug!(sink.name = self.traits.name, log.no = no, topic, "acknowledged");
                if let Some(picture) = picture {
                    self.kept.fates.sent(picture, object);
                }
                self.lanes.acked(source_no, no);
                self.kept.position.delivered += 1;
                self.untold += 1;
                for suspect in self.kept.poison.accepted() {
                    self.park(suspect);
                }
                self.no_longer_waits();
                // Only events count: whoever wants them need not want activities and pictures too.
                self.heard(no, &topic, heard.filter(|_| part == Part::Event));
            }
            Flight::Value { key, version, topic, picture, first } => {
                self.values.landed(&key, version);
                self.untold += 1;
                if let Some(picture) = picture {
                    self.kept.fates.sent(picture, object);
                }
                self.relay.findings.settle("value_refused", &topic);
                if !self.kept.refused.is_empty() {
                    self.kept.refused.remove(&key);
                }
                if key.what == What::Discovery && key.source_no != 0 {
                    self.lanes.release(key.source_no, Instant::now() + DEAF);
                }
                if first {
                    self.kept.retained.add(&topic);
                }
            }
            Flight::Gone { topic } => {
                self.kept.retained.forget(&topic);
                self.change.retained.push((topic, None));
            }
            Flight::Removed => {}
            Flight::Bridge { topic, token } => {
                if token.is_some() {
                    self.kept.position.token = token;
                    self.untold += 1;
                }
                if !topic.is_empty() && !self.kept.retained.has(&topic) {
                    self.kept.retained.add(&topic);
                    self.change.retained.push((topic, Some(retained::bridge_key())));
                }
            }
        }
    }

    /// Notes whether anybody subscribes to events.
    fn heard(&mut self, no: i64, topic: &str, heard: Option<bool>) {
        let name = self.traits.name;
        self.relay.status.acknowledged(no, heard);
        match heard {
            Some(false) => {
                self.relay.findings.raise(
                    "nobody_listens",
                    name,
                    &format!("the broker took a message for {topic}, and nobody subscribes to it"),
                );
            }
            Some(true) => self.relay.findings.settle("nobody_listens", name),
            None => {}
        }
    }

    fn refused(&mut self, flight: Flight, refusal: &Refusal) -> Result<(), End> {
        match flight {
            Flight::Log { source_no, no, topic, part: _, picture } => {
                match self.kept.poison.refused(source_no, no, &topic, refusal) {
                    // A picture that is published by itself and too large is a loss of the picture, not of the event.
                    Verdict::Park(_) if picture.is_some() && refusal.code == "too_large" => {
                        self.lanes.acked(source_no, no);
                        self.too_large(&topic, &refusal.reason);
                    }
                    Verdict::Park(suspect) => self.park(suspect),
                    Verdict::Suspect => {}
                    Verdict::Blocked => {
                        let reason = format!("every message is refused: {}", refusal.reason);
                        return Err(End::Blocked(SinkDown { code: "sink_blocked", reason }));
                    }
                }
            }
            Flight::Value { key, version, topic, picture, .. } => {
                self.values.landed(&key, version);
                self.untold += 1;
                picture.into_iter().for_each(|picture| self.kept.fates.unsent(picture));
                if is_heavy(&key) && refusal.code == "too_large" {
                    picture.into_iter().for_each(|picture| self.kept.fates.refused(picture));
                    self.too_large(&topic, &refusal.reason);
                } else {
                    if is_heavy(&key) {
                        self.kept.refused.insert(key.clone());
                    }
                    self.relay.findings.raise(
                        "value_refused",
                        &topic,
                        &format!("{}: {}", topic, refusal.reason),
                    );
                }
                self.lanes.release(key.source_no, Instant::now());
            }
            Flight::Gone { topic } => {
                self.relay.findings.raise(
                    "value_refused",
                    &topic,
                    &format!("{topic} cannot be emptied: {}", refusal.reason),
                );
            }
            Flight::Bridge { .. } | Flight::Removed => {
                let detail = format!("a topic of the bridge is refused: {}", refusal.reason);
                self.relay.findings.raise("value_refused", self.traits.name, &detail);
            }
        }
        Ok(())
    }

    /// Says that a picture is not published because of its size.
    pub(super) fn too_large(&self, topic: &str, reason: &str) {
        let detail = format!("a picture for {topic} is not published, its event is: {reason}");
        self.relay.findings.raise("picture_too_large", topic, &detail);
    }

    /// Sets a message aside for the rest to flow on.
    pub(super) fn park(&mut self, suspect: Suspect) {
        let Suspect { source_no, no, parking } = suspect;
        let detail = format!("a message for {} was parked: {}", parking.topic, parking.reason);
        self.relay.findings.raise("parked", self.traits.name, &detail);
        self.lanes.acked(source_no, no);
        self.change.parked.push(parking);
        self.relay.status.update(|status| status.parked += 1);
        self.untold += 1;
    }

    /// Sends something again after a while.
    fn later(&mut self, flight: Flight, reason: &str) {
        tracing::debug!(sink.name = self.traits.name, "not taken now: {reason}");
        let until = Instant::now() + LATER;
        if !std::mem::replace(&mut self.waits, true) {
            self.relay.findings.raise("broker_busy", self.traits.name, reason);
            self.relay.status.update(|status| status.trouble = Some(reason.to_owned()));
        }
        match flight {
            Flight::Log { source_no, no, .. } => self.lanes.rewind(source_no, no, until),
            Flight::Value { key, version, .. } => {
                self.values.landed(&key, version);
                self.values.retry(key, version);
                self.values_wait = Some(until);
            }
            Flight::Gone { topic } => {
                self.empty_again.push(topic);
                self.values_wait = Some(until);
            }
            Flight::Bridge { .. } | Flight::Removed => {}
        }
    }

    /// A picture is over a limit that the far side does not tell: the next one of its size need not cost the link.
    fn learn(&mut self, picture: Uuid) {
        self.kept.fates.refused(picture);
        let found = self.reader.pictures().read(picture);
        if let Ok(bytes) = found.map(|bytes| bytes.len() as u64) {
            let known = self.known_limit().unwrap_or(u64::MAX);
            self.kept.learned = Some((known.min(bytes), Instant::now()));
        }
    }

    /// Log messages are taken again.
    fn no_longer_waits(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.relay.findings.settle("broker_busy", self.traits.name);
            self.relay.status.update(|status| status.trouble = None);
        }
    }

    /// Parks the message that made the far side cut the link, once it is found out.
    pub(super) fn park_cutter(&mut self) -> Result<(), End> {
        let Some(Cutter { flight, code, reason }) = self.kept.poison.cutter() else { return Ok(()) };
        match flight {
            Flight::Log { source_no, no, topic, picture, .. } => {
                if let Some(picture) = picture {
                    // Its event goes out, and says so.
                    self.learn(picture);
                    self.too_large(&topic, &reason);
                    return Ok(());
                }
                self.read_ahead(source_no)?;
                if self.lanes.peek(source_no).is_some_and(|entry| entry.no == no) {
                    self.lanes.sent(source_no, 1);
                    self.park(Suspect {
                        source_no,
                        no,
                        parking: Parking { entry: no, topic, code: code.into(), reason },
                    });
                }
            }
            Flight::Value { key, version, topic, picture, .. } => {
                self.kept.given_up.insert(key, version);
                if let Some(picture) = picture {
                    self.learn(picture);
                    self.too_large(&topic, &reason);
                } else {
                    let detail = format!("{topic}: {reason}; it is tried again when it changes");
                    self.relay.findings.raise("value_refused", &topic, &detail);
                }
            }
            Flight::Gone { .. } | Flight::Bridge { .. } | Flight::Removed => {}
        }
        Ok(())
    }
}
