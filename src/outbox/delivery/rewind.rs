//! Rewinds: moving a position back by hand, and the number of entries that a position leaves undelivered.

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;
use tokio::sync::oneshot;

use super::position::Position;
use super::sinks::PendingRewind;
use crate::outbox::command::Command;
use crate::outbox::reader::Reader;
use crate::outbox::shared::SharedState;
use crate::outbox::{Closed, ClusterAction, DeliveryChange, Outbox};

/// A sink could not be rewound.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// The bridge is stopping.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The disk cannot be read.
    #[error("the outbox cannot be read: {0}")]
    Disk(#[from] rusqlite::Error),
}

impl Outbox {
    /// Moves the position of a sink back: everything received since then is sent to it again, with the same ids.
    /// Returns the number of these log entries; `None`: there is no such sink.
    ///
    /// # Errors
    /// When the bridge is stopping, or the disk cannot be read.
    pub async fn rewind(&self, sink: &str, since: Timestamp) -> Result<Option<u64>, RewindError> {
        if !self.shared.positions().contains_key(sink) {
            return Ok(None);
        }
        let mut reader = self.reader();
        let read = tokio::task::spawn_blocking(move || reader.before(since)).await;
        let (low, count) = read.map_err(|_| Closed)??;
        if let Some(edge) = self.edge.get() {
            let change = DeliveryChange::Rewind(sink.to_owned(), since);
            return Ok(self.act(edge, ClusterAction::Delivery(change)).await?.then_some(count));
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Rewind { sink: sink.to_owned(), low, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        let known = answer.await.map_err(|_| Closed)?;
        Ok(known.then_some(count))
    }

    /// The last rewind of a sink: its number, counted from 1, and the position it moved to.
    pub(crate) fn rewound(&self, sink: &str) -> (u64, i64) {
        let rewind = self.shared.sinks().get(sink).map(|state| state.rewind).unwrap_or_default();
        (rewind.count, rewind.low)
    }
}

impl SharedState {
    /// Moves the position of a sink back. Returns the new one; `None`: there is no such sink.
    pub(crate) fn rewind(&self, sink: &str, low: i64) -> Option<Position> {
        let position = {
            let mut sinks = self.sinks();
            let state = sinks.get_mut(sink)?;
            let position = state.position.as_mut()?;
            position.rewind(low);
            state.rewind = PendingRewind { count: state.rewind.count + 1, low };
            position.clone()
        };
        self.floors_changed();
        Some(position)
    }
}

impl Reader {
    /// Number of entries up to a number that a sink has not acknowledged.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn left_until(&mut self, position: &Position, until: i64) -> rusqlite::Result<u64> {
        self.disk(|connection| {
            let sql = "SELECT no, source FROM entry WHERE no > ?1 AND no <= ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([position.log_low, until])?;
            let mut left = 0;
            while let Some(row) = rows.next()? {
                left += u64::from(position.of(row.get(1)?) < row.get(0)?);
            }
            Ok(left)
        })
    }

    /// The number just before the first entry received since a moment, and the number of entries after it.
    fn before(&mut self, since: Timestamp) -> rusqlite::Result<(i64, u64)> {
        self.disk(|connection| {
            let first = "SELECT no - 1 FROM entry WHERE at >= ?1 ORDER BY no LIMIT 1";
            let low = connection.query_row(first, [since.as_millisecond()], |row| row.get(0)).optional()?;
            let Some(low) = low else { return Ok((i64::MAX, 0)) };
            let count: i64 =
                connection.query_row("SELECT count(*) FROM entry WHERE no > ?1", [low], |row| row.get(0))?;
            Ok((low, count.unsigned_abs()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::findings::Findings;
    use crate::model::alarm::Reported;
    use crate::model::{Alarm, DeviceKind, EventName};
    use crate::outbox::{SinkChange, Submission, WriterSettings};

    fn alarm() -> Alarm {
        let device = Reported {
            mac: Some("98ba5f8b1003".parse().unwrap()),
            device_id: None,
            name: None,
            ip: None,
            vendor: "vigi".into(),
            kind: DeviceKind::Camera,
            channel: None,
            channel_name: None,
            model: None,
        };
        Alarm {
            event: EventName::new("person"),
            event_raw: "PEOPLE".into(),
            device,
            time_raw: None,
            count: None,
            regions: Vec::new(),
            boxes: Vec::new(),
            picture: None,
            details: serde_json::Map::new(),
            state: None,
            same: None,
            extra: serde_json::Map::new(),
            truncated: false,
        }
    }

    fn submission(at: Timestamp) -> Submission {
        Submission {
            id: uuid::Uuid::now_v7(),
            received_at: at,
            received: tokio::time::Instant::now(),
            peer: [127, 0, 0, 1].into(),
            webhook: "w".into(),
            zone: None,
            heard: Vec::new(),
            alarms: vec![alarm()],
            pictures: Vec::new(),
            request: None,
        }
    }

    #[tokio::test]
    async fn a_sink_goes_back_to_a_moment_and_no_further_forward() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.path = folder.path().to_owned();
        let outbox =
            Outbox::open(Arc::new(WriterSettings::new(&config)), Findings::default(), &["mqtt"]).unwrap();
        let now = crate::host::now();
        for minutes in [30, 20, 10] {
            outbox.append(submission(now - Duration::from_secs(60 * minutes))).await.unwrap();
        }
        let end = outbox.tip().borrow().no;
        let position = Position { log_low: end, ahead: [(1, end)].into(), ..Position::default() };
        let change = SinkChange { sink: "mqtt".into(), position: Some(position), ..SinkChange::default() };
        outbox.sink(change).await.unwrap();
        outbox.flush().await.unwrap();

        let since = |minutes: u64| now - Duration::from_secs(60 * minutes);
        assert_eq!(outbox.rewind("nats", since(25)).await.unwrap(), None, "there is no such sink");
        assert_eq!(outbox.rewind("mqtt", since(5)).await.unwrap(), Some(0), "nothing came since");
        assert_eq!((outbox.position("mqtt").log_low, outbox.rewound("mqtt").0), (end, 1));
        // The first alarm and the start of its activity stay behind.
        assert_eq!(outbox.rewind("mqtt", since(25)).await.unwrap(), Some(2));
        let position = outbox.position("mqtt");
        assert_eq!((position.log_low, position.ahead.len()), (end - 2, 0));
        assert_eq!(outbox.rewound("mqtt"), (2, end - 2));
        let left = outbox.reader().left_until(&position, end).unwrap();
        assert_eq!(left, 2);
        outbox.stop().await;
    }
}
