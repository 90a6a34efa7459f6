//! A small file system of its own, for a disk that is full or read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when dropped.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts a tmpfs of this size at a folder, which is created.
    ///
    /// # Panics
    /// When mounting is not permitted.
    pub(crate) fn at(path: &Path, bytes: u64) -> Self {
        std::fs::create_dir_all(path).expect("the folder can be made");
        let mount = Self { path: path.to_owned() };
        mount.run("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "alarmbus-it"]);
        mount
    }

    /// Makes it read-only, or writable again.
    pub(crate) fn read_only(&self, yes: bool) {
        self.run("mount", &["-o", if yes { "remount,ro" } else { "remount,rw" }]);
    }

    /// Fills it to the last block; returns the file that does.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.path.join("filler");
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(&filler).expect("a file can be made");
        for size in [1 << 20, 1 << 16, 1 << 12] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
        filler
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).arg(&self.path).output();
        let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
        assert!(
            output.status.success(),
            "A SMALL FILE SYSTEM CANNOT BE MOUNTED, SO A FULL AND A READ-ONLY DISK CANNOT BE TESTED HERE. Run the tests as \
             root of a machine or a container that may mount (docker run --cap-add SYS_ADMIN). {program} said: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the bridge may still have files open in it.
        let _gone = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
