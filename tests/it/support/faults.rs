//! A disk that is slow, full or broken, and a clock that is set: a small library in C, preloaded into the bridge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The active faults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wrong {
    /// Duration of every sync in milliseconds.
    pub(crate) sync_ms: u32,
    /// Error number of every write.
    pub(crate) error: Option<i32>,
    /// Offset of the wall clock in seconds.
    pub(crate) clock: i64,
}

/// Faults of one bridge; changed while it runs.
pub(crate) struct Faults {
    folder: TempDir,
}

/// `EIO`: the disk is broken.
pub(crate) const EIO: i32 = 5;
/// `ENOSPC`: it is full.
pub(crate) const ENOSPC: i32 = 28;
/// `EROFS`: it is read-only.
pub(crate) const EROFS: i32 = 30;

impl Faults {
    /// Creates it without faults.
    pub(crate) fn none() -> Self {
        let faults = Self { folder: TempDir::new().expect("a temporary folder can be made") };
        faults.set(Wrong::default());
        faults
    }

    /// Sets the active faults.
    pub(crate) fn set(&self, wrong: Wrong) {
        let text =
            format!("sync_ms {}\nfail {}\nclock {}\n", wrong.sync_ms, wrong.error.unwrap_or(0), wrong.clock);
        let next = self.folder.path().join("next");
        fs::write(&next, text).expect("the folder can be written");
        fs::rename(&next, self.file()).expect("the folder can be written");
    }

    /// Environment of the bridge, for faults of the files below a folder.
    pub(crate) fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".into(), text(library())),
            ("FAULTS_FILE".into(), text(&self.file())),
            ("FAULTS_FOLDER".into(), text(folder)),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("faults")
    }
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join("faults.so");
        // Another test process may be loading the previous one.
        let next = folder.join(format!("faults-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/faults.c");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&next, &source])
            .arg("-ldl")
            .status();
        let done = compiler.expect("cc is installed; the build needs it too");
        assert!(done.success(), "tests/it/support/faults.c is compiled");
        fs::rename(&next, &library).expect("the folder can be written");
        library
    })
}
