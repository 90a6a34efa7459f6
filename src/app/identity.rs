//! What makes this instance itself, kept in the storage folder as files of their own: the instance id, the secret
//! paths, the key behind picture addresses. Never only in the database, which may have to be set aside.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::kept::KeptWebhooks;
use crate::findings::Findings;
use crate::model::picture::hex;
use crate::outbox::Outbox;

/// File of the generated path and of those of `alarmbus webhook add`.
const WEBHOOKS: &str = "webhooks.json";
/// File of the instance id.
const INSTANCE: &str = "instance";
/// File of the key behind picture addresses.
const KEY: &str = "snapshot.key";
/// How often it is looked whether these are still there.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// What makes this instance itself.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    /// Random, kept: 16 hex digits.
    pub instance: String,
    /// The key behind picture addresses.
    pub snapshot_key: [u8; 32],
    /// The generated path, once it was asked for: it is the same for the whole run, kept or not.
    generated: Mutex<Option<String>>,
}

impl Identity {
    /// Reads it, or makes and keeps it. Where the folder cannot be written it lasts for this run, and that is a
    /// finding.
    #[must_use]
    pub fn open(folder: &Path, findings: &Findings) -> Self {
        let key = kept(folder, KEY, 32, findings);
        let mut snapshot_key = [0_u8; 32];
        for (byte, pair) in snapshot_key.iter_mut().zip(key.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .unwrap_or(0);
        }
        Self {
            instance: kept(folder, INSTANCE, 8, findings),
            snapshot_key,
            folder: folder.to_owned(),
            generated: Mutex::default(),
        }
    }

    /// The instance id kept in a folder, if there is one already; makes nothing.
    #[must_use]
    pub fn peek(folder: &Path) -> Option<String> {
        let text = fs::read_to_string(folder.join("instance")).ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// The secret paths kept here.
    #[must_use]
    pub fn webhooks(&self) -> KeptWebhooks {
        let text = fs::read_to_string(self.folder.join(WEBHOOKS)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The generated path; made and kept at the first call.
    #[must_use]
    pub fn generated_path(&self, findings: &Findings) -> String {
        let make = || self.webhooks().generated.unwrap_or_else(new_path);
        let path = self.generated().get_or_insert_with(make).clone();
        if let Err(error) = self.keep_generated() {
            let detail = format!("the generated path could not be kept: {error}");
            findings.raise("secret_not_kept", "storage", &detail);
        }
        path
    }

    /// Writes the generated path down, unless it is.
    fn keep_generated(&self) -> io::Result<()> {
        let mut webhooks = self.webhooks();
        let generated = self.generated().clone();
        if generated.is_none() || webhooks.generated == generated {
            return Ok(());
        }
        webhooks.generated = generated;
        self.keep_webhooks(&webhooks)
    }

    /// Until the stop: keeps what could not be kept at the start, and again what was deleted with its folder.
    pub(super) async fn keep(
        self: std::sync::Arc<Self>,
        outbox: Outbox,
        findings: Findings,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let here = self.folder.join(INSTANCE).try_exists().unwrap_or(true);
            if here || !outbox.durable() {
                continue;
            }
            match self.keep_all() {
                Ok(()) => {
                    findings.settle("secret_not_kept", "storage");
                    tracing::info!("the secrets of this instance are kept in the storage folder again");
                }
                Err(error) => tracing::debug!("the secrets of this instance cannot be kept yet: {error}"),
            }
        }
    }

    fn keep_all(&self) -> io::Result<()> {
        self.keep_generated()?;
        write_private(&self.folder.join(KEY), hex(&self.snapshot_key).as_bytes())?;
        write_private(&self.folder.join(INSTANCE), self.instance.as_bytes())
    }

    /// Keeps the secret paths.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_webhooks(&self, webhooks: &KeptWebhooks) -> io::Result<()> {
        let text = serde_json::to_string_pretty(webhooks).unwrap_or_default();
        write_private(&self.folder.join(WEBHOOKS), text.as_bytes())?;
        if webhooks.generated.is_some() {
            self.generated().clone_from(&webhooks.generated);
        }
        Ok(())
    }

    fn generated(&self) -> MutexGuard<'_, Option<String>> {
        self.generated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new secret path: 128 random bits.
#[must_use]
pub fn new_path() -> String {
    format!("/alarm/{}", hex(&random(16)))
}

/// Random bytes. A system that has none to give cannot keep secrets; then time has to do, which a finding tells.
fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; count];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!("the system gives no randomness ({error}): secrets made now can be guessed");
        for chunk in bytes.chunks_mut(16) {
            let id = uuid::Uuid::now_v7();
            for (byte, other) in chunk.iter_mut().zip(id.as_bytes()) {
                *byte = *other;
            }
        }
    }
    bytes
}

/// Reads a small secret, or makes one of so many bytes (as hex) and keeps it.
fn kept(folder: &Path, name: &str, bytes: usize, findings: &Findings) -> String {
    let path = folder.join(name);
    let fits = |text: &String| text.len() == bytes * 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let found = fs::read_to_string(&path).map(|text| text.trim().to_owned());
    if let Some(text) = found.ok().filter(fits) {
        return text;
    }
    let made = hex(&random(bytes));
    if let Err(error) = write_private(&path, made.as_bytes()) {
        findings.raise(
            "secret_not_kept",
            "storage",
            &format!("{} could not be kept: {error}", path.display()),
        );
    }
    made
}

/// Writes a file that only its owner reads; whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_stays_itself() {
        let folder = tempfile::tempdir().unwrap();
        let findings = Findings::default();
        let first = Identity::open(folder.path(), &findings);
        let again = Identity::open(folder.path(), &findings);
        assert_eq!((&first.instance, first.snapshot_key), (&again.instance, again.snapshot_key));
        assert_eq!(first.generated_path(&findings), again.generated_path(&findings));
        assert_ne!(first.snapshot_key, [0; 32]);
        assert!(findings.list().is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_finding() {
        let findings = Findings::default();
        let identity = Identity::open(Path::new("/proc/no/such"), &findings);
        assert_eq!(identity.instance.len(), 16);
        assert_eq!(findings.list()[0].kind.code, "secret_not_kept");
    }
}
