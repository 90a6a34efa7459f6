//! Pictures: a file for each, beside the database, in a folder for each day. Files and not rows, since a row would be
//! written twice (write-ahead log and database), and since a deleted file frees its disk space at once.
//!
//! A picture is on the disk before the alarm that refers to it is committed. A file without a row is deleted after the
//! next start. While the disk refuses writes, pictures are held in memory under a bound.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::buffer::Buffer;
use crate::outbox::reader::blocking;

/// Memory for pictures while the disk refuses writes.
const MAX_HELD_BYTES: usize = 48 << 20;
/// Maximum bytes of the latest pictures kept in memory, so that they are published without reading the file; and
/// their maximum number.
const FRESH: usize = 4 << 20;
const FRESH_PICTURES: usize = 64;
/// Maximum duration of one step of writing held pictures to the disk.
const STEP_DURATION: Duration = Duration::from_millis(50);

/// Handle to the stored pictures; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pictures {
    folder: Arc<Path>,
    held: Arc<Mutex<Held>>,
    /// The latest pictures, which are on the disk too: most are published right after receipt.
    fresh: Arc<Mutex<Fresh>>,
    /// Variants that were made lately.
    variants: super::variants::Variants,
    /// Pictures stored in this run, until picture files of earlier runs without a row are deleted.
    young: Arc<Mutex<Option<HashSet<Uuid>>>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Pictures held in memory, in the order of receipt.
    pictures: BTreeMap<Uuid, Bytes>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Fresh {
    pictures: VecDeque<(Uuid, Bytes)>,
    bytes: usize,
}

impl Fresh {
    fn put(&mut self, id: Uuid, data: &Bytes) {
        if FRESH < data.len() {
            return;
        }
        self.bytes += data.len();
        self.pictures.push_back((id, data.clone()));
        while FRESH < self.bytes || FRESH_PICTURES < self.pictures.len() {
            let Some((_, oldest)) = self.pictures.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    fn get(&self, id: Uuid) -> Option<Bytes> {
        self.pictures.iter().find(|(of, _)| *of == id).map(|(_, data)| data.clone())
    }

    fn forget(&mut self, id: Uuid) {
        self.pictures.retain(|(of, _)| *of != id);
        self.bytes = self.pictures.iter().map(|(_, data)| data.len()).sum();
    }
}

impl Pictures {
    /// Handle for a folder, which is made with the first picture.
    #[must_use]
    pub fn new(storage: &Path) -> Self {
        let young = Arc::new(Mutex::new(Some(HashSet::new())));
        let fresh = Arc::default();
        Self {
            folder: storage.join("pictures").into(),
            held: Arc::default(),
            fresh,
            variants: Default::default(),
            young,
        }
    }

    /// Stores a picture; returns once it is on disk, or in memory when the disk refuses writes. `None`: there was no
    /// room.
    #[must_use]
    pub fn store(&self, data: &Bytes) -> Option<Uuid> {
        self.store_as(Uuid::now_v7(), data)
    }

    /// Stores a picture under an identifier assigned elsewhere.
    #[must_use]
    pub fn store_as(&self, id: Uuid, data: &Bytes) -> Option<Uuid> {
        if let Some(young) = lock(&self.young).as_mut() {
            young.insert(id);
        }
        match self.write(id, data) {
            Ok(()) => {
                lock(&self.fresh).put(id, data);
                Some(id)
            }
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
        let known = lock(&self.fresh).get(id).or_else(|| self.lock().pictures.get(&id).cloned());
        known.map_or_else(|| blocking(|| read(&self.path(id))), Ok)
    }

    /// Variants that were made lately.
    pub(super) fn variants(&self) -> &super::variants::Variants {
        &self.variants
    }

    /// Deletes a picture, if it is there.
    pub(crate) fn delete(&self, id: Uuid) {
        self.let_go(id);
        lock(&self.fresh).forget(id);
        if let Err(error) = fs::remove_file(self.path(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("a picture could not be deleted: {error}");
        }
    }

    /// Writes some of the pictures held in memory to the disk. Returns whether there are more.
    ///
    /// # Errors
    /// When the disk still refuses. Pictures written until then are no longer held.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        let started = Instant::now();
        loop {
            let first = self.lock().pictures.first_key_value().map(|(id, data)| (*id, data.clone()));
            let Some((id, data)) = first else { return Ok(false) };
            if STEP_DURATION < started.elapsed() {
                return Ok(true);
            }
            self.write_back(id, &data)?;
            self.let_go(id);
        }
    }

    /// Bytes of pictures held in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Drops the oldest pictures held in memory until `bytes` are free. Returns their number.
    pub(crate) fn give_up(&self, bytes: usize) -> usize {
        let mut held = self.lock();
        let (mut freed, mut count) = (0, 0);
        while freed < bytes {
            let Some((_, data)) = held.pictures.pop_first() else { break };
            freed += data.len();
            count += 1;
        }
        held.bytes -= freed;
        count
    }

    /// Deletes the files of earlier runs that have no row (by `known`). Returns their number.
    ///
    /// # Errors
    /// When a folder cannot be read, a file cannot be deleted, or `known` fails.
    pub(crate) fn sweep<E: From<io::Error>>(
        &self,
        mut known: impl FnMut(Uuid) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let mut swept = 0;
        let days = match fs::read_dir(&self.folder) {
            Ok(days) => days,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        for day in days {
            let day = day?.path();
            for file in fs::read_dir(&day)? {
                let path = file?.path();
                let Some(id) = id_of(&path) else { continue };
                if !self.is_young(id) && !known(id)? {
                    fs::remove_file(&path)?;
                    swept += 1;
                }
            }
            // Fails while files are left in the folder, which is intended.
            drop(fs::remove_dir(&day));
        }
        Ok(swept)
    }

    /// Notes that the files of earlier runs were swept.
    pub(crate) fn all_swept(&self) {
        *lock(&self.young) = None;
    }

    fn is_young(&self, id: Uuid) -> bool {
        let young = lock(&self.young);
        young.as_ref().is_none_or(|young| young.contains(&id))
    }

    /// Path of a picture: the day of its identifier's time, then the identifier.
    fn path(&self, id: Uuid) -> PathBuf {
        let seconds = id.get_timestamp().map_or(0, |time| time.to_unix().0);
        self.folder.join(format!("{:05}", seconds / 86_400)).join(format!("{}.jpg", id.as_simple()))
    }

    fn write(&self, id: Uuid, data: &Bytes) -> io::Result<()> {
        let path = self.path(id);
        let day = path.parent().unwrap_or(&self.folder);
        let mut file = match create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_day(day)?;
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

    /// Makes the folder of a day, and syncs it.
    fn make_day(&self, day: &Path) -> io::Result<()> {
        make_folder(day)?;
        File::open(&self.folder)?.sync_all()?;
        self.folder.parent().map_or(Ok(()), |storage| File::open(storage)?.sync_all())
    }

    /// Writes a picture whose alarm is committed already: whole or not at all, also over the rest of an earlier try.
    fn write_back(&self, id: Uuid, data: &Bytes) -> io::Result<()> {
        let path = self.path(id);
        let day = path.parent().unwrap_or(&self.folder);
        self.make_day(day)?;
        let next = path.with_extension("part");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(data)?;
            file.sync_data()?;
            fs::rename(&next, &path)?;
            File::open(day)?.sync_all()
        };
        write().inspect_err(|_| drop(fs::remove_file(&next)))
    }

    fn hold(&self, id: Uuid, data: &Bytes) -> bool {
        let mut held = self.lock();
        let room = held.bytes + data.len() <= MAX_HELD_BYTES;
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

    fn lock(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

/// Takes the lock. The data is valid after every statement, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Identifier of the picture in a file.
fn id_of(path: &Path) -> Option<Uuid> {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| Uuid::parse_str(stem).ok())
}

/// Reads a whole file.
fn read(path: &Path) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Buffer::read(&mut file, usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Creates a file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a folder that only its owner can enter.
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
        let no_row = |_| Ok::<_, io::Error>(false);
        assert_eq!(pictures.sweep(no_row).unwrap(), 0, "it is of this run");
        let old = Pictures::new(folder.path()).store(&Bytes::from_static(b"old")).unwrap();
        assert_eq!(pictures.sweep(|known| Ok::<_, io::Error>(known == old)).unwrap(), 0);
        assert_eq!(pictures.sweep(no_row).unwrap(), 1);
        assert!(pictures.read(old).is_err() && pictures.read(id).is_ok());
        pictures.delete(id);
        assert!(pictures.read(id).is_err());
    }

    #[test]
    fn only_the_latest_are_kept_beside_the_disk() {
        let mut fresh = Fresh::default();
        let ids: Vec<Uuid> = (0..200).map(Uuid::from_u128).collect();
        ids.iter().for_each(|id| fresh.put(*id, &Bytes::from_static(b"jpeg")));
        assert_eq!((fresh.pictures.len(), fresh.get(ids[0])), (FRESH_PICTURES, None));
        fresh.put(Uuid::nil(), &Bytes::from(vec![0; FRESH + 1]));
        assert!(fresh.get(ids[199]).is_some(), "one too large leaves the others");
        fresh.put(Uuid::max(), &Bytes::from(vec![0; FRESH]));
        assert_eq!((fresh.pictures.len(), fresh.bytes), (1, FRESH));
        fresh.forget(Uuid::max());
        assert_eq!((fresh.get(Uuid::max()), fresh.bytes), (None, 0));
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
        assert!(!pictures.flush().unwrap());
        assert_eq!(pictures.held_bytes(), 0);
        assert_eq!(fs::read(pictures.path(id)).unwrap(), b"jpeg");
    }
}
