//! Certificates of the listeners. They are opened at the start and read again when their files change or on SIGHUP.
//! Without a configured certificate one is created in the storage folder.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::lan_address;
use crate::app::secrets::write_private;
use crate::config::Config;
use crate::findings::{FindingCode, Findings};
use crate::http::Tls;
use crate::terminal::{Code, Failure};
use crate::tls::server::{Certificate, TlsError, self_signed};

/// Interval between checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Files of the self-signed certificate and its key in the storage folder.
const SELF_SIGNED_FILES: [&str; 2] = ["https.cert.pem", "https.key.pem"];

/// Paths of certificate chain and key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// Length and modification time of each file, to detect changes.
type Stamp = [Option<(u64, SystemTime)>; 2];

/// Certificate of one listener.
#[derive(Debug)]
struct Served {
    listener: &'static str,
    state: Mutex<State>,
    tls: Tls,
}

#[derive(Debug)]
struct State {
    files: Option<Files>,
    stamp: Stamp,
    fingerprint: String,
}

/// Certificates of all listeners; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::app) struct Certificates {
    https: Option<Arc<Served>>,
    admin: Option<Arc<Served>>,
    findings: Findings,
}

impl Certificates {
    /// Opens the configured certificates, or creates one for `[https]`.
    ///
    /// # Errors
    /// Fails with exit code 78 when a configured certificate cannot be used.
    pub(in crate::app) fn open(config: &Config, findings: &Findings) -> anyhow::Result<Self> {
        let https = match &config.https {
            None => None,
            Some(https) => Some(match files(https.cert.as_ref(), https.key.as_ref()) {
                Some(files) => Served::open("https", files)?,
                None => Served::open_self_signed(&config.storage.path, findings)?,
            }),
        };
        let admin = files(config.admin.cert.as_ref(), config.admin.key.as_ref());
        let admin = admin.map(|files| Served::open("admin", files)).transpose()?;
        Ok(Self { https: https.map(Arc::new), admin: admin.map(Arc::new), findings: findings.clone() })
    }

    /// TLS settings of the `https` listener.
    pub(in crate::app) fn https(&self) -> Option<Tls> {
        self.https.as_ref().map(|served| Arc::clone(&served.tls))
    }

    /// TLS settings of the admin listener.
    pub(in crate::app) fn admin(&self) -> Option<Tls> {
        self.admin.as_ref().map(|served| Arc::clone(&served.tls))
    }

    /// Fingerprint of the certificate that cameras see, for the log and the Setup page.
    pub(in crate::app) fn fingerprint(&self) -> Option<String> {
        self.https.as_ref().map(|served| served.state().fingerprint.clone())
    }

    /// Reads changed files again, until the stop.
    pub(in crate::app) async fn watch(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            for served in [&self.https, &self.admin].into_iter().flatten() {
                if served.changed() {
                    served.read_again(&self.findings);
                }
            }
        }
    }

    /// Reads all files again, from the paths of this configuration.
    pub(in crate::app) fn reload(&self, config: &Config) {
        let https = config.https.as_ref().and_then(|https| files(https.cert.as_ref(), https.key.as_ref()));
        let admin = files(config.admin.cert.as_ref(), config.admin.key.as_ref());
        for (served, files) in [(&self.https, https), (&self.admin, admin)] {
            let Some(served) = served else { continue };
            if files.is_some() {
                served.state().files = files;
            }
            served.read_again(&self.findings);
        }
    }
}

impl Served {
    /// Opens the configured files of a listener.
    fn open(listener: &'static str, files: Files) -> anyhow::Result<Self> {
        let stamp = stamp(&files);
        let certificate = read(&files).map_err(|text| {
            Failure::new(Code::Config, format!("{listener}.cert {}: {text}", files.cert.display()))
        })?;
        Ok(Self::new(listener, Some(files), stamp, &certificate))
    }

    /// Opens the self-signed certificate in the storage folder; creates it if it is absent or damaged.
    fn open_self_signed(folder: &Path, findings: &Findings) -> anyhow::Result<Self> {
        let files = Files { cert: folder.join(SELF_SIGNED_FILES[0]), key: folder.join(SELF_SIGNED_FILES[1]) };
        let found = files.cert.try_exists().unwrap_or(false).then(|| read(&files));
        match found {
            Some(Ok(certificate)) => return Ok(Self::new("https", None, Stamp::default(), &certificate)),
            Some(Err(text)) => {
                findings.raise(FindingCode::Certificate, "https", &format!("{text}; a new one was made"))
            }
            None => {}
        }
        let (names, addresses) = own_names();
        let made = self_signed(&names, &addresses)?;
        let certificate = Certificate::from_pem(made.cert.as_bytes(), made.key.as_bytes())?;
        let kept = write_private(&files.key, made.key.as_bytes())
            .and_then(|()| write_private(&files.cert, made.cert.as_bytes()));
        if let Err(error) = kept {
            let detail = format!(
                "{} cannot be written ({error}): the certificate of [https] changes at each start; https.cert and https.key set one that stays",
                folder.display()
            );
            findings.raise(FindingCode::SecretNotKept, SELF_SIGNED_FILES[0], &detail);
        }
        Ok(Self::new("https", None, Stamp::default(), &certificate))
    }

    fn new(listener: &'static str, files: Option<Files>, stamp: Stamp, certificate: &Certificate) -> Self {
        let Certificate { config, fingerprint } = certificate.clone();
        tracing::info!(listener, "the certificate's SHA-256 fingerprint is {fingerprint}");
        let state = Mutex::new(State { files, stamp, fingerprint });
        Self { listener, state, tls: Arc::new(ArcSwap::new(config)) }
    }

    /// Returns whether the files changed since the last check.
    fn changed(&self) -> bool {
        let state = self.state();
        state.files.as_ref().is_some_and(|files| stamp(files) != state.stamp)
    }

    /// Reads the files again. Files that cannot be used change nothing and raise a finding.
    fn read_again(&self, findings: &Findings) {
        let mut state = self.state();
        let Some(files) = state.files.clone() else { return };
        // The stamp is taken before the files are read, so that a change in between is seen at the next check.
        state.stamp = stamp(&files);
        match read(&files) {
            Ok(Certificate { config, fingerprint }) => {
                if fingerprint != state.fingerprint {
                    tracing::info!(
                        listener = self.listener,
                        "a new certificate is in use; its SHA-256 fingerprint is {fingerprint}"
                    );
                }
                state.fingerprint = fingerprint;
                self.tls.store(config);
                findings.settle(FindingCode::Certificate, self.listener);
            }
            Err(text) => findings.raise(FindingCode::Certificate, self.listener, &text),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The pair of paths, if both are set; the configuration's check refuses only one of them.
fn files(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Files> {
    Some(Files { cert: cert?.clone(), key: key?.clone() })
}

/// Reads certificate and key.
fn read(files: &Files) -> Result<Certificate, String> {
    let content =
        |path: &Path| fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
    Certificate::from_pem(&content(&files.cert)?, &content(&files.key)?)
        .map_err(|error: TlsError| error.to_string())
}

/// Current stamp of the files.
fn stamp(files: &Files) -> Stamp {
    [&files.cert, &files.key].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.len(), about.modified().ok()?))
    })
}

/// Names and addresses of this machine, as far as they are known.
fn own_names() -> (Vec<String>, Vec<IpAddr>) {
    let mut names = vec!["localhost".to_owned(), "alarmbus".to_owned(), "alarmbus.local".to_owned()];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !host.is_empty() && host.len() < 64 && host.chars().all(plain) && !names.contains(&host) {
        names.push(host);
    }
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    addresses.extend(lan_address().filter(|ip| !ip.is_loopback()));
    (names, addresses)
}
