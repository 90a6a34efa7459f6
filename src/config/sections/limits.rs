//! Bounds. They refuse unknown peers, not cameras: a camera does not try again.

use serde::{Deserialize, Serialize};

use crate::config::ByteSize;
use crate::config::check::Check;

/// Bounds on the resources that peers can use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body stored whole; past it pictures are dropped while reading continues (up to four times it).
    pub body_bytes: ByteSize,
    /// Maximum time for a request head, in seconds.
    pub header_seconds: u64,
    /// Maximum time for a body, in seconds.
    pub body_seconds: u64,
    /// Maximum number of connections.
    pub connections: usize,
    /// Maximum number of connections of one peer.
    pub connections_per_peer: usize,
    /// Maximum memory for bodies being read. A body reserves its announced length once more than 8 KiB of it arrived.
    pub body_memory_bytes: ByteSize,
    /// Maximum number of wrong paths and undecodable bodies of a peer per second.
    pub strangers_per_second: u32,
    /// Maximum number of requests of a peer per second on a right path; 0: no limit. Past it pictures are dropped,
    /// not alarms.
    pub requests_per_second: u32,
    /// Maximum number of alarms of one report; the rest is counted in one alarm `unknown`.
    pub alarms_per_report: usize,
    /// Maximum number of known sources.
    pub sources: usize,
    /// Maximum number of new sources in an hour.
    pub new_sources_per_hour: usize,
    /// Maximum number of kinds of one source; further ones become `other`.
    pub kinds_per_source: usize,
    /// Take no new devices: alarms of one that is neither named under `[devices]` nor known go to `unlisted`.
    pub known_devices_only: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: ByteSize(16 << 20),
            header_seconds: 10,
            body_seconds: 30,
            connections: 1_024,
            connections_per_peer: 256,
            body_memory_bytes: ByteSize(64 << 20),
            strangers_per_second: 20,
            requests_per_second: 0,
            alarms_per_report: 256,
            sources: 10_000,
            new_sources_per_hour: 1_000,
            kinds_per_source: 64,
            known_devices_only: false,
        }
    }
}

impl Limits {
    /// Checks the bounds, and that they do not contradict each other.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        check.within("limits.body_bytes", self.body_bytes, ByteSize(1 << 10), ByteSize(1 << 30));
        check.within("limits.header_seconds", self.header_seconds, 1, 600);
        check.within("limits.body_seconds", self.body_seconds, 1, 3_600);
        check.within("limits.connections", self.connections, 1, 1_000_000);
        check.within("limits.connections_per_peer", self.connections_per_peer, 1, 1_000_000);
        check.within("limits.strangers_per_second", self.strangers_per_second, 1, 1_000_000);
        check.within("limits.alarms_per_report", self.alarms_per_report, 1, 65_536);
        check.within("limits.sources", self.sources, 1, 1_000_000);
        check.within("limits.new_sources_per_hour", self.new_sources_per_hour, 1, 1_000_000);
        check.within("limits.kinds_per_source", self.kinds_per_source, 1, 10_000);
        let least = self.body_bytes.0.saturating_mul(4);
        if self.body_memory_bytes.0 < least && check.is_sound("limits.body_bytes") {
            let text = format!(
                "{} is too small: one peer may hold a quarter of it, and limits.body_bytes is {}; write {} or more",
                self.body_memory_bytes,
                self.body_bytes,
                ByteSize(least)
            );
            check.wrong("limits.body_memory_bytes", text);
        }
    }
}
