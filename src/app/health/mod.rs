//! Health of the bridge: progress, periodic checks, metrics, and their publication.

pub(super) mod availability;
pub(super) mod dismissals;
pub(super) mod gauges;
pub(super) mod monitor;
mod progress;
pub(super) mod publisher;
pub(super) mod systemd;
