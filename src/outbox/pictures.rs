//! Pictures: one file each, beside the database, in one folder a day. Files rather than rows, because a row would be
//! written twice (log and database), and because a deleted file frees its disk at once.
//!
//! A picture is on disk before the alarm that refers to it is committed; one whose alarm never was is an orphan and
//! goes at the next start. While the disk refuses writes they are held in memory under a bound.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

/// Memory for pictures while the disk refuses writes.
const MEMORY: usize = 48 << 20;

/// Where pictures are kept; a cheap handle.
#[derive(Debug, Clone)]
pub struct Pictures {
    folder: Arc<Path>,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    pictures: HashMap<Uuid, Bytes>,
    bytes: usize,
}

impl Pictures {
    /// Keeps them under a folder, which is made when the first one comes.
    #[must_use]
    pub fn new(storage: &Path) -> Self {
        Self { folder: storage.join("pictures").into(), held: Arc::default() }
    }

    /// Stores a picture; returns once it is on disk, or in memory when the disk refuses. `None`: there was no room.
    #[must_use]
    pub fn store(&self, data: &Bytes) -> Option<Uuid> {
        let id = Uuid::now_v7();
        match self.write(id, data) {
            Ok(()) => Some(id),
            Err(error) => {
                tracing::debug!("a picture could not be written: {error}");
                self.hold(id, data).then_some(id)
            }
        }
    }

    /// The bytes of a picture.
    ///
    /// # Errors
    /// When it is gone, or the disk fails.
    pub fn read(&self, id: Uuid) -> io::Result<Bytes> {
        let held = self.lock().pictures.get(&id).cloned();
        held.map_or_else(|| fs::read(self.path(id)).map(Bytes::from), Ok)
    }

    /// Deletes a picture; that it is gone already is fine.
    pub(crate) fn delete(&self, id: Uuid) {
        self.let_go(id);
        if let Err(error) = fs::remove_file(self.path(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("a picture could not be deleted: {error}");
        }
    }

    /// Writes what is held in memory to the disk again.
    ///
    /// # Errors
    /// When the disk still refuses; what was written so far is no longer held.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let held: Vec<(Uuid, Bytes)> =
            self.lock().pictures.iter().map(|(id, data)| (*id, data.clone())).collect();
        for (id, data) in held {
            self.write(id, &data)?;
            self.let_go(id);
        }
        Ok(())
    }

    /// Gives up every picture held in memory, for the alarms to have the room.
    pub(crate) fn give_up(&self) -> usize {
        let mut held = self.lock();
        let count = held.pictures.len();
        *held = Held::default();
        count
    }

    /// Deletes the files that no row knows (`known` says which do), of days before today's.
    pub(crate) fn sweep(&self, known: impl Fn(Uuid) -> bool) -> io::Result<usize> {
        let mut swept = 0;
        let days = match fs::read_dir(&self.folder) {
            Ok(days) => days,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        for day in days {
            let day = day?.path();
            for file in fs::read_dir(&day)? {
                let path = file?.path();
                let id = path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .and_then(|stem| Uuid::parse_str(stem).ok());
                if id.is_none_or(|id| !known(id)) {
                    fs::remove_file(&path)?;
                    swept += 1;
                }
            }
            // Fails while files are left in it, which is what is wanted.
            drop(fs::remove_dir(&day));
        }
        Ok(swept)
    }

    /// Where a picture lies: the day of its identifier's time, then the identifier.
    fn path(&self, id: Uuid) -> PathBuf {
        let seconds = id.get_timestamp().map_or(0, |time| time.to_unix().0);
        self.folder.join(format!("{:05}", seconds / 86_400)).join(format!("{}.jpg", id.as_simple()))
    }

    fn write(&self, id: Uuid, data: &Bytes) -> io::Result<()> {
        let path = self.path(id);
        let day = path.parent().unwrap_or(&self.folder);
        let mut file = match create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(day)?;
                create(&path)?
            }
            other => other?,
        };
        let written =
            file.write_all(data).and_then(|()| file.sync_data()).and_then(|()| File::open(day)?.sync_all());
        if written.is_err() {
            // A half-written picture must not stay; the error that matters is the first one.
            drop(fs::remove_file(&path));
        }
        written
    }

    fn hold(&self, id: Uuid, data: &Bytes) -> bool {
        let mut held = self.lock();
        let room = held.bytes + data.len() <= MEMORY;
        if room {
            held.bytes += data.len();
            held.pictures.insert(id, data.clone());
        }
        room
    }

    fn let_go(&self, id: Uuid) {
        let mut held = self.lock();
        if let Some(data) = held.pictures.remove(&id) {
            held.bytes -= data.len();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new file that only its owner reads.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A folder that only its owner enters.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Pictures::new(folder.path());
        let id = pictures.store(&Bytes::from_static(b"jpeg")).unwrap();
        assert_eq!(pictures.read(id).unwrap(), "jpeg");
        assert_eq!(pictures.sweep(|known| known == id).unwrap(), 0);
        pictures.delete(id);
        assert!(pictures.read(id).is_err());
    }

    #[test]
    fn a_disk_that_refuses_is_bridged_by_memory() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("pictures");
        fs::write(&blocked, b"a file where the folder should be").unwrap();
        let pictures = Pictures::new(folder.path());
        let id = pictures.store(&Bytes::from_static(b"jpeg")).unwrap();
        assert_eq!(pictures.read(id).unwrap(), "jpeg");
        assert!(pictures.flush().is_err());
        fs::remove_file(&blocked).unwrap();
        pictures.flush().unwrap();
        assert_eq!(fs::read(pictures.path(id)).unwrap(), b"jpeg");
    }
}
