//! Positions of the sinks, as sequences of the log: written by the owner, followed by the others.

use std::collections::{BTreeMap, HashMap};

use super::Member;
use super::link::JetStreamLink;
use crate::outbox::{Position, Reader, SinkChange};

/// Positions last written.
#[derive(Debug, Default)]
pub(super) struct Positions(HashMap<String, u64>);

/// Name of a sink's position in a partition: that of the sink in the first one, so that it stays when there is a cluster.
#[must_use]
pub fn of_partition(sink: &str, k: u64) -> String {
    if k == 0 { sink.to_owned() } else { format!("{sink}.p{k}") }
}

/// Partition of a sink's position.
pub(super) fn partition_of_sink(sink: &str) -> u64 {
    sink.rsplit_once(".p").and_then(|(_, k)| k.parse().ok()).unwrap_or(0)
}

impl Positions {
    /// Writes the positions.
    pub(super) async fn save(&mut self, k: u64, member: &Member, link: &JetStreamLink, reader: &mut Reader) {
        for sink in &member.sinks {
            let position = member.outbox.position(&of_partition(sink, k));
            let Ok(Some(at)) = reader.applied_until(k, position.log_low) else { continue };
            if self.0.get(sink) == Some(&at.log) {
                continue;
            }
            let put = link.states.put(format!("pos.{sink}.{k}"), at.log.to_string().into()).await;
            if put.is_ok() {
                self.0.insert(sink.clone(), at.log);
            }
        }
    }

    /// Moves the sinks to the positions that were written.
    pub(super) async fn load(&mut self, k: u64, member: &Member, link: &JetStreamLink, reader: &mut Reader) {
        let mut moved = false;
        for sink in &member.sinks {
            let Ok(Some(entry)) = link.states.entry(format!("pos.{sink}.{k}")).await else { continue };
            let written = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok());
            let Some(written) = written else { continue };
            // Before the last record is read: all entries of this partition up to here are in records up to that one.
            let tip = *member.outbox.tip().borrow();
            let Ok(Some(at)) = reader.applied_at(k, written) else { continue };
            let last = reader.applied(k).ok().flatten().is_some_and(|last| last.log == at.log);
            let (log_low, value_low) = if last { (tip.no, tip.version) } else { (at.no, at.version) };
            let name = of_partition(sink, k);
            let here = member.outbox.position(&name);
            if here.log_low == log_low && here.ahead.is_empty() {
                continue;
            }
            let position = Position { log_low, value_low, ahead: BTreeMap::new(), ..here };
            let change = SinkChange { sink: name, position: Some(position), ..SinkChange::default() };
            moved = true;
            if member.outbox.sink(change).await.is_ok() && at.log == written {
                self.0.insert(sink.clone(), written);
            }
        }
        // A relay that begins now asks the writer where.
        if moved {
            member.outbox.flush().await.ok();
        }
    }
}
