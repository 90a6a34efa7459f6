//! The instances of the cluster, as each says of itself in the bucket of leases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Member;
use super::link::JetStreamLink;
use crate::findings::FindingCode;

/// Pause after a bucket that could not be watched.
const AGAIN: Duration = Duration::from_secs(1);
/// Largest difference between the clock of an instance and that of the servers, in milliseconds.
const CLOCK: i64 = 2_000;

/// State that an instance publishes of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Presence {
    /// Newest version of messages and records that it reads.
    pub(super) v: u32,
    /// Version of the software.
    pub(super) version: String,
    /// Address of its admin page.
    pub(super) address: String,
    /// Hash of the settings that are to be equal.
    pub(super) settings: String,
    /// Hash of its webhooks.
    pub(super) webhooks: String,
    /// Partitions that it owns.
    pub(super) owned: Vec<u64>,
    /// It has read all decisions.
    pub(super) caught_up: bool,
    /// Reports in its spool.
    pub(super) spool: u64,
    /// Codes of its findings.
    pub(super) findings: Vec<String>,
    /// Brokers that it cannot reach.
    pub(super) cut_off: BTreeSet<String>,
    /// Brokers that its latest test reached, made while another owner is cut off.
    pub(super) reaches: BTreeSet<String>,
}

impl Presence {
    /// Returns whether it could own one more partition.
    fn is_able(&self) -> bool {
        self.caught_up && self.cut_off.is_empty()
    }
}

/// The instances that were heard of, with the time of it.
#[derive(Debug, Default)]
pub(super) struct Members(Mutex<BTreeMap<String, (Presence, Instant)>>);

impl Members {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Presence, Instant)>> {
        self.0.lock()
    }

    /// Instances heard of within a period.
    pub(super) fn live(&self, period: Duration) -> BTreeMap<String, Presence> {
        let all = self.lock();
        let live = all.iter().filter(|(_, (_, at))| at.elapsed() < period);
        live.map(|(name, (presence, _))| (name.clone(), presence.clone())).collect()
    }

    /// Fewest partitions that another instance owns which could own one more.
    fn fewest(&self, name: &str, period: Duration) -> Option<usize> {
        let live = self.live(period);
        let able = live.iter().filter(|(other, presence)| *other != name && presence.is_able());
        able.map(|(_, presence)| presence.owned.len()).min()
    }

    /// Returns whether another instance could own a partition.
    pub(super) fn has_other(&self, name: &str, period: Duration) -> bool {
        self.fewest(name, period).is_some()
    }

    /// Returns whether another instance owns fewer partitions, so that a free lease is its.
    pub(super) fn has_fewer(&self, name: &str, owned: usize, period: Duration) -> bool {
        self.fewest(name, period).is_some_and(|fewest| fewest < owned)
    }

    /// Returns whether one owned partition is to be given to another instance.
    pub(super) fn is_unbalanced(&self, name: &str, owned: usize, period: Duration) -> bool {
        self.fewest(name, period).is_some_and(|fewest| fewest + 2 <= owned)
    }

    /// Follows what the others say.
    pub(super) async fn follow(&self, link: &JetStreamLink) {
        loop {
            if let Ok(mut watch) = link.leases.watch_with_history("m.>").await {
                while let Some(Ok(entry)) = watch.next().await {
                    let Some(name) = entry.key.strip_prefix("m.") else { continue };
                    if entry.operation == Operation::Put {
                        let presence = serde_json::from_slice(&entry.value).unwrap_or_default();
                        self.note(name, presence);
                    } else {
                        self.lock().remove(name);
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Notes what an instance says of itself.
    pub(super) fn note(&self, name: &str, presence: Presence) {
        self.lock().insert(name.to_owned(), (presence, Instant::now()));
    }

    /// Raises a finding while another instance has other settings.
    pub(super) fn compare_settings(&self, member: &Member, own: &Presence, period: Duration) {
        let others = self.live(period);
        let other: Vec<&str> = others
            .iter()
            .filter(|(_, presence)| presence.settings != own.settings)
            .map(|(name, _)| name.as_str())
            .collect();
        if other.is_empty() {
            member.findings.settle(FindingCode::ClusterSettings, &member.config.prefix);
        } else {
            let detail = format!("the settings of {} differ from those of {}", other.join(", "), member.name);
            member.findings.raise(FindingCode::ClusterSettings, &member.config.prefix, &detail);
        }
    }
}

/// Raises a finding while the clock differs from that of the servers.
pub(super) fn compare_clocks(member: &Member, before: Timestamp, stored: i128) {
    let stored = i64::try_from(stored / 1_000_000).unwrap_or(0);
    let (before, after) = (before.as_millisecond(), crate::host::now().as_millisecond());
    let ahead = if stored < before { before - stored } else { stored.saturating_sub(after).max(0) };
    if CLOCK < ahead {
        let direction = if stored < before { "ahead of" } else { "behind" };
        let detail =
            format!("the clock of {} is {ahead} ms {direction} that of the NATS servers", member.name);
        member.findings.raise(FindingCode::ClusterClock, &member.config.prefix, &detail);
    } else {
        member.findings.settle(FindingCode::ClusterClock, &member.config.prefix);
    }
}
