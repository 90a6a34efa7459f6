//! Login to the admin page: whether it is required, and the password.

use std::net::IpAddr;
use std::path::Path;

use axum::http::request::Parts;
use url::form_urlencoded;
use uuid::Uuid;

use crate::app::identity::InstanceIdentity;
use crate::app::secrets::{random, write_private};
use crate::config::{Config, Secret};
use crate::findings::{FindingCode, Findings};
use crate::model::picture::hex;
use crate::render;
use crate::terminal::out;
use crate::web::access::Access;

/// File of the generated password in the storage folder.
const FILE: &str = "admin.password";

/// Access rules of this run. A loopback address needs no login unless a password is set; any other address always needs
/// one.
pub(in crate::app) fn access(
    config: &Config,
    identity: &InstanceIdentity,
    admin: IpAddr,
    findings: &Findings,
) -> anyhow::Result<Access> {
    let key = identity.snapshot_key;
    let has_key = Box::new(move |parts: &Parts| has_key(parts, &key));
    let configured = config.admin.password.as_ref().map(Secret::expose);
    if configured.is_some() || admin.is_loopback() {
        return Ok(Access::new(&config.admin, configured, has_key));
    }
    let (password, origin) = generated(&config.storage.path, findings);
    let path = config.storage.path.join(FILE);
    let shown = match origin {
        Origin::Stored => None,
        Origin::Made => Some(format!("stored in {}", path.display())),
        Origin::NotStored => Some(format!("another one at each start: {} cannot be written", path.display())),
    };
    if let Some(about) = shown.filter(|_| !config.stdout.enabled) {
        out::print(&format!("Web page password ({about}): {password}\n"))?;
    } else {
        tracing::info!(listener = "admin", "the password of the page is in {}", path.display());
    }
    Ok(Access::new(&config.admin, Some(&password), has_key))
}

/// Returns whether a request is for a picture and brings its key.
fn has_key(parts: &Parts, key: &[u8; 32]) -> bool {
    let name = parts.uri.path().strip_prefix("/snapshots/").and_then(|name| name.strip_suffix(".jpg"));
    let id = name.and_then(|id| Uuid::parse_str(id).ok());
    let query = parts.uri.query().unwrap_or_default();
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "k");
    id.zip(given).is_some_and(|(id, (_, given))| render::url::verify(key, id, &given))
}

/// Origin of a generated password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Read from the storage folder.
    Stored,
    /// Created now and stored.
    Made,
    /// Created now; it could not be stored.
    NotStored,
}

/// The stored password, or a new one.
fn generated(folder: &Path, findings: &Findings) -> (String, Origin) {
    let path = folder.join(FILE);
    let kept = std::fs::read_to_string(&path).map(|text| text.trim().to_owned());
    if let Some(password) = kept.ok().filter(|password| !password.is_empty()) {
        return (password, Origin::Stored);
    }
    let password = hex(&random(16));
    if let Err(error) = write_private(&path, password.as_bytes()) {
        let detail = format!(
            "{} cannot be written ({error}): the password of the page changes at each start; admin.password sets one that stays",
            path.display()
        );
        findings.raise(FindingCode::SecretNotKept, FILE, &detail);
        return (password, Origin::NotStored);
    }
    (password, Origin::Made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, findings) = (tempfile::tempdir().unwrap(), Findings::default());
        let (first, origin) = generated(folder.path(), &findings);
        assert!(origin == Origin::Made && first.len() == 32);
        assert_eq!(generated(folder.path(), &findings), (first, Origin::Stored));
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(generated(Path::new("/proc/no/such"), &findings).1, Origin::NotStored);
        assert_eq!(findings.list().len(), 1);
    }
}
