//! Values that all instances of a cluster share, as they are stored in the bucket of states and in each storage folder.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::link::JetStreamLink;
use crate::config;
use crate::model::picture::hex;

/// Pause after a failure.
const AGAIN: Duration = Duration::from_millis(500);
/// Key in the bucket of states.
const KEY: &str = "config";
/// File in the storage folder.
const FILE: &str = "cluster.json";

/// Values that all instances share, set by the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// Version of this format.
    pub v: u32,
    /// Number of partitions.
    pub partitions: u64,
    /// Number of streams that they share.
    pub streams: u64,
    /// Identifier of the cluster: that of its first instance.
    pub cluster_id: String,
    /// Key of the addresses of pictures, in hex.
    pub snapshot_key: String,
}

impl Common {
    /// Values that the first instance sets.
    #[must_use]
    pub fn of(config: &config::Cluster, instance_id: &str, snapshot_key: &[u8; 32]) -> Self {
        Self {
            v: 1,
            partitions: config.partitions,
            streams: config.streams,
            cluster_id: instance_id.to_owned(),
            snapshot_key: hex(snapshot_key),
        }
    }

    /// The key of the addresses of pictures.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let mut key = [0_u8; 32];
        for (byte, pair) in key.iter_mut().zip(self.snapshot_key.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok();
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
        }
        key
    }

    /// As it was kept in a storage folder.
    #[must_use]
    pub fn kept(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Keeps it in a storage folder.
    pub fn keep(&self, folder: &Path) {
        if Self::kept(folder).as_ref() == Some(self) {
            return;
        }
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = std::fs::write(folder.join(FILE), text) {
            tracing::warn!("{FILE} cannot be written ({error}): it is asked for again at the next start");
        }
    }

    /// As the cluster has it; if it has none, this one is taken.
    pub(super) async fn agree(&self, link: &JetStreamLink) -> Result<Self, String> {
        let stored = link.states.get(KEY).await.map_err(|error| error.to_string())?;
        if let Some(stored) = stored {
            return serde_json::from_slice(&stored)
                .map_err(|error| format!("{KEY} in the bucket of states cannot be read: {error}"));
        }
        let text: Bytes = serde_json::to_vec(self).unwrap_or_default().into();
        link.states.create(KEY, text).await.map_err(|error| error.to_string())?;
        Ok(self.clone())
    }

    /// Asks the cluster for it, or settles it; until that succeeds.
    pub async fn ask_until(self, config: &config::Cluster, name: &str) -> Self {
        loop {
            if let Ok(link) = JetStreamLink::open(config, name).await
                && let Ok(common) = self.agree(&link).await
            {
                return common;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
