//! Orders to the simulated disk (`disk.c`, preloaded into this process).
//!
//! The disk lies below SQLite's own file layer and not in its place: so pictures, files that are set aside, locks and
//! whatever else is kept beside the database meet the same faults, and the real file layer runs. Crates that put a file
//! system of their own under SQLite were looked at: one needs libclang to build, the other is no longer kept, and none
//! sees the other files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names the folder of the disk; only a process with the disk preloaded has it.
pub(crate) const FOLDER: &str = "SIMULATED_DISK";

/// The errors a disk can give, as errno.
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;

/// Compiles the library that is preloaded; its path.
pub(crate) fn library() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (library, next) = (folder.join("disk.so"), folder.join(format!("disk-{}.so", std::process::id())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/disk.c");
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).args([&next, &source]).status();
    assert!(compiler.expect("cc is installed; the build needs it too").success(), "disk.c does not compile");
    fs::rename(&next, &library).expect("the build folder can be written");
    library
}

/// A folder in memory for the disk of one process.
pub(crate) fn make_folder(worker: u64) -> PathBuf {
    let shared = Path::new("/dev/shm");
    let base =
        if fs::metadata(shared).is_ok_and(|at| at.is_dir()) { shared.to_owned() } else { env::temp_dir() };
    let folder = base.join(format!("alarmbus-simulation-{}-{worker}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder in memory can be made");
    folder
}

/// The disk of this process.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
    stopped: PathBuf,
    control: PathBuf,
}

impl Disk {
    /// The disk that is preloaded.
    pub(crate) fn preloaded() -> Self {
        let folder = PathBuf::from(env::var_os(FOLDER).expect("the disk is preloaded"));
        Self { stopped: folder.join(".stopped"), control: folder.join(".disk"), folder }
    }

    /// Folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn order(&self, line: &str) {
        fs::write(&self.control, line).expect("the disk takes orders");
    }

    /// Makes each write and sync fail with this error; 0: succeed again.
    pub(crate) fn fail(&self, errno: i32) {
        self.order(&format!("fail {errno}"));
    }

    /// Fails the power after this number of operations; 0: now.
    pub(crate) fn stop_at(&self, operation: u32) {
        self.order(&format!("stop {operation}"));
    }

    /// Returns whether the power has failed.
    pub(crate) fn is_stopped(&self) -> bool {
        fs::symlink_metadata(&self.stopped).is_ok()
    }

    /// Restores the power; unsynced data is lost, as the seed decides.
    pub(crate) fn lose_unsynced(&self, seed: u64) {
        self.order(&format!("lose {}", seed >> 1));
    }

    /// Makes everything written so far durable.
    pub(crate) fn settle(&self) {
        self.order("forget");
    }
}
