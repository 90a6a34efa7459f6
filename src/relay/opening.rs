//! How a session begins: everything small that is current, then `online`, then the token by which a broker that
//! lost its retained store gives itself away.

use tokio::task::block_in_place;

use super::flight::Flight;
use super::session::{End, Session, disk};
use super::values::is_heavy;
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
        if let Some(token) = self.token.take() {
            let message = self.relay.renderer.bridge_token(&token);
            let topic = message.topic.clone();
            self.send(message, Flight::Bridge { topic, token: Some(token) }).await?;
        }
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

    /// Sends every small value as it stands; queues the pictures that were not acknowledged (`opening` only).
    pub(super) async fn current_values(&mut self, opening: bool) -> Result<(), End> {
        let version = self.tip.borrow().version;
        let low = self.kept.position.value_low;
        let mut source_no = -1;
        loop {
            let page = block_in_place(|| self.reader.values_of_sources(source_no, PAGE))
                .map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { break };
            source_no = last.source_no;
            for (key, value) in page {
                if !is_heavy(&key) {
                    self.send_this(key, &value).await?;
                } else if opening && low < value.version {
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
            let page = block_in_place(|| self.reader.values_of_sources(source_no, PAGE))
                .map_err(|error| disk(&error))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            source_no = last.source_no;
            for (key, value) in page.into_iter().filter(|(key, _)| is_heavy(key)) {
                self.values.lost(key, value.version);
            }
        }
    }
}
