//! Secrets of this instance: random bytes, and files that only their owner can read.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::model::picture::hex;

/// Creates a secret path with 128 random bits.
#[must_use]
pub(super) fn new_path() -> String {
    format!("/alarm/{}", hex(&random(16)))
}

/// Random bytes. If the system provides none, they are derived from the time, and the log says that secrets can be
/// guessed.
pub(super) fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; count];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!("the system provides no randomness ({error}): secrets generated now can be guessed");
        for chunk in bytes.chunks_mut(16) {
            let id = uuid::Uuid::now_v7();
            for (byte, other) in chunk.iter_mut().zip(id.as_bytes()) {
                *byte = *other;
            }
        }
    }
    bytes
}

/// Writes a file atomically, readable by its owner only.
///
/// # Errors
/// Fails when the folder cannot be written.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let next = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&next, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&next)))
}
