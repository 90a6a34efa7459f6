//! Identity of this instance: instance id, secret paths, and the key for picture URLs. Each is a file of its own in the
//! storage folder, because the database may have to be replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::secrets::{new_path, random, write_private};
use super::webhooks::stored::StoredWebhooks;
use crate::findings::{FindingCode, Findings};
use crate::model::picture::hex;
use crate::outbox::Outbox;

/// File of the secret paths: the generated one and those of `alarmbus webhook add`.
const WEBHOOKS: &str = "webhooks.json";
/// File of the instance id.
const INSTANCE: &str = "instance";
/// File of the key for picture URLs.
const KEY: &str = "snapshot.key";
/// Interval between checks that the files still exist.
const CHECK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// Identity of this instance.
#[derive(Debug)]
pub struct InstanceIdentity {
    folder: PathBuf,
    /// Instance id: 16 random hex digits.
    pub instance: String,
    /// Key for picture URLs.
    pub snapshot_key: [u8; 32],
    /// Generated path, once it was asked for. It stays the same for the whole run even if it could not be stored.
    generated: Mutex<Option<String>>,
}

impl InstanceIdentity {
    /// Reads the identity, or creates and stores it. An identity that cannot be stored lasts for this run only, and a
    /// finding is raised.
    #[must_use]
    pub fn open(folder: &Path, findings: &Findings) -> Self {
        let key = stored_or_new(folder, KEY, 32, findings);
        let mut snapshot_key = [0_u8; 32];
        for (byte, pair) in snapshot_key.iter_mut().zip(key.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .unwrap_or(0);
        }
        Self {
            instance: stored_or_new(folder, INSTANCE, 8, findings),
            snapshot_key,
            folder: folder.to_owned(),
            generated: Mutex::default(),
        }
    }

    /// Reads the instance id from a folder; creates nothing.
    #[must_use]
    pub fn peek(folder: &Path) -> Option<String> {
        let text = fs::read_to_string(folder.join("instance")).ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Reads the secret paths from a folder; creates nothing.
    #[must_use]
    pub(crate) fn open_kept(folder: &Path) -> StoredWebhooks {
        let text = fs::read_to_string(folder.join(WEBHOOKS)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Secret paths stored in this instance's folder.
    #[must_use]
    pub fn webhooks(&self) -> StoredWebhooks {
        Self::open_kept(&self.folder)
    }

    /// Reason why the generated path changes at each start, if it does.
    #[must_use]
    pub fn path_not_kept(findings: &Findings) -> Option<String> {
        let found = findings.list().into_iter();
        let mut lost =
            found.filter(|one| one.kind.code == FindingCode::SecretNotKept && one.subject == WEBHOOKS);
        lost.next().map(|finding| finding.detail)
    }

    /// Generated path; created and stored at the first call.
    #[must_use]
    pub fn generated_path(&self, findings: &Findings) -> String {
        let make = || self.webhooks().generated.unwrap_or_else(new_path);
        let path = self.generated().get_or_insert_with(make).clone();
        if let Err(error) = self.keep_generated() {
            let detail = format!(
                "{} cannot be written ({error}): the URL for the cameras changes at each start; [[webhooks]] path sets one that stays",
                self.folder.join(WEBHOOKS).display()
            );
            findings.raise(FindingCode::SecretNotKept, WEBHOOKS, &detail);
        }
        path
    }

    /// Stores the generated path, unless it is stored already.
    fn keep_generated(&self) -> io::Result<()> {
        let mut webhooks = self.webhooks();
        let generated = self.generated().clone();
        if generated.is_none() || webhooks.generated == generated {
            return Ok(());
        }
        webhooks.generated = generated;
        self.keep_webhooks(&webhooks)
    }

    /// Stores, until the stop, whatever could not be stored at the start or was deleted with its folder.
    pub(super) async fn store_missing(
        self: std::sync::Arc<Self>,
        outbox: Outbox,
        findings: Findings,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let here = self.folder.join(INSTANCE).try_exists().unwrap_or(true);
            if here || !outbox.durable() {
                continue;
            }
            match self.keep_all() {
                Ok(()) => {
                    [WEBHOOKS, KEY, INSTANCE]
                        .iter()
                        .for_each(|name| findings.settle(FindingCode::SecretNotKept, name));
                    tracing::info!("the secrets of this instance are stored in the storage folder again");
                }
                Err(error) => tracing::debug!("the secrets of this instance cannot be stored yet: {error}"),
            }
        }
    }

    fn keep_all(&self) -> io::Result<()> {
        self.keep_generated()?;
        write_private(&self.folder.join(KEY), hex(&self.snapshot_key).as_bytes())?;
        write_private(&self.folder.join(INSTANCE), self.instance.as_bytes())
    }

    /// Stores the secret paths.
    ///
    /// # Errors
    /// Fails when the folder cannot be written.
    pub fn keep_webhooks(&self, webhooks: &StoredWebhooks) -> io::Result<()> {
        let text = serde_json::to_string_pretty(webhooks).unwrap_or_default();
        write_private(&self.folder.join(WEBHOOKS), text.as_bytes())?;
        if webhooks.generated.is_some() {
            self.generated().clone_from(&webhooks.generated);
        }
        Ok(())
    }

    fn generated(&self) -> MutexGuard<'_, Option<String>> {
        self.generated.lock()
    }
}

/// Reads a stored secret, or creates one of `bytes` bytes (as hex) and stores it.
fn stored_or_new(folder: &Path, name: &'static str, bytes: usize, findings: &Findings) -> String {
    let path = folder.join(name);
    let fits = |text: &String| text.len() == bytes * 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let found = fs::read_to_string(&path).map(|text| text.trim().to_owned());
    if let Some(text) = found.ok().filter(fits) {
        return text;
    }
    let made = hex(&random(bytes));
    if let Err(error) = write_private(&path, made.as_bytes()) {
        let what = match name {
            KEY => "links to pictures sent before a restart do not work after it",
            _ => "each start appears as another bridge in Home Assistant and at the broker",
        };
        findings.raise(
            FindingCode::SecretNotKept,
            name,
            &format!("{} cannot be written ({error}): {what}", path.display()),
        );
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_stays_itself() {
        let folder = tempfile::tempdir().unwrap();
        let findings = Findings::default();
        let first = InstanceIdentity::open(folder.path(), &findings);
        let again = InstanceIdentity::open(folder.path(), &findings);
        assert_eq!((&first.instance, first.snapshot_key), (&again.instance, again.snapshot_key));
        assert_eq!(first.generated_path(&findings), again.generated_path(&findings));
        assert_ne!(first.snapshot_key, [0; 32]);
        assert!(findings.list().is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_finding() {
        let findings = Findings::default();
        let identity = InstanceIdentity::open(Path::new("/proc/no/such"), &findings);
        assert_eq!(identity.instance.len(), 16);
        assert_eq!(InstanceIdentity::path_not_kept(&findings), None);
        assert!(identity.generated_path(&findings).starts_with("/alarm/"));
        let found = findings.list();
        let subjects: Vec<&str> = found.iter().map(|one| one.subject.as_str()).collect();
        for (name, words) in
            [(KEY, "links to pictures"), (INSTANCE, "another bridge"), (WEBHOOKS, "URL for the cameras")]
        {
            let at = subjects.iter().position(|subject| *subject == name).unwrap();
            assert_eq!(found[at].kind.code, FindingCode::SecretNotKept);
            assert!(found[at].detail.contains(words), "{}", found[at].detail);
        }
        assert!(InstanceIdentity::path_not_kept(&findings).unwrap().contains("/proc/no/such"));
    }
}
