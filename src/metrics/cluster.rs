//! Metrics of an instance in a cluster.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;

use super::observed::whole;

/// Counters of an instance in a cluster; cheap handles.
#[derive(Debug, Clone, Default)]
pub struct ClusterMetrics {
    /// Copies of alarms that were dropped.
    pub merged: Counter,
    /// Records that do not count.
    pub void: Counter,
    /// Partitions that this instance began to own.
    pub takeovers: Counter,
}

/// State of an instance in a cluster.
#[derive(Debug, Clone, Default)]
pub struct ObservedCluster {
    /// `true` while it is connected to a NATS server.
    pub connected: bool,
    /// Number of partitions that it owns.
    pub owned: u64,
    /// Number of reports in its spool.
    pub spool: u64,
    /// Age of the oldest of them in seconds.
    pub spool_oldest_seconds: u64,
    /// Number of reports that wait for a decision.
    pub in_waiting: u64,
    /// Number of records that it has not taken over.
    pub log_behind: u64,
    /// Counters.
    pub counts: ClusterMetrics,
}

/// Name, help text and value of a metric.
type Row<'a> = (&'a str, &'a str, u64);

impl ObservedCluster {
    /// Writes the metrics of the cluster.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let gauges: [Row<'_>; 6] = [
            (
                "cluster_connected",
                "Whether a NATS server of the cluster is connected",
                u64::from(self.connected),
            ),
            ("cluster_owned", "Partitions that this instance owns", self.owned),
            ("cluster_spool", "Reports on this disk that the cluster does not have yet", self.spool),
            (
                "cluster_spool_oldest_seconds",
                "How long the oldest report on this disk has waited for the cluster, in seconds",
                self.spool_oldest_seconds,
            ),
            ("cluster_in_waiting", "Reports in the cluster that wait for a decision", self.in_waiting),
            ("cluster_log_behind", "Decisions that this instance has not taken over yet", self.log_behind),
        ];
        for (name, help, value) in gauges {
            let metric = ConstGauge::new(whole(value));
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let counters: [Row<'_>; 3] = [
            (
                "cluster_merged",
                "Copies of alarms that were dropped by this instance",
                self.counts.merged.get(),
            ),
            ("cluster_void", "Records of displaced owners that do not count", self.counts.void.get()),
            ("cluster_takeovers", "Partitions that this instance began to own", self.counts.takeovers.get()),
        ];
        for (name, help, value) in counters {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
