//! A sink's position moved back by hand, and what a position leaves undelivered.

use std::sync::PoisonError;

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;
use tokio::sync::oneshot;

use super::command::Command;
use super::position::Position;
use super::reader::Reader;
use super::shared::Shared;
use super::{Closed, Outbox};

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
    /// Moves a sink's position back: everything received since then is sent to it again, with the same ids. Says how
    /// many log entries that are; `None`: there is no such sink.
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
        let (reply, answer) = oneshot::channel();
        let command = Command::Rewind { sink: sink.to_owned(), low, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        let known = answer.await.map_err(|_| Closed)?;
        Ok(known.then_some(count))
    }

    /// The last rewind of a sink: which one it was, counted from 1, and to where.
    pub(crate) fn rewound(&self, sink: &str) -> (u64, i64) {
        let rewinds = self.shared.rewinds.lock().unwrap_or_else(PoisonError::into_inner);
        rewinds.get(sink).copied().unwrap_or_default()
    }
}

impl Shared {
    /// A sink is to go back to a number; where it stands then. `None`: there is no such sink.
    pub(super) fn rewind(&self, sink: &str, low: i64) -> Option<Position> {
        let mut position = self.positions().remove(sink)?;
        position.rewind(low);
        self.position(sink, &position);
        let mut rewinds = self.rewinds.lock().unwrap_or_else(PoisonError::into_inner);
        let rewind = rewinds.entry(sink.to_owned()).or_default();
        *rewind = (rewind.0 + 1, low);
        drop(rewinds);
        self.floors_changed();
        Some(position)
    }
}

impl Reader {
    /// How many entries up to a number a sink has not had acknowledged.
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

    /// The number just before the first entry received since a moment, and how many entries come after it.
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
    use crate::outbox::{Settings, SinkChange, Submission};

    fn alarm() -> Alarm {
        let device = Reported {
            mac: Some("98ba5f8b1003".parse().unwrap()),
            device_id: None,
            name: None,
            ip: None,
            vendor: "vigi",
            kind: DeviceKind::Camera,
            channel: None,
            channel_name: None,
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
        let outbox = Outbox::open(Arc::new(Settings::new(&config)), Findings::default(), &["mqtt"]).unwrap();
        let now = Timestamp::now();
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
