//! Rounds of sending, and the order within them.

use std::time::Duration;

use tokio::time::Instant;

use super::{RelaySession, SessionEnd, disk};
use crate::findings::FindingCode;
use crate::relay::STABLE_SESSION;
use crate::relay::poison::Sort;
use crate::relay::values::ValueLane;
use crate::sink::{Sink, SinkDown};

/// Maximum number of values sent in one round before the log.
const MAX_VALUES: usize = 256;
/// Interval at which a value that may end the connection is sent alone while there is something else to do.
pub(super) const ALONE_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time during which only the log is sent, after a session that a message ended.
const LOG_FIRST_TIME: Duration = Duration::from_secs(2);

impl<S: Sink> RelaySession<'_, S> {
    /// One round of sending. Returns whether anything was sent.
    pub(in crate::relay) async fn round(&mut self) -> Result<bool, SessionEnd> {
        if self.link.broken.is_some() {
            return Ok(false);
        }
        self.check_blocked()?;
        let isolating = self.state.poison.isolating();
        if isolating {
            if self.pacing.began.elapsed() < LOG_FIRST_TIME
                && self.state.poison.log_first()
                && let Some(sent) = self.log_turn().await?
            {
                return Ok(sent);
            }
            // If the broker ends the connection for a value, messages that it has must not be sent again.
            self.wait_for_receipts().await?;
        }
        let mut sent = self.small_values().await?;
        sent |= !sent && self.suspect_first().await?;
        if let Some(more) = self.log_turn().await? {
            sent |= more;
        } else {
            sent |= self.picture_or_token(sent).await?;
        }
        sent |= self.send_suspect(sent).await?;
        let everything_passed =
            !sent && !self.pacing.online_due && self.lanes.all_sent() && self.values.idle();
        if isolating && (everything_passed || STABLE_SESSION < self.pacing.began.elapsed()) {
            self.state.poison.end_search();
        }
        Ok(sent)
    }

    /// Sends one suspect before the log, in a session that sends values first and has no acknowledgement yet. Without
    /// an acknowledgement no message can be proven the cause, and the first log message may be it.
    async fn suspect_first(&mut self) -> Result<bool, SessionEnd> {
        let poison = &self.state.poison;
        if !poison.isolating() || poison.log_first() || poison.is_acknowledged() {
            return Ok(false);
        }
        let sent = self.value_alone().await?;
        self.wait_for_receipts().await?;
        Ok(sent)
    }

    /// Sends a suspect alone, and empties topics. `sent`: this round has sent another message.
    async fn send_suspect(&mut self, mut sent: bool) -> Result<bool, SessionEnd> {
        if !sent || self.pacing.alone_wait <= Instant::now() {
            sent |= self.value_alone().await?;
        }
        if !sent || !self.state.poison.isolating() {
            sent |= self.empty_topics().await?;
        }
        Ok(sent)
    }

    /// Gives the next source its turn; `None`: no source can send now.
    async fn log_turn(&mut self) -> Result<Option<bool>, SessionEnd> {
        if self.state.poison.is_full() {
            return Ok(None);
        }
        match self.failing_turn().await? {
            Some(false) => {}
            other => return Ok(other),
        }
        let values = &self.values;
        let next = self.lanes.next(Instant::now(), |source_no| values.busy(source_no));
        let Some(source_no) = next else { return Ok(None) };
        let turn = self.turn(source_no).await;
        self.lanes.done(source_no);
        let sent = turn?;
        if self.state.poison.isolating() && !self.traits.one_per_source {
            self.wait_for_receipts().await?;
        }
        Ok(Some(sent))
    }

    /// Sends the next picture or, if there is none, this session's token. `sent`: this round has sent another message.
    async fn picture_or_token(&mut self, sent: bool) -> Result<bool, SessionEnd> {
        if self.pacing.values_wait() {
            return Ok(false);
        }
        let lost = |values: &mut ValueLane| if sent { None } else { values.next_lost() };
        match self.values.next_heavy(None).or_else(|| lost(&mut self.values)) {
            Some(key) => self.send_value(key).await.map(|_| true),
            None => self.send_token().await,
        }
    }

    /// Sends small values that changed.
    async fn small_values(&mut self) -> Result<bool, SessionEnd> {
        let mut sent = false;
        if self.pacing.values_wait() {
            return Ok(false);
        }
        self.pacing.values_wait = None;
        if std::mem::take(&mut self.pacing.online_again) {
            self.online().await?;
            sent = true;
        }
        for _ in 0..MAX_VALUES {
            let Some(key) = self.values.next() else { break };
            sent |= self.send_value(key).await?;
        }
        Ok(sent)
    }

    /// Empties topics again where the broker did not accept it before.
    async fn empty_topics(&mut self) -> Result<bool, SessionEnd> {
        if self.pacing.values_wait.is_some() {
            return Ok(false);
        }
        if self.pacing.empty_again.is_empty() {
            return Ok(false);
        }
        // Topics that were published again in the meantime are not emptied.
        self.wait_for_receipts().await?;
        for topic in std::mem::take(&mut self.pacing.empty_again) {
            if self.state.retained.has(&topic) {
                self.state.retained.settled(&topic);
            } else {
                self.empty(topic).await?;
            }
        }
        Ok(true)
    }

    /// Sends one value that may end the connection, while no other message is unacknowledged. Values least similar to
    /// those that ended a session before any acknowledgement are sent first.
    async fn value_alone(&mut self) -> Result<bool, SessionEnd> {
        if self.pacing.values_wait() {
            return Ok(false);
        }
        for key in self.values.due(Instant::now()) {
            if let Some(value) = self.reader.value(&key).map_err(|error| disk(&error))? {
                self.values.insert_alone(key, value.version);
            }
        }
        let poison = &self.state.poison;
        let best = self.values.first_alone(|key| poison.failures(Sort::Value(key.what), key.source_no));
        let online_goes_first = best.is_none_or(|(failures, _)| poison.failures(Sort::Bridge, 0) <= failures);
        if self.pacing.online_due && online_goes_first {
            self.wait_for_receipts().await?;
            self.pacing.alone_wait = Instant::now() + ALONE_INTERVAL;
            return self.online_alone().await;
        }
        let Some((_, version)) = best else { return Ok(false) };
        self.wait_for_receipts().await?;
        let Some(key) = self.values.take(version) else { return Ok(false) };
        self.pacing.sends_alone = true;
        let sent = self.send_value(key).await;
        self.pacing.sends_alone = false;
        self.pacing.alone_wait = Instant::now() + ALONE_INTERVAL;
        sent.map(|_| true)
    }

    /// Ends the session if every log message is refused.
    fn check_blocked(&mut self) -> Result<(), SessionEnd> {
        let log_left = !self.lanes.all_sent() && !self.state.poison.is_full();
        if log_left || !self.flights.waiting.is_empty() {
            return Ok(());
        }
        match self.state.poison.blocked(!self.values.idle()) {
            None => Ok(()),
            Some(reason) => {
                let reason = format!("every message is refused: {reason}");
                Err(SessionEnd::Blocked(SinkDown { code: FindingCode::SinkBlocked, reason }))
            }
        }
    }
}
