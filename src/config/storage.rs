//! The folder, what is kept in it, and pictures.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ByteSize;

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
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { enabled: true, latest: true, each: false, max_bytes: None }
    }
}
