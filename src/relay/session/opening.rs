//! Beginning of a session: all small values are sent, then `online`, then the token. A missing token shows that the
//! broker lost its retained messages.

use std::sync::Arc;

use super::{RelaySession, SessionEnd, disk};
use crate::outbox::{Mark, Value, ValueKey};
use crate::relay::flight::Flight;
use crate::relay::poison::Treatment;
use crate::relay::values::is_heavy;
use crate::sink::{Retained, Sink};

/// Values read at a time.
const PAGE: usize = 512;

impl<S: Sink> RelaySession<'_, S> {
    /// Sends discovery and all small values, `online`, and the token.
    pub(super) async fn open(&mut self) -> Result<(), SessionEnd> {
        if !self.traits.values {
            return Ok(());
        }
        self.load_retained()?;
        self.empty_stale().await?;
        self.current_values(true).await?;
        self.online().await?;
        if self.relay.outbox.fresh() {
            self.read_states_back().await?;
        }
        if self.link.retained == Retained::Lost {
            self.queue_lost_pictures()?;
        }
        Ok(())
    }

    /// Publishes `online`. After a session that a message ended, the log is sent first if `online` itself may be the
    /// cause.
    pub(in crate::relay) async fn online(&mut self) -> Result<(), SessionEnd> {
        let online = self.relay.renderer.bridge_state(true);
        let topic = online.topic.clone();
        let suspect = self.state.poison.treatment(&topic, false) != Treatment::Send;
        self.pacing.online_due = suspect && self.state.poison.isolating() && !self.pacing.sends_alone;
        if self.pacing.online_due {
            return Ok(());
        }
        self.send(online, Flight::Bridge { topic, token: None }).await
    }

    /// Publishes `online` while no other message awaits a receipt, if it is still due.
    pub(super) async fn online_alone(&mut self) -> Result<bool, SessionEnd> {
        if !self.pacing.online_due {
            return Ok(false);
        }
        self.pacing.sends_alone = true;
        let sent = self.online().await;
        self.pacing.sends_alone = false;
        sent.map(|()| true)
    }

    /// Publishes this session's token, which states that the broker holds all retained messages. It is sent after the
    /// last session's token was checked (which it would overwrite) and after lost pictures were sent again.
    pub(super) async fn send_token(&mut self) -> Result<bool, SessionEnd> {
        if self.link.retained == Retained::Unknown || self.values.has_lost() {
            return Ok(false);
        }
        let mark = self.relay.outbox.mark();
        let token = match self.link.token.take() {
            Some(token) => token,
            None if self.link.marked.is_due(mark) => self.link.marked.token.clone(),
            None => return Ok(false),
        };
        let text =
            mark.map_or_else(|| token.clone(), |mark| self.relay.sink.marked(&token, &mark.to_string()));
        if !self.link.marked.publishes(token, mark, &text) {
            return Ok(false);
        }
        let message = self.relay.renderer.bridge_token(&text);
        let topic = message.topic.clone();
        self.send(message, Flight::Bridge { topic, token: Some(text) }).await?;
        Ok(true)
    }

    /// Subscribes to the states that the broker retains, to set those without an ongoing activity to OFF.
    async fn read_states_back(&mut self) -> Result<(), SessionEnd> {
        let Some(filter) = self.relay.renderer.state_filter() else { return Ok(()) };
        self.relay.sink.read_back(&filter).await.map_err(SessionEnd::Down)
    }

    /// Compares the mark that the broker retains. If it is from a newer database, the broker may retain states that are
    /// unknown here.
    pub(super) async fn mark_found(&mut self, text: &str) -> Result<(), SessionEnd> {
        let Ok(mark) = text.parse::<Mark>() else { return Ok(()) };
        let behind = self.relay.outbox.seen(mark).await.map_err(|_| SessionEnd::Stopped)?;
        if behind { self.read_states_back().await } else { Ok(()) }
    }

    /// Sends every small value and queues pictures. During `opening` only pictures without acknowledgement are queued.
    /// After a session that a message ended, all values are queued.
    pub(super) async fn current_values(&mut self, opening: bool) -> Result<(), SessionEnd> {
        let version = self.progress.tip.borrow().version;
        let low = self.state.position.value_low;
        let mut source_no = -1;
        loop {
            let page = self.reader.values_of_sources(source_no, PAGE).map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { break };
            source_no = last.source_no;
            for (key, value) in page {
                if !self.reader.has(key.source_no) {
                    continue;
                }
                if !is_heavy(&key) && opening && self.state.poison.isolating() {
                    // The broker may end the connection for this value, so the log is sent first.
                    self.values.insert(key, value.version);
                } else if !is_heavy(&key) {
                    self.send_this(key, &value).await?;
                } else if opening && (low < value.version || self.state.refusals.pictures.contains(&key)) {
                    self.values.insert(key, value.version);
                }
            }
            self.collect_receipts()?;
        }
        if opening {
            self.values.skip_to(version);
        }
        Ok(())
    }

    /// Queues all pictures for a broker that lost its retained messages. They are sent when nothing else is left,
    /// latest first.
    pub(super) fn queue_lost_pictures(&mut self) -> Result<(), SessionEnd> {
        let mut source_no = -1;
        loop {
            let page = self.reader.values_of_sources(source_no, PAGE).map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            source_no = last.source_no;
            let low = self.progress.values_before;
            // Newer pictures are sent in this session anyway.
            let lost = |(key, value): &(ValueKey, Arc<Value>)| is_heavy(key) && value.version <= low;
            for (key, value) in page.into_iter().filter(lost) {
                if self.reader.has(key.source_no) {
                    self.values.lost(key, value.version);
                }
            }
        }
    }
}
