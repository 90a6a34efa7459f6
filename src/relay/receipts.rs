//! What became of messages that were on their way.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::flight::Flight;
use super::poison::{Suspect, Verdict};
use super::session::{End, Session};
use super::values::is_heavy;
use crate::model::value::What;
use crate::outbox::Parking;
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

    /// Acts on one receipt.
    pub(super) fn landed(
        &mut self,
        (flight, _, outcome): (Flight, Instant, Option<Outcome>),
    ) -> Result<(), End> {
        let Some(outcome) = outcome else {
            // The session ended before it came: unsent. What ended it is about to be noticed.
            self.unsent.push(flight);
            self.broken.get_or_insert_with(Instant::now);
            return Ok(());
        };
        match outcome {
            Outcome::Delivered { object, heard } => self.delivered(flight, object, heard),
            Outcome::Refused(refusal) => self.refused(flight, &refusal)?,
            Outcome::Later(reason) => self.later(flight, &reason),
        }
        Ok(())
    }

    fn delivered(&mut self, flight: Flight, object: Option<String>, heard: Option<bool>) {
        match flight {
            Flight::Log { source_no, no, topic, event, picture } => {
                if let Some(picture) = picture {
                    self.kept.fates.sent(picture, object);
                }
                self.lanes.acked(source_no, no);
                self.kept.position.delivered += 1;
                self.untold += 1;
                for suspect in self.kept.poison.accepted() {
                    self.park(suspect);
                }
                if !self.kept.poison.single() && self.window == 1 {
                    self.window = 2;
                }
                // Who wants events need not want activities or pictures.
                self.heard(no, &topic, heard.filter(|_| event));
            }
            Flight::Value { key, version, topic, picture, first } => {
                self.values.landed(&key, version);
                self.untold += 1;
                if let Some(picture) = picture {
                    self.kept.fates.sent(picture, object);
                }
                self.relay.findings.settle("value_refused", &topic);
                if first {
                    if key.what == What::Discovery && key.source_no != 0 {
                        self.lanes.release(key.source_no, Instant::now() + DEAF);
                    }
                    self.kept.retained.add(&topic);
                    self.change.retained.push((topic, Some(key)));
                }
            }
            Flight::Gone { topic } => {
                self.kept.retained.forget(&topic);
                self.change.retained.push((topic, None));
            }
            Flight::Bridge { topic, token } => {
                if token.is_some() {
                    self.kept.position.token = token;
                    self.untold += 1;
                }
                if !self.kept.retained.has(&topic) {
                    self.kept.retained.add(&topic);
                    self.change.retained.push((topic, Some(super::retained::bridge_key())));
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
            Flight::Log { source_no, no, topic, picture, .. } => {
                match self.kept.poison.refused(source_no, no, &topic, refusal) {
                    // A picture that is published by itself and too large is a loss of the picture, not of the event.
                    Verdict::Park(_) if picture.is_some() && refusal.code == "too_large" => {
                        self.lanes.acked(source_no, no);
                        self.too_large(&topic, refusal);
                    }
                    Verdict::Park(suspect) => self.park(suspect),
                    Verdict::Suspect => {}
                    Verdict::Blocked => {
                        let reason = format!("every message is refused: {}", refusal.reason);
                        return Err(End::Blocked(SinkDown { code: "sink_blocked", reason }));
                    }
                }
            }
            Flight::Value { key, version, topic, .. } => {
                self.values.landed(&key, version);
                self.untold += 1;
                if is_heavy(&key) && refusal.code == "too_large" {
                    self.too_large(&topic, refusal);
                } else {
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
            Flight::Bridge { .. } => {
                let detail = format!("a topic of the bridge is refused: {}", refusal.reason);
                self.relay.findings.raise("value_refused", self.traits.name, &detail);
            }
        }
        Ok(())
    }

    fn too_large(&self, topic: &str, refusal: &Refusal) {
        let detail = format!("a picture for {topic} is not published, its event is: {}", refusal.reason);
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
        self.relay.status.update(|status| status.trouble = Some(reason.to_owned()));
        match flight {
            Flight::Log { source_no, no, .. } => self.lanes.rewind(source_no, no, until),
            Flight::Value { key, version, .. } => {
                self.values.landed(&key, version);
                self.values.retry(key, version);
                self.values_wait = Some(until);
            }
            Flight::Gone { .. } => self.gone_seen = u64::MAX,
            Flight::Bridge { .. } => {}
        }
    }

    /// Parks the message that made the far side cut the link, once it is found out.
    pub(super) fn park_cutter(&mut self) {
        let reason = "the broker cuts the link whenever this message is sent alone".to_owned();
        match self.kept.poison.cutter() {
            Some(Flight::Log { source_no, no, topic, .. }) => {
                let parking = Parking { entry: no, topic, code: "cuts_link".into(), reason };
                self.lanes.skip(source_no, no);
                self.park(Suspect { source_no, no, parking });
            }
            Some(Flight::Value { key, version, topic, .. }) => {
                self.values.give_up(&key, version);
                self.relay.findings.raise(
                    "value_refused",
                    &topic,
                    &format!("{topic}: {reason}; it is tried again when it changes"),
                );
            }
            _ => {}
        }
    }
}
