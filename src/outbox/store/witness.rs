//! The witness: a small file beside the database with the end of the database, so that an older one, another one or
//! none in its place is noticed at the start.
//!
//! # Format
//!
//! `witness` has two slots, at 0 and 4,096, written in turn; the valid one with the higher count holds. A write that is
//! torn or never reaches the disk leaves the slot before it. A slot, little endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `alarmbus` |
//! | 8 | 4 | version of the format: 1 |
//! | 12 | 4 | flags; bit 0: alarms were published that only memory held |
//! | 16 | 8 | count of writes |
//! | 24 | 32 | identity of the store, text, filled up with zeros |
//! | 56 | 8 | number of starts of this store |
//! | 64 | 8 | `written`: the last entry that the database has |
//! | 72 | 8 | `reserved_no`: no entry with a higher number was used |
//! | 80 | 8 | `reserved_seq`: no source has used a higher `seq` |
//! | 88 | 8 | the first bytes of the SHA-256 of all before |
//!
//! # Invariants
//!
//! - **`written` and the number of starts are never ahead of the database.** The slot is written after the commit has returned, and
//!   a commit returns once it is synced. So a kill or a power cut at any point leaves a database as new as its witness,
//!   or newer; a database that is older was put there, or lost something.
//! - **`reserved_no` and `reserved_seq` are never behind what was published.** They are raised ahead by [`STEP`], and
//!   synced before a number past them is used. Numbers past them are free for certain.
//! - Only the raise is synced, once in [`STEP`] alarms at the most; after every commit the slot is only written. After a
//!   power cut `written` may be older than the database, which is never reported.
//! - Where the folder takes no writes, the witness stays as it is. Then `reserved_*` may be behind what is published
//!   from memory until the folder takes writes again.
//!
//! The version of values has no place here: it is never published, and goes back together with the positions of sinks,
//! which are in the same database.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Name of the file, in the storage folder.
pub(crate) const FILE: &str = "witness";
/// Number of numbers reserved at once.
pub(crate) const STEP: i64 = 8_192;

const MAGIC: &[u8; 8] = b"alarmbus";
const VERSION: u32 = 1;
const LENGTH: usize = 96;
const SUMMED: usize = LENGTH - 8;
/// Offset of the second slot. Each slot has a block of its own, so that a torn write of one leaves the other.
const SECOND: u32 = 4_096;
const FROM_MEMORY: u32 = 1;

/// Identity of a store as stored in the witness.
pub(crate) type StoreId = [u8; 32];

/// Content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// Identity of the store.
    pub(crate) store: StoreId,
    /// Number of starts of the store.
    pub(crate) starts: i64,
    /// Last entry that the database has.
    pub(crate) written: i64,
    /// Last entry that may have been used.
    pub(crate) reserved_no: i64,
    /// Highest `seq` that may have been used.
    pub(crate) reserved_seq: u64,
    /// Set if alarms were published that only memory held.
    pub(crate) from_memory: bool,
}

/// State of the file at the path of the witness.
#[derive(Debug)]
pub(crate) enum WitnessFile {
    /// There is none.
    Absent,
    /// A witness, and its count of writes.
    Sound(Marks, u64),
    /// No slot of it is valid.
    Damaged,
    /// It cannot be read.
    Unreadable(io::Error),
    /// A newer build wrote it.
    Newer(u32),
}

/// Converts the identity of a store into the form stored here.
pub(crate) fn store(identity: &str) -> StoreId {
    let mut store = [0; 32];
    for (to, from) in store.iter_mut().zip(identity.bytes()) {
        *to = from;
    }
    store
}

/// Reads the witness of a folder.
pub(crate) fn read(folder: &Path) -> WitnessFile {
    let bytes = match fs::read(folder.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return WitnessFile::Absent,
        Err(error) => return WitnessFile::Unreadable(error),
    };
    let slots = [bytes.as_slice(), bytes.get(SECOND as usize..).unwrap_or_default()];
    if let Some(newer) = slots.iter().filter_map(|slot| newer(slot)).max() {
        return WitnessFile::Newer(newer);
    }
    let valid = slots.iter().filter_map(|slot| decode(slot)).max_by_key(|(_, count)| *count);
    valid.map_or(WitnessFile::Damaged, |(marks, count)| WitnessFile::Sound(marks, count))
}

/// The version of a slot, if it is one of a newer build.
fn newer(slot: &[u8]) -> Option<u32> {
    let version = u32::from_le_bytes(*slot.get(8..)?.first_chunk()?);
    (slot.starts_with(MAGIC) && VERSION < version).then_some(version)
}

fn encode(marks: &Marks, count: u64) -> Vec<u8> {
    let mut slot = Vec::with_capacity(LENGTH);
    slot.extend(MAGIC);
    slot.extend(VERSION.to_le_bytes());
    slot.extend((if marks.from_memory { FROM_MEMORY } else { 0 }).to_le_bytes());
    slot.extend(count.to_le_bytes());
    slot.extend(marks.store);
    for number in [marks.starts, marks.written, marks.reserved_no] {
        slot.extend(number.to_le_bytes());
    }
    slot.extend(marks.reserved_seq.to_le_bytes());
    let sum = sum(&slot);
    slot.extend(sum);
    slot
}

fn decode(slot: &[u8]) -> Option<(Marks, u64)> {
    let (content, given) = slot.get(..LENGTH)?.split_at_checked(SUMMED)?;
    if !content.starts_with(MAGIC) || given != sum(content) {
        return None;
    }
    let word = |at: usize| Some(u64::from_le_bytes(*content.get(at..)?.first_chunk()?));
    let number = |at: usize| word(at).map(u64::cast_signed);
    let flags = u32::from_le_bytes(*content.get(12..)?.first_chunk()?);
    let marks = Marks {
        store: *content.get(24..)?.first_chunk()?,
        starts: number(56)?,
        written: number(64)?,
        reserved_no: number(72)?,
        reserved_seq: word(80)?,
        from_memory: flags & FROM_MEMORY != 0,
    };
    Some((marks, word(16)?))
}

fn sum(content: &[u8]) -> [u8; 8] {
    Sha256::digest(content).first_chunk().copied().unwrap_or_default()
}

/// The witness, open for writing.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    count: u64,
    marks: Marks,
}

impl Witness {
    /// Writes these marks to the disk as the current ones, into the existing file or a new one.
    ///
    /// # Errors
    /// When the folder cannot be written, or a newer build's witness is there.
    pub(crate) fn begin(folder: &Path, marks: Marks) -> io::Result<Self> {
        let mut witness = match read(folder) {
            WitnessFile::Newer(version) => {
                return Err(io::Error::other(format!(
                    "its version is {version}, this build knows {VERSION}"
                )));
            }
            WitnessFile::Sound(_, count) => {
                let file = File::options().write(true).open(folder.join(FILE))?;
                Self { file, count, marks }
            }
            WitnessFile::Absent | WitnessFile::Damaged | WitnessFile::Unreadable(_) => {
                return Self::create(folder, marks);
            }
        };
        witness.write(marks)?;
        witness.file.sync_all()?;
        Ok(witness)
    }

    /// Creates a file: complete, or not at all.
    fn create(folder: &Path, marks: Marks) -> io::Result<Self> {
        let next = folder.join(format!(".{FILE}.next"));
        let made = || -> io::Result<Self> {
            let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all_at(&encode(&marks, 1), SECOND.into())?;
            // Room for both slots is reserved, so that writing one needs no room on a full disk.
            file.write_all_at(&[0; LENGTH], 0)?;
            file.sync_all()?;
            fs::rename(&next, folder.join(FILE))?;
            File::open(folder)?.sync_all()?;
            Ok(Self { file, count: 1, marks })
        };
        made().inspect_err(|_| drop(fs::remove_file(&next)))
    }

    /// Its content.
    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }

    /// Writes marks without a sync, if they changed.
    pub(crate) fn note(&mut self, marks: Marks) -> io::Result<()> {
        if marks == self.marks { Ok(()) } else { self.write(marks) }
    }

    /// Writes marks and returns once they are on the disk.
    pub(crate) fn keep(&mut self, marks: Marks) -> io::Result<()> {
        self.note(marks)?;
        self.file.sync_data()
    }

    fn write(&mut self, marks: Marks) -> io::Result<()> {
        let count = self.count + 1;
        let at = if count.is_multiple_of(2) { 0 } else { SECOND.into() };
        self.file.write_all_at(&encode(&marks, count), at)?;
        (self.count, self.marks) = (count, marks);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn marks(written: i64) -> Marks {
        Marks {
            store: store("019ab6c25f0e7c119d0a3b6d6c1f6d10"),
            starts: 3,
            written,
            reserved_no: written + STEP,
            reserved_seq: 1_795_000_123,
            from_memory: written % 2 == 1,
        }
    }

    #[track_caller]
    fn assert_says(folder: &Path, written: i64) {
        match read(folder) {
            WitnessFile::Sound(found, _) => assert_eq!(found, marks(written)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), WitnessFile::Absent));
        let mut witness = Witness::begin(folder.path(), marks(0)).unwrap();
        for written in 0..9 {
            witness.note(marks(written)).unwrap();
            assert_says(folder.path(), written);
        }
        drop(witness);
        let mut again = Witness::begin(folder.path(), marks(20)).unwrap();
        assert_says(folder.path(), 20);
        again.keep(marks(21)).unwrap();
        assert_says(folder.path(), 21);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, fs::read_dir(folder.path()).unwrap().count()), (0o600, 1));
    }

    #[test]
    fn a_write_torn_at_any_byte_leaves_the_slot_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        for first in [4, 5] {
            let mut witness = Witness::begin(folder.path(), marks(first)).unwrap();
            let before = fs::read(&file).unwrap();
            witness.note(marks(9)).unwrap();
            let after = fs::read(&file).unwrap();
            let differs: Vec<usize> =
                (0..after.len()).filter(|at| before.get(*at) != after.get(*at)).collect();
            let (from, to) = (differs[0], differs[differs.len() - 1]);
            for cut in from + 1..=to {
                let mut torn = before.clone();
                torn[from..cut].copy_from_slice(&after[from..cut]);
                fs::write(&file, &torn).unwrap();
                assert_says(folder.path(), first);
            }
            fs::write(&file, &after).unwrap();
            assert_says(folder.path(), 9);
        }
    }

    #[test]
    fn what_is_no_witness_is_made_anew() {
        for content in [vec![], vec![7; 50], vec![7; 10_000], encode(&marks(1), 1)[..40].to_vec()] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), content).unwrap();
            assert!(matches!(read(folder.path()), WitnessFile::Damaged));
            Witness::begin(folder.path(), marks(2)).unwrap();
            assert_says(folder.path(), 2);
        }
    }

    #[test]
    fn the_witness_of_a_newer_build_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut slot = encode(&marks(1), 1);
        slot[8] = 2;
        fs::write(folder.path().join(FILE), &slot).unwrap();
        assert!(matches!(read(folder.path()), WitnessFile::Newer(2)));
        assert!(Witness::begin(folder.path(), marks(2)).is_err());
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), slot);
    }
}
