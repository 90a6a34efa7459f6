//! Messages that failed, in a session: they are sent again in order, or set aside until it is known whether they are to
//! be parked.

use tokio::time::Instant;

use super::{AfterFailure, Failed};
use crate::findings::FindingCode;
use crate::relay::flight::Flight;
use crate::relay::session::{RelaySession, SessionEnd, disk};
use crate::sink::{Failure, Sink};

impl<S: Sink> RelaySession<'_, S> {
    /// Processes the failure of a log message.
    pub(in crate::relay) fn failed(&mut self, flight: Flight, failure: &Failure) {
        let Flight::Log { source_no, no, topic, .. } = &flight else {
            return self.send_later(flight, &failure.reason);
        };
        let (source_no, no, now) = (*source_no, *no, Instant::now());
        let failed = Failed { source_no, no, topic, elapsed: failure.elapsed };
        let after = self.state.failing.failed(failed, failure, now);
        tracing::debug!(sink.name = self.traits.name, log.no = no, "{}", failure.reason);
        match after {
            AfterFailure::Park(suspect) => {
                self.lanes.acked(source_no, no);
                self.park(suspect);
            }
            AfterFailure::SetAside => {
                self.lanes.hold_back(source_no, no);
                if !self.state.failing.works() {
                    self.waits_for(&failure.reason);
                }
            }
            AfterFailure::Pause(pause) => {
                let until = now + pause;
                self.send_in_order(until);
                self.lanes.rewind(source_no, no, until);
                self.waits_for(&failure.reason);
            }
        }
    }

    /// Raises the finding of a receiver that takes nothing for now.
    fn waits_for(&mut self, reason: &str) {
        self.link.busy = true;
        self.relay.findings.raise(FindingCode::BrokerBusy, self.traits.name, reason);
        self.relay.status.update(|status| status.trouble = Some(reason.to_owned()));
    }

    /// Sends messages set aside again in order, except those that later ones of their source overtook.
    fn send_in_order(&mut self, until: Instant) {
        for (source_no, no) in self.state.failing.aside() {
            if self.lanes.is_overtaken(source_no, no) {
                self.state.failing.stays_aside(no, until);
            } else {
                self.state.failing.back_in_order(no);
                self.lanes.rewind(source_no, no, until);
            }
        }
    }

    /// Sends a message set aside again if one is due. Returns true if there was one, and `None` if nothing is to be sent
    /// now.
    pub(in crate::relay) async fn failing_turn(&mut self) -> Result<Option<bool>, SessionEnd> {
        let now = Instant::now();
        if self.state.failing.waits(now) {
            return Ok(None);
        }
        if self.state.failing.round_is_over(now) {
            self.send_in_order(now);
        }
        let Some((source_no, no)) = self.state.failing.due(now) else { return Ok(Some(false)) };
        let found = self.reader.entries_of(source_no, no - 1, 1).map_err(|error| disk(&error))?;
        let Some(entry) = found.into_iter().find(|entry| entry.no == no) else {
            self.state.failing.forget(no);
            self.lanes.parked(source_no, no);
            return Ok(Some(true));
        };
        let messages = self.messages_of(&entry);
        self.lanes.send_again(source_no, no, messages.len());
        self.send_messages(&entry, messages).await?;
        Ok(Some(true))
    }
}
