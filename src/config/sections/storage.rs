//! Storage folder, bounds on what is stored, and pictures.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::ByteSize;
use crate::config::KeyPath;
use crate::config::check::Check;

/// Storage folder, and bounds on what is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder; created if absent.
    pub path: PathBuf,
    /// Maximum age of undelivered alarms in days; older ones are dropped and counted.
    pub backlog_max_days: u64,
    /// Maximum size of undelivered alarms; the oldest are dropped and counted.
    pub backlog_max_bytes: ByteSize,
    /// Maximum age of delivered alarms in days.
    pub history_max_days: u64,
    /// Maximum size of delivered alarms.
    pub history_max_bytes: ByteSize,
    /// Free space below which history is deleted.
    pub min_free_bytes: ByteSize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: "alarmbus-data".into(),
            backlog_max_days: 7,
            backlog_max_bytes: ByteSize(1 << 30),
            history_max_days: 30,
            history_max_bytes: ByteSize(2 << 30),
            min_free_bytes: ByteSize(64 << 20),
        }
    }
}

/// Pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshots {
    /// Keep and publish pictures at all.
    pub enabled: bool,
    /// Publish the latest picture of each kind and of any kind, retained.
    pub latest: bool,
    /// Publish every picture, not retained.
    pub each: bool,
    /// Maximum size of a picture; by default limits.body_bytes.
    pub max_bytes: Option<ByteSize>,
    /// Kinds whose pictures are dropped.
    pub events_off: Vec<String>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { enabled: true, latest: true, each: false, max_bytes: None, events_off: Vec::new() }
    }
}

/// Maximum age in days: ten years.
const MAX_DAYS: u64 = 3_660;
/// Minimum size of backlog and history, enough for one report.
const MIN_SIZE: ByteSize = ByteSize(1 << 20);
/// Maximum size: more than any disk.
const MAX_SIZE: ByteSize = ByteSize(1 << 50);

impl Storage {
    /// Checks the folder and the bounds.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        if self.path.as_os_str().is_empty() {
            check.wrong("storage.path", "this is empty: name a folder, such as \"alarmbus-data\"");
        }
        check.within("storage.backlog_max_days", self.backlog_max_days, 1, MAX_DAYS);
        check.within("storage.history_max_days", self.history_max_days, 0, MAX_DAYS);
        check.within("storage.backlog_max_bytes", self.backlog_max_bytes, MIN_SIZE, MAX_SIZE);
        check.within("storage.history_max_bytes", self.history_max_bytes, ByteSize(0), MAX_SIZE);
        check.within("storage.min_free_bytes", self.min_free_bytes, ByteSize(0), MAX_SIZE);
    }
}

impl Snapshots {
    /// Checks the bound, and that pictures asked for are not switched off.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        if let Some(bytes) = self.max_bytes {
            check.within("snapshots.max_bytes", bytes, ByteSize(1), ByteSize(1 << 30));
        }
        for kind in &self.events_off {
            check.slug(&KeyPath::parse("snapshots.events_off"), kind);
        }
        if self.each && !self.enabled && check.is_sound("snapshots.enabled") {
            check.wrong(
                "snapshots.each",
                "snapshots.enabled is false, so there is none: set one of the two right",
            );
        }
    }
}
