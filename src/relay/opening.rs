//! How a session begins: everything small that is current, then `online`, then the token by which a broker that
//! lost its retained store gives itself away.

use std::sync::Arc;

use super::flight::Flight;
use super::session::{End, Session, disk};
use super::values::is_heavy;
use crate::outbox::{Value, ValueKey};
use crate::sink::{Retained, Sink};

/// Values read at a time.
const PAGE: usize = 512;

impl<S: Sink> Session<'_, S> {
    /// Discovery and all small values, `online`, and the token.
    pub(super) async fn open(&mut self) -> Result<(), End> {
        if !self.traits.values {
            return Ok(());
        }
        self.load_retained().await?;
        self.current_values(true).await?;
        let online = self.relay.renderer.bridge_state(true);
        let topic = online.topic.clone();
        self.send(online, Flight::Bridge { topic, token: None }).await?;
        if self.relay.outbox.fresh()
            && let Some(filter) = self.relay.renderer.state_filter()
        {
            self.relay.sink.read_back(&filter).await.map_err(End::Down)?;
        }
        if self.retained == Retained::Lost {
            self.queue_lost_pictures()?;
        }
        Ok(())
    }

    /// Publishes this session's token once it is true that the broker holds everything: not before the verdict on the
    /// last one (it would be read back in its place), nor while pictures that were lost are still to be sent.
    pub(super) async fn send_token(&mut self) -> Result<bool, End> {
        if self.retained == Retained::Unknown || self.values.has_lost() {
            return Ok(false);
        }
        let Some(token) = self.token.take() else { return Ok(false) };
        let message = self.relay.renderer.bridge_token(&token);
        let topic = message.topic.clone();
        self.send(message, Flight::Bridge { topic, token: Some(token) }).await?;
        Ok(true)
    }

    /// Sends every small value as it stands; queues the pictures that were not acknowledged (`opening` only).
    pub(super) async fn current_values(&mut self, opening: bool) -> Result<(), End> {
        let version = self.tip.borrow().version;
        let low = self.kept.position.value_low;
        let mut source_no = -1;
        loop {
            let page = self.reader.values_of_sources(source_no, PAGE).map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { break };
            source_no = last.source_no;
            for (key, value) in page {
                if !is_heavy(&key) {
                    self.send_this(key, &value).await?;
                } else if opening && (low < value.version || self.kept.refused.contains(&key)) {
                    self.values.insert(key, value.version);
                }
            }
            self.collect_landed()?;
        }
        if opening {
            self.values.skip_to(version);
        }
        Ok(())
    }

    /// The broker forgot what was retained: all pictures again, latest first, when there is nothing else to do.
    pub(super) fn queue_lost_pictures(&mut self) -> Result<(), End> {
        let mut source_no = -1;
        loop {
            let page = self.reader.values_of_sources(source_no, PAGE).map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            source_no = last.source_no;
            let low = self.opened_at;
            // What is newer goes out in this session anyway.
            let lost = |(key, value): &(ValueKey, Arc<Value>)| is_heavy(key) && value.version <= low;
            for (key, value) in page.into_iter().filter(lost) {
                self.values.lost(key, value.version);
            }
        }
    }
}
