//! Partitions: each device belongs to one, with all its channels.

use std::collections::{BTreeSet, HashMap};

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use crate::model::{DeviceKind, Source};
use crate::outbox::Reader;
use crate::outbox::device::Device;

/// First eight bytes of SHA-256 of a source without its channel, as a big-endian number.
fn hash(source: &str) -> u64 {
    let digest = Sha256::digest(source.as_bytes());
    digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
}

/// Partition of a source, without its channel.
#[must_use]
pub fn partition(source: &Source, partitions: u64) -> u64 {
    hash(source.as_str()).checked_rem(partitions).unwrap_or(0)
}

/// One of several partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Its number.
    pub k: u64,
    /// Number of partitions.
    pub partitions: u64,
}

impl Scope {
    /// Returns whether a device is in it.
    pub(crate) fn has(self, device: &Device) -> bool {
        hash(base(device)).checked_rem(self.partitions).unwrap_or(0) == self.k
    }
}

/// The source of a device without its channel.
fn base(device: &Device) -> &str {
    let source = device.source.as_str();
    let channel = device.channel.filter(|channel| device.kind == DeviceKind::Camera && 1 < *channel);
    let whole = channel.and_then(|channel| source.strip_suffix(&format!("-{channel}")));
    device.parent.as_ref().map(Source::as_str).or(whole).unwrap_or(source)
}

/// Hashes and addresses of the devices, by number. Empty in an instance that is alone.
#[derive(Debug, Default)]
pub(crate) struct Hashes(RwLock<HashMap<i64, (u64, Option<String>)>>);

impl Hashes {
    /// Takes devices in.
    pub(crate) fn learn<'a>(&self, devices: impl Iterator<Item = &'a Device>) {
        let mut hashes = self.0.write();
        hashes.extend(devices.map(|device| (device.no, (hash(base(device)), device.ip.clone()))));
    }

    /// Partitions of the devices at an address.
    fn partitions_at(&self, address: &str, partitions: u64) -> BTreeSet<u64> {
        let hashes = self.0.read();
        let at = hashes.values().filter(|(_, ip)| ip.as_deref() == Some(address));
        at.filter_map(|(hash, _)| hash.checked_rem(partitions)).collect()
    }

    /// Returns whether a source is in a partition. What is of no source is in each.
    pub(crate) fn is_in(&self, source_no: i64, scope: Scope) -> bool {
        if source_no == 0 {
            return true;
        }
        let hash = self.0.read().get(&source_no).map(|(hash, _)| *hash);
        hash.and_then(|hash| hash.checked_rem(scope.partitions)).unwrap_or(0) == scope.k
    }
}

impl Reader {
    /// The same for one partition.
    #[must_use]
    pub fn scoped(mut self, scope: Option<Scope>) -> Self {
        self.scope = scope;
        self
    }

    /// Partitions of the known devices at an address.
    #[must_use]
    pub fn partitions_at(&self, address: &str, partitions: u64) -> BTreeSet<u64> {
        self.shared
            .hashes
            .as_ref()
            .map(|hashes| hashes.partitions_at(address, partitions))
            .unwrap_or_default()
    }

    /// Returns whether a source is in the partition that is read for.
    #[must_use]
    pub fn has(&self, source_no: i64) -> bool {
        let Some((scope, hashes)) = self.scope.zip(self.shared.hashes.as_ref()) else { return true };
        hashes.is_in(source_no, scope)
    }
}
