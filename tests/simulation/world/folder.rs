//! Changes to the folder of a store while no process runs.

use std::fs;

use bytes::Bytes;

use super::{Change, World, lock};
use crate::files::{copy, damage};

impl World {
    /// Applies a change to the folder while no process runs.
    pub(super) fn change(&mut self, change: Option<&Change>) {
        let database = self.folder.join("outbox.db");
        match change {
            None => {}
            Some(Change::Copy) => {
                fs::remove_dir_all(&self.copy).ok();
                copy(&self.folder, &self.copy);
                self.copied_mark = self.mark();
                lock(&self.model).copied();
            }
            Some(Change::Restore) if self.copy.is_dir() => {
                fs::remove_dir_all(&self.folder).ok();
                copy(&self.copy, &self.folder);
                // The mark of the broker at that time is not newer than the copy.
                let mark = self.mark();
                lock(&self.model).restored(mark.is_some() && mark != self.copied_mark);
            }
            Some(Change::Restore) => {}
            Some(Change::DropWal) => {
                fs::remove_file(self.folder.join("outbox.db-wal")).ok();
                lock(&self.model).damaged();
            }
            Some(Change::Empty) => {
                fs::write(&database, b"").ok();
                lock(&self.model).damaged();
            }
            Some(Change::Damage(seed)) => {
                damage(&database, *seed);
                lock(&self.model).damaged();
            }
        }
        self.disk.settle();
    }

    /// The mark that the first broker retains.
    fn mark(&self) -> Option<Bytes> {
        self.brokers.first().and_then(|broker| lock(broker).mark())
    }
}
