//! Reports: the position of a sink for the writer, and its backlog for its status.

use tokio::time::Instant;

use super::session::{REPORT_INTERVAL, RelaySession};
use crate::outbox::SinkChange;
use crate::sink::Sink;

/// Number of acknowledged messages that are reported without delay.
const REPORT_AFTER: u64 = 5_000;

impl<S: Sink> RelaySession<'_, S> {
    /// Reports to the writer if the interval has passed or enough was acknowledged.
    pub(super) async fn report_sometimes(&mut self) {
        let news = self.report.unreported != 0
            || !self.report.change.retained.is_empty()
            || !self.report.change.parked.is_empty();
        if news
            && (REPORT_INTERVAL <= self.report.last.elapsed()
                || REPORT_AFTER <= self.report.unreported
                || !self.report.change.parked.is_empty())
        {
            self.report_now().await;
        } else if REPORT_INTERVAL <= self.report.counted.elapsed() {
            self.count_backlog();
        }
    }

    /// Shows the number of entries left, also while nothing is acknowledged.
    fn count_backlog(&mut self) {
        let backlog = self.lanes.backlog();
        self.relay.status.update(|status| status.backlog = backlog);
        self.report.counted = Instant::now();
    }

    /// Advances the position to the last acknowledged entry.
    pub(super) fn note_position(&mut self) {
        let (low, ahead) = self.lanes.position();
        if self.progress.disk_unavailable {
            return;
        }
        let position = &mut self.state.position;
        position.log_low = position.log_low.max(low);
        position.ahead = ahead;
        position.value_low = position.value_low.max(self.values.low());
        position.trim();
    }

    /// Reports to the writer: position, retained topics, parked messages.
    pub(super) async fn report_now(&mut self) {
        self.note_position();
        if !self.progress.disk_unavailable {
            self.report.change.position = Some(self.state.position.clone());
        }
        let empty = SinkChange { sink: self.traits.name.into(), ..SinkChange::default() };
        let change = std::mem::replace(&mut self.report.change, empty);
        if self.relay.outbox.sink(change).await.is_err() {
            tracing::debug!("the writer is gone; the position of {} is not kept", self.traits.name);
        }
        self.report.last = Instant::now();
        self.report.unreported = 0;
        self.count_backlog();
        self.relay.status.update(|status| {
            status.delivered = self.state.position.delivered;
            status.dropped = self.state.position.dropped;
        });
    }
}
