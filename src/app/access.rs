//! Whether the admin page needs a login, and with which password.

use std::net::IpAddr;
use std::path::Path;

use axum::http::request::Parts;
use url::form_urlencoded;
use uuid::Uuid;

use super::identity::{Identity, random, write_private};
use crate::cli::out;
use crate::config::{Config, Secret};
use crate::findings::Findings;
use crate::http::Access;
use crate::model::picture::hex;
use crate::render;

/// The generated password, in the storage folder.
const FILE: &str = "admin.password";

/// The access rules of a run: no login on loopback, unless a password is set; elsewhere never without one.
pub(super) fn access(
    config: &Config,
    identity: &Identity,
    admin: IpAddr,
    findings: &Findings,
) -> anyhow::Result<Access> {
    let key = identity.snapshot_key;
    let has_key = Box::new(move |parts: &Parts| has_key(parts, &key));
    let configured = config.admin.password.as_ref().map(Secret::expose);
    if configured.is_some() || admin.is_loopback() {
        return Ok(Access::new(&config.admin, configured, has_key));
    }
    let (password, made) = generated(&config.storage.path, findings);
    let path = config.storage.path.join(FILE);
    if made && !config.stdout.enabled {
        let text = format!(
            "The password of the page, shown this once (and kept in {}): {password}\n",
            path.display()
        );
        out::print(&text)?;
    } else {
        tracing::info!(listener = "admin", "the password of the page is in {}", path.display());
    }
    Ok(Access::new(&config.admin, Some(&password), has_key))
}

/// Whether a request is for a picture and brings its key.
fn has_key(parts: &Parts, key: &[u8; 32]) -> bool {
    let name = parts.uri.path().strip_prefix("/snapshots/").and_then(|name| name.strip_suffix(".jpg"));
    let id = name.and_then(|id| Uuid::parse_str(id).ok());
    let query = parts.uri.query().unwrap_or_default();
    let given = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "k");
    id.zip(given).is_some_and(|(id, (_, given))| render::url::verify(key, id, &given))
}

/// The kept password, or a new one; whether it is new.
fn generated(folder: &Path, findings: &Findings) -> (String, bool) {
    let path = folder.join(FILE);
    let kept = std::fs::read_to_string(&path).map(|text| text.trim().to_owned());
    if let Some(password) = kept.ok().filter(|password| !password.is_empty()) {
        return (password, false);
    }
    let password = hex(&random(16));
    if let Err(error) = write_private(&path, password.as_bytes()) {
        let detail = format!("the generated password of the page could not be kept: {error}");
        findings.raise("secret_not_kept", "admin", &detail);
    }
    (password, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, findings) = (tempfile::tempdir().unwrap(), Findings::default());
        let (first, made) = generated(folder.path(), &findings);
        assert!(made && first.len() == 32);
        assert_eq!(generated(folder.path(), &findings), (first, false));
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(generated(Path::new("/proc/no/such"), &findings).1);
        assert_eq!(findings.list().len(), 1);
    }
}
