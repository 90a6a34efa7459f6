//! The cluster as this instance sees it, for page, API and metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, ErrorCode};
use parking_lot::Mutex;

use super::Member;
use super::actions::PendingActions;
use super::brokers::{BrokerReach, Brokers};
use super::lease::Leases;
use super::link::JetStreamLink;
use super::members::{Members, Presence, compare_clocks};
use super::message::VERSION;
use crate::metrics::{ClusterMetrics, ObservedCluster};
use crate::model::cluster::{ClusterStatus, MemberStatus, PartitionStatus, StreamStatus};
use crate::outbox::WriterSettings;
use crate::sink::partition::Gate;

/// Interval at which the streams are checked.
const LOOK: Duration = Duration::from_secs(10);
/// Interval at which the positions in them are checked.
const STEP: Duration = Duration::from_secs(2);

/// State shared by the tasks of a member.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    prefix: String,
    /// Key that all instances share.
    key: String,
    lease_seconds: u64,
    pub(super) leases: Leases,
    pub(super) members: Members,
    pub(super) reach: BrokerReach,
    pub(super) actions: PendingActions,
    counts: ClusterMetrics,
    connected: AtomicBool,
    spool: AtomicU64,
    spool_oldest_seconds: AtomicU64,
    address: OnceLock<String>,
    settings: Arc<ArcSwap<WriterSettings>>,
    seen: Mutex<Seen>,
}

/// Latest state of the streams.
#[derive(Debug, Default)]
struct Seen {
    server: String,
    streams: Vec<StreamStatus>,
    /// Reports that wait for a decision, and records that are not taken over, by partition.
    waiting: BTreeMap<u64, (u64, u64)>,
    /// Positions of the sinks, by name and partition.
    positions: BTreeMap<u64, BTreeMap<String, u64>>,
}

impl Shared {
    /// Notes the size of the spool.
    pub(super) fn note_spool(&self, rows: u64, oldest_seconds: u64) {
        self.spool.store(rows, Ordering::Relaxed);
        self.spool_oldest_seconds.store(oldest_seconds, Ordering::Relaxed);
    }

    /// State that this instance publishes of itself.
    pub(super) fn presence(&self, findings: Vec<String>) -> Presence {
        Presence {
            v: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            address: self.address.get().cloned().unwrap_or_default(),
            settings: super::settings_hash(&self.settings.load()),
            webhooks: self.reach.webhooks(&self.key),
            owned: self.leases.owned(),
            caught_up: self.leases.is_caught_up(),
            spool: self.spool.load(Ordering::Relaxed),
            findings,
            cut_off: self.reach.cut_off(),
            reaches: if self.leases.holds_back() { BTreeSet::new() } else { self.reach.reached() },
        }
    }
}

/// The cluster as this instance sees it; a cheap handle.
#[derive(Debug, Clone)]
pub struct View(Arc<Shared>);

impl View {
    /// Before it is connected.
    pub(super) fn new(member: &Member) -> Self {
        let lease = member.config.lease_seconds;
        Self(Arc::new(Shared {
            name: member.name.clone(),
            prefix: member.config.prefix.clone(),
            key: member.common.snapshot_key.clone(),
            lease_seconds: lease,
            leases: Leases::new(Duration::from_secs(lease), member.config.partitions),
            members: Members::default(),
            reach: BrokerReach::default(),
            actions: PendingActions::default(),
            counts: member.counts.clone(),
            connected: AtomicBool::new(false),
            spool: AtomicU64::new(0),
            spool_oldest_seconds: AtomicU64::new(0),
            address: OnceLock::new(),
            settings: Arc::clone(&member.settings),
            seen: Mutex::default(),
        }))
    }

    /// State shared with the tasks of the cluster.
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Name of this instance.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Notes the address of the admin page.
    pub fn announce(&self, address: String) {
        drop(self.0.address.set(address));
    }

    /// Sets the connections to the brokers, once the relays run.
    pub fn watch(&self, brokers: Arc<dyn Brokers>) {
        self.0.reach.set(brokers);
    }

    /// The cluster as it is now.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        let shared = &self.0;
        let live = shared.members.live(Duration::from_secs(shared.lease_seconds));
        let seen = shared.seen.lock();
        let owner = |k: u64| {
            let own = shared.leases.owned().contains(&k).then(|| shared.name.clone());
            own.or_else(|| live.iter().find(|(_, of)| of.owned.contains(&k)).map(|(name, _)| name.clone()))
        };
        let partition = |(k, _)| {
            let (in_waiting, log_behind) = seen.waiting.get(&k).copied().unwrap_or_default();
            let positions = seen.positions.get(&k).cloned().unwrap_or_default();
            PartitionStatus { k, owner: owner(k), in_waiting, log_behind, positions }
        };
        ClusterStatus {
            instance: shared.name.clone(),
            prefix: shared.prefix.clone(),
            connected: shared.connected.load(Ordering::Relaxed),
            server_version: seen.server.clone(),
            spool: shared.spool.load(Ordering::Relaxed),
            spool_oldest_seconds: shared.spool_oldest_seconds.load(Ordering::Relaxed),
            members: live.iter().map(|(name, of)| member(name, of)).collect(),
            partitions: shared.leases.each().map(partition).collect(),
            streams: seen.streams.clone(),
        }
    }

    /// The values of the metrics.
    #[must_use]
    pub fn observe(&self) -> ObservedCluster {
        let status = self.status();
        ObservedCluster {
            connected: status.connected,
            owned: self.0.leases.owned().len() as u64,
            spool: status.spool,
            spool_oldest_seconds: status.spool_oldest_seconds,
            in_waiting: status.partitions.iter().map(|of| of.in_waiting).sum(),
            log_behind: status.partitions.iter().map(|of| of.log_behind).sum(),
            counts: self.0.counts.clone(),
        }
    }
}

/// Gate of what a partition brings.
#[derive(Debug)]
pub(super) struct PartitionGate {
    view: View,
    k: u64,
}

impl PartitionGate {
    /// State of a partition.
    pub(super) fn new(view: View, k: u64) -> Self {
        Self { view, k }
    }
}

impl Gate for PartitionGate {
    fn is_open(&self) -> bool {
        self.view.0.leases.each().any(|(k, lease)| k == self.k && lease.is_valid())
    }

    fn has_successor(&self) -> bool {
        let shared = &self.view.0;
        shared.members.has_other(&shared.name, Duration::from_secs(shared.lease_seconds))
    }
}

fn member(name: &str, of: &Presence) -> MemberStatus {
    MemberStatus {
        name: name.to_owned(),
        version: of.version.clone(),
        address: of.address.clone(),
        settings: of.settings.clone(),
        webhooks: of.webhooks.clone(),
        owned: of.owned.clone(),
        caught_up: of.caught_up,
        spool: of.spool,
        findings: of.findings.clone(),
        cut_off: of.cut_off.iter().cloned().collect(),
    }
}

/// Looks at the streams until one of them is gone.
pub(super) async fn run(member: &Member, link: &JetStreamLink, shared: &Shared) {
    let _connected = Connected::new(&shared.connected);
    let mut reader = member.outbox.reader();
    let mut streams_due = tokio::time::Instant::now();
    loop {
        if streams_due <= tokio::time::Instant::now() {
            streams_due = tokio::time::Instant::now() + LOOK;
            let mut streams = Vec::new();
            for stream in link.streams.all() {
                if is_gone(stream).await {
                    tracing::error!("the stream {} is gone", stream.cached_info().config.name);
                    return;
                }
                streams.push(survey(stream).await);
            }
            let mut seen = shared.seen.lock();
            seen.server = link.version();
            seen.streams = streams;
        }
        for (k, _) in shared.leases.each() {
            let Ok(applied) = reader.applied(k) else { continue };
            let applied = applied.unwrap_or_default();
            let input = link.end_of(&format!("in.{k}"), link.input(k)).await;
            let log = link.end_of(&format!("log.{k}"), link.log(k)).await;
            let (Some(input), Some(log)) = (input, log) else { continue };
            let mut positions = BTreeMap::new();
            for sink in &member.sinks {
                let value = link.states.get(format!("pos.{sink}.{k}")).await.ok().flatten();
                let at = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
                positions.extend(at.map(|at| (sink.clone(), at)));
            }
            let waiting = (input.saturating_sub(applied.input), log.saturating_sub(applied.log));
            let mut seen = shared.seen.lock();
            seen.waiting.insert(k, waiting);
            seen.positions.insert(k, positions);
        }
        shared.leases.pause(STEP).await;
        if shared.leases.leaving() {
            return std::future::pending().await;
        }
    }
}

/// Returns whether the servers say that there is no such stream.
async fn is_gone(stream: &Stream) -> bool {
    let info = tokio::time::timeout(Duration::from_secs(2), stream.get_info()).await;
    let error = info.ok().and_then(Result::err);
    let answer = error.as_ref().and_then(std::error::Error::source);
    let answer = answer.and_then(|answer| answer.downcast_ref::<jetstream::Error>());
    answer.is_some_and(|answer| answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// A stream as it is.
async fn survey(stream: &Stream) -> StreamStatus {
    let name = stream.cached_info().config.name.clone();
    let info = match tokio::time::timeout(Duration::from_secs(2), stream.get_info()).await {
        Ok(Ok(info)) => info,
        Ok(Err(error)) => {
            return StreamStatus { name, trouble: Some(error.to_string()), ..StreamStatus::default() };
        }
        Err(_) => {
            return StreamStatus {
                name,
                trouble: Some("it does not answer".into()),
                ..StreamStatus::default()
            };
        }
    };
    let cluster = info.cluster.unwrap_or_default();
    StreamStatus {
        name,
        messages: info.state.messages,
        bytes: info.state.bytes,
        last_sequence: info.state.last_sequence,
        replicas: info.config.num_replicas as u64,
        leader: cluster.leader,
        behind: cluster
            .replicas
            .iter()
            .filter(|peer| peer.offline || !peer.current)
            .map(|peer| peer.name.clone())
            .collect(),
        trouble: None,
    }
}

/// Says that there is a connection until it is dropped.
struct Connected<'a>(&'a AtomicBool);

impl<'a> Connected<'a> {
    fn new(connected: &'a AtomicBool) -> Self {
        connected.store(true, Ordering::Relaxed);
        Self(connected)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Says that this instance is there, compares the clocks, and gives partitions to instances that own fewer.
pub(super) async fn announce(member: &Member, link: &JetStreamLink, shared: &Shared) {
    let (leases, members) = (&shared.leases, &shared.members);
    let period = leases.period();
    loop {
        let key = format!("m.{}", member.name);
        if leases.leaving() {
            drop(link.leases.delete(key).await);
            return std::future::pending().await;
        }
        let findings = member.findings.list();
        let presence = shared.presence(findings.iter().map(|one| one.kind.code.to_string()).collect());
        let text = serde_json::to_vec(&presence).unwrap_or_default();
        let before = crate::host::now();
        let put = tokio::time::timeout(period / 4, link.leases.put(&key, text.into())).await;
        if matches!(put, Ok(Ok(_))) {
            members.note(&member.name, presence.clone());
            if let Ok(Ok(Some(entry))) = tokio::time::timeout(period / 4, link.leases.entry(key)).await {
                compare_clocks(member, before, entry.created.unix_timestamp_nanos());
            }
        }
        members.compare_settings(member, &presence, period);
        if members.is_unbalanced(&member.name, presence.owned.len(), period) {
            leases.give_one();
        }
        leases.pause(period / 4).await;
    }
}
