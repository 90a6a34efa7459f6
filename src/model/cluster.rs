//! The cluster as an instance sees it, in the API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "cluster")]
pub struct ClusterStatus {
    /// The instance that says so; empty if it is alone.
    pub instance: String,
    /// First token of all subjects.
    pub prefix: String,
    /// It is connected to a NATS server.
    pub connected: bool,
    /// Version of that server.
    pub server_version: String,
    /// Reports that wait on the disk of this instance for JetStream.
    pub spool: u64,
    /// Age of the oldest of them.
    pub spool_oldest_seconds: u64,
    /// The instances that were heard of within the time of a lease.
    pub members: Vec<MemberStatus>,
    /// The partitions.
    pub partitions: Vec<PartitionStatus>,
    /// The streams.
    pub streams: Vec<StreamStatus>,
}

/// An instance, as it says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "cluster_member")]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Version of the software.
    pub version: String,
    /// Address of its admin page.
    pub address: String,
    /// Hash of the settings that are to be equal at all instances.
    pub settings: String,
    /// Hash of its webhooks.
    pub webhooks: String,
    /// Partitions that it owns.
    pub owned: Vec<u64>,
    /// It has read all decisions.
    pub caught_up: bool,
    /// Reports that wait on its disk for JetStream.
    pub spool: u64,
    /// Codes of its findings.
    pub findings: Vec<String>,
    /// Sinks whose broker it cannot reach.
    pub cut_off: Vec<String>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "cluster_partition")]
pub struct PartitionStatus {
    /// Its number.
    pub k: u64,
    /// The instance that decides and publishes; null while there is none.
    pub owner: Option<String>,
    /// Messages after the last report whose decision this instance has.
    pub in_waiting: u64,
    /// Messages after the last record that this instance has taken over.
    pub log_behind: u64,
    /// Position of each sink: the sequence of a record.
    pub positions: BTreeMap<String, u64>,
}

/// A stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "cluster_stream")]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sequence of the last one.
    pub last_sequence: u64,
    /// Servers that keep it.
    pub replicas: u64,
    /// The server that leads it.
    pub leader: Option<String>,
    /// Servers that lag behind or are away.
    pub behind: Vec<String>,
    /// Reason for which nothing is known of it.
    pub trouble: Option<String>,
}
