//! What a session tells: the writer where its sink stands, and its status how far it is.

use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;
use crate::outbox::SinkChange;
use crate::sink::Sink;

/// The position is told to the writer at latest after this, which writes it at latest half a second later: a crash
/// sends less than a second again.
pub(super) const TELL: Duration = Duration::from_millis(250);
/// So many acknowledged messages are worth telling at once.
const TELL_AFTER: u64 = 5_000;

impl<S: Sink> Session<'_, S> {
    /// Tells the writer where the sink stands, now and then.
    pub(super) async fn tell_sometimes(&mut self) {
        let news = self.untold != 0 || !self.change.retained.is_empty() || !self.change.parked.is_empty();
        if news
            && (TELL <= self.told.elapsed() || TELL_AFTER <= self.untold || !self.change.parked.is_empty())
        {
            self.tell().await;
        }
    }

    /// Where the sink stands, by what was acknowledged.
    pub(super) fn note_position(&mut self) {
        let (low, ahead) = self.lanes.position();
        if self.blind {
            return;
        }
        let position = &mut self.kept.position;
        position.log_low = position.log_low.max(low);
        position.ahead = ahead;
        position.value_low = position.value_low.max(self.values.low());
        position.trim();
    }

    /// Tells the writer where the sink stands.
    pub(super) async fn tell(&mut self) {
        self.note_position();
        if !self.blind {
            self.change.position = Some(self.kept.position.clone());
        }
        let empty = SinkChange { sink: self.traits.name.into(), ..SinkChange::default() };
        let change = std::mem::replace(&mut self.change, empty);
        if self.relay.outbox.sink(change).await.is_err() {
            tracing::debug!("the writer is gone; the position of {} is not kept", self.traits.name);
        }
        self.told = Instant::now();
        self.untold = 0;
        let backlog = self.lanes.backlog();
        self.relay.status.update(|status| {
            status.backlog = backlog;
            status.delivered = self.kept.position.delivered;
            status.dropped = self.kept.position.dropped;
        });
    }
}
