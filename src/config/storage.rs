//! The folder, what is kept in it, and pictures.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ByteSize;
use super::KeyPath;
use super::check::Check;

/// The folder, and how much is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The folder; made if absent.
    pub path: PathBuf,
    /// Undelivered alarms older than this are dropped, counted; in days.
    pub backlog_max_days: u64,
    /// Undelivered alarms past this size are dropped, oldest first, counted.
    pub backlog_max_bytes: ByteSize,
    /// Delivered alarms are kept so long, in days.
    pub history_max_days: u64,
    /// Delivered alarms are kept up to this size.
    pub history_max_bytes: ByteSize,
    /// Free space below which history is purged.
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
    /// Largest picture kept; absent: the body bound.
    pub max_bytes: Option<ByteSize>,
    /// Kinds whose pictures are thrown away.
    pub events_off: Vec<String>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { enabled: true, latest: true, each: false, max_bytes: None, events_off: Vec::new() }
    }
}

/// The longest time anything is kept, in days: ten years.
const LONGEST: u64 = 3_660;
/// The least that a backlog or a history is given: less would not hold one report.
const LEAST: ByteSize = ByteSize(1 << 20);
/// More than any disk.
const MOST: ByteSize = ByteSize(1 << 50);

impl Storage {
    /// Checks the folder and the bounds.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        if self.path.as_os_str().is_empty() {
            check.wrong("storage.path", "this is empty: name a folder, such as \"alarmbus-data\"");
        }
        check.within("storage.backlog_max_days", self.backlog_max_days, 1, LONGEST);
        check.within("storage.history_max_days", self.history_max_days, 0, LONGEST);
        check.within("storage.backlog_max_bytes", self.backlog_max_bytes, LEAST, MOST);
        check.within("storage.history_max_bytes", self.history_max_bytes, ByteSize(0), MOST);
        check.within("storage.min_free_bytes", self.min_free_bytes, ByteSize(0), MOST);
    }
}

impl Snapshots {
    /// Checks the bound, and that pictures asked for are not switched off.
    pub(super) fn check(&self, check: &mut Check<'_>) {
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
