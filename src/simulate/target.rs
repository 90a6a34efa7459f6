//! Target of the alarms: a URL, or the bridge that runs on this machine.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

/// File in the storage folder of a running bridge, with the addresses of its listeners.
pub const RUNNING: &str = "running.json";

/// Address of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address to connect to.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The `Host` header.
    pub authority: String,
    /// The path, with its secret.
    pub path: String,
    /// Set for TLS; the certificate is not checked.
    pub tls: bool,
}

/// Reason why there is no target.
#[derive(Debug, thiserror::Error)]
pub enum NoTarget {
    /// The URL is not one of a webhook.
    #[error("{0:?} is not a webhook: copy the whole URL, http://<bridge>:8089/alarm/<secret>")]
    NotAUrl(String),
    /// No bridge runs with this folder.
    #[error(
        "no bridge runs with the storage folder {}: {cause}. Start one (`alarmbus`), name its folder with \
         --storage, or name the webhook with --url", folder.display()
    )]
    NoBridge {
        /// The folder that was looked into.
        folder: PathBuf,
        /// Cause of the failure.
        cause: String,
    },
}

/// Fields of the file that are used here.
#[derive(Deserialize)]
struct Running {
    webhooks: Vec<String>,
}

impl Target {
    /// Parses an `http://` or `https://` URL.
    ///
    /// # Errors
    /// Returns an error when it is not valid.
    pub fn parse(text: &str) -> Result<Self, NoTarget> {
        let refuse = || NoTarget::NotAUrl(text.into());
        let url = Url::parse(text).map_err(|_| refuse())?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(refuse()),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(refuse());
        };
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Ok(Self {
            host: host.trim_matches(['[', ']']).into(),
            port,
            authority: format!("{host}:{port}"),
            path: format!("{}{query}", url.path()),
            tls,
        })
    }

    /// The first webhook of the bridge that runs with this storage folder.
    ///
    /// # Errors
    /// Returns an error when none runs there.
    pub fn of_bridge(folder: &Path) -> Result<Self, NoTarget> {
        let refuse = |cause: String| NoTarget::NoBridge { folder: folder.into(), cause };
        let file = folder.join(RUNNING);
        let bytes = std::fs::read(&file).map_err(|error| refuse(format!("{RUNNING}: {error}")))?;
        let running: Running =
            serde_json::from_slice(&bytes).map_err(|error| refuse(format!("{RUNNING}: {error}")))?;
        // Plain HTTP first, which most devices use.
        let plain = running.webhooks.iter().find(|url| url.starts_with("http://"));
        let url = plain.or_else(|| running.webhooks.first());
        Self::parse(url.ok_or_else(|| refuse(format!("{RUNNING} names no webhook")))?)
    }
}

#[cfg(test)]
mod tests {
    use super::{NoTarget, RUNNING, Target};

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("http://192.0.2.5:8089/alarm/s?x=1").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.tls), ("192.0.2.5", 8089, false));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("192.0.2.5:8089", "/alarm/s?x=1"));
        let six = Target::parse("https://[::1]/a").unwrap();
        assert_eq!((six.host.as_str(), six.port, six.authority.as_str()), ("::1", 443, "[::1]:443"));
        for wrong in ["", "alarm", "mqtt://x:1", "file:///x"] {
            assert!(matches!(Target::parse(wrong), Err(NoTarget::NotAUrl(_))), "{wrong}");
        }
    }

    #[test]
    fn a_running_bridge_is_found_by_its_folder() {
        let folder = tempfile::TempDir::new().unwrap();
        let error = Target::of_bridge(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no bridge runs") && error.contains("--url"), "{error}");
        let text =
            r#"{"ingest": [], "webhooks": ["https://h:2/b", "http://h:1/a"], "admin": null, "mqtt": null}"#;
        std::fs::write(folder.path().join(RUNNING), text).unwrap();
        assert_eq!(Target::of_bridge(folder.path()).unwrap().authority, "h:1");
        std::fs::write(folder.path().join(RUNNING), r#"{"webhooks": []}"#).unwrap();
        assert!(Target::of_bridge(folder.path()).unwrap_err().to_string().contains("names no webhook"));
    }
}
