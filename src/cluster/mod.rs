//! Several instances, one result: each takes alarms, one decides, all know what was decided, one publishes.
//!
//! 1. A report goes to the spool and is answered (`edge`); from there its pictures and then the report go to JetStream,
//!    each alarm to the partition of its device.
//! 2. The owner of a partition's lease (`lease`) reads the reports in order, decides (`owner`), and publishes each
//!    decision as a record.
//! 3. Every instance reads the records in order and takes them over in its outbox (`partition`). A record counts only
//!    if it names the last one that counts as the one before it, so that of two owners one is void for everybody.
//! 4. Relays run at the owner alone. Where they are is kept in the bucket of states (`positions`).
//! 5. Instances say in the bucket of leases that they are there (`members`), so that each owns its share, and which
//!    brokers they reach (`brokers`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod actions;
mod admin;
mod brokers;
mod common;
pub mod doctor;
mod edge;
pub mod key;
mod known;
mod lease;
mod left;
mod link;
mod members;
mod message;
mod monitoring;
mod owner;
mod partition;
mod positions;
mod spool;
mod streams;
mod survey;

pub use admin::{permissions, repartition};
pub use brokers::Brokers;
pub use common::Common;
pub use left::take_up;
pub use positions::of_partition;
pub use survey::View;

use crate::config;
use crate::findings::{FindingCode, Findings};
use crate::metrics::ClusterMetrics;
use crate::model::picture::hex;
use crate::outbox::{Outbox, WriterSettings};

/// Dependencies of a member of the cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name of this instance.
    pub name: String,
    /// Section `[cluster]` of the configuration.
    pub config: config::Cluster,
    /// Settings that decide to which device an alarm belongs; a reload replaces them.
    pub settings: Arc<ArcSwap<WriterSettings>>,
    /// Settings that all instances of a cluster must share.
    pub common: Common,
    /// The storage folder.
    pub folder: PathBuf,
    /// The outbox.
    pub outbox: Outbox,
    /// The findings.
    pub findings: Findings,
    /// Names of the sinks that are on.
    pub sinks: Vec<String>,
    /// Counters.
    pub counts: ClusterMetrics,
}

/// A running member.
#[derive(Debug)]
pub struct RunningMember {
    tasks: JoinSet<()>,
    view: View,
    stop: CancellationToken,
    owners: Vec<watch::Receiver<bool>>,
    settings: Arc<ArcSwap<WriterSettings>>,
}

/// State shared by the tasks of a member.
struct Work {
    member: Member,
    reports: Arc<edge::ReportEncoder>,
    view: View,
    owning: Vec<watch::Sender<bool>>,
}

impl Member {
    /// Joins the cluster: all further reports go to it.
    #[must_use]
    pub fn join(self) -> RunningMember {
        let (owning, owners) = (0..self.config.partitions).map(|_| watch::channel(false)).unzip();
        let stop = CancellationToken::new();
        let (view, settings) = (View::new(&self), Arc::clone(&self.settings));
        let reports = Arc::new(edge::ReportEncoder::new(&self, view.clone()));
        self.outbox.join(Arc::clone(&reports) as Arc<dyn crate::outbox::cluster::Edge>);
        let mut tasks = JoinSet::new();
        let (work, ended) = (Work { member: self, reports, view: view.clone(), owning }, stop.clone());
        tasks.spawn(async move {
            ended.run_until_cancelled(Box::pin(work.run())).await;
        });
        RunningMember { tasks, view, stop, owners, settings }
    }
}

/// Hash of the settings that are to be equal at all instances.
fn settings_hash(settings: &WriterSettings) -> String {
    let macs: Vec<String> = settings.macs().map(|(key, mac)| format!("{key}={mac}")).collect();
    short_hash(&macs.join("\n"))
}

/// First 16 hex digits of the hash of a text.
fn short_hash(text: &str) -> String {
    hex(Sha256::digest(text).as_slice()).chars().take(16).collect()
}

impl Work {
    /// Runs until it is dropped: connects, and reconnects when the connection fails.
    async fn run(self) {
        let member = &self.member;
        loop {
            let subject = &member.config.prefix;
            match self.connect().await {
                Ok(link) => {
                    member.findings.settle(FindingCode::ClusterUnreachable, subject);
                    member.note_version(&link);
                    self.work(&link).await;
                }
                Err(error) => member.findings.raise(FindingCode::ClusterUnreachable, subject, &error),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Connects, and agrees on what all have in common.
    async fn connect(&self) -> Result<link::JetStreamLink, String> {
        let member = &self.member;
        let link = link::JetStreamLink::open(&member.config, &member.name).await?;
        let common = member.common.agree(&link).await?;
        let (of_cluster, own) = ((common.partitions, common.streams), &member.config);
        if of_cluster != (own.partitions, own.streams) {
            return Err(format!(
                "the cluster has {} partitions in {} streams: set cluster.partitions and cluster.streams so at {}, or change them with `alarmbus cluster repartition`",
                common.partitions, common.streams, member.name
            ));
        }
        common.keep(&member.folder);
        if common.cluster_id != member.common.cluster_id {
            return Err(format!(
                "{} did not know the identity of the cluster at its start: restart it",
                member.name
            ));
        }
        Ok(link)
    }

    /// Runs everything on a connection, until a stream is gone.
    async fn work(&self, link: &link::JetStreamLink) {
        let (member, shared) = (&self.member, self.view.shared());
        let leases = &shared.leases;
        let partitions = leases.each().zip(&self.owning).map(|((k, lease), owning)| async move {
            tokio::join!(
                leases.keep((k, lease), &member.name, link, shared),
                partition::Partition::new(member, link, (k, lease), owning, shared).run(),
            );
        });
        let all = async {
            tokio::join!(
                edge::publish(member, &self.reports, link),
                spool::keep_within_bounds(member, shared),
                shared.members.follow(link),
                survey::announce(member, link, shared),
                brokers::watch(member, shared),
                join_all(partitions),
            );
        };
        tokio::select! {
            () = all => {}
            () = survey::run(member, link, shared) => {}
        }
        leases.each().for_each(|(_, lease)| lease.drop_held());
        for owning in &self.owning {
            owning.send_replace(false);
        }
    }
}

impl Member {
    /// Raises a finding when a server is too old to reject the writes of a former owner.
    fn note_version(&self, link: &link::JetStreamLink) {
        let version = link.version();
        if !crate::sink::nats::is_at_least(&version, (2, 11)) {
            let detail = format!("nats-server {version} at {}", self.config.servers.join(", "));
            self.findings.raise(FindingCode::ClusterServerOld, &self.config.prefix, &detail);
        }
    }
}

impl RunningMember {
    /// Returns whether this instance owns a partition and has caught up: its relays are to run.
    #[must_use]
    pub fn owner(&self, k: u64) -> Option<watch::Receiver<bool>> {
        usize::try_from(k).ok().and_then(|k| self.owners.get(k)).cloned()
    }

    /// Gate of what a partition brings.
    #[must_use]
    pub fn gate(&self, k: u64) -> Arc<dyn crate::sink::partition::Gate> {
        Arc::new(survey::PartitionGate::new(self.view.clone(), k))
    }

    /// The cluster as this instance sees it.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Takes over the settings of a reload.
    pub fn configure(&self, settings: Arc<WriterSettings>) {
        self.settings.store(settings);
    }

    /// Leaves: gives the leases away.
    pub async fn stop(mut self) {
        self.view.shared().leases.give_away().await;
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
