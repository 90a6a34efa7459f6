//! The certificates of the listeners: opened at the start, taken up again when their files change or on SIGHUP, or
//! made and kept in the storage folder where none is configured.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::identity::write_private;
use super::listeners::lan_address;
use crate::cli::{Code, Failure};
use crate::config::Config;
use crate::findings::Findings;
use crate::http::Tls;
use crate::http::tls::{Certificate, TlsError, self_signed};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// The self-signed certificate and its key, in the storage folder.
const KEPT: [&str; 2] = ["https.cert.pem", "https.key.pem"];

/// Chain and key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What tells that files changed: length and time of each.
type Stamp = [Option<(u64, SystemTime)>; 2];

/// The certificate of one listener.
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

/// The certificates of the listeners; a cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    https: Option<Arc<Served>>,
    admin: Option<Arc<Served>>,
    findings: Findings,
}

impl Certificates {
    /// Opens those of the configuration, or makes one for `[https]`.
    ///
    /// # Errors
    /// When a configured one cannot be used, with exit code 78.
    pub(super) fn open(config: &Config, findings: &Findings) -> anyhow::Result<Self> {
        let https = match &config.https {
            None => None,
            Some(https) => Some(match files(https.cert.as_ref(), https.key.as_ref()) {
                Some(files) => Served::open("https", files)?,
                None => Served::kept(&config.storage.path, findings)?,
            }),
        };
        let admin = files(config.admin.cert.as_ref(), config.admin.key.as_ref());
        let admin = admin.map(|files| Served::open("admin", files)).transpose()?;
        Ok(Self { https: https.map(Arc::new), admin: admin.map(Arc::new), findings: findings.clone() })
    }

    /// TLS of the `https` listener.
    pub(super) fn https(&self) -> Option<Tls> {
        self.https.as_ref().map(|served| Arc::clone(&served.tls))
    }

    /// TLS of the admin listener.
    pub(super) fn admin(&self) -> Option<Tls> {
        self.admin.as_ref().map(|served| Arc::clone(&served.tls))
    }

    /// The fingerprint of the certificate cameras see, for the log and the Setup page.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.https.as_ref().map(|served| served.state().fingerprint.clone())
    }

    /// Takes up files that changed, until the stop.
    pub(super) async fn watch(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            for served in [&self.https, &self.admin].into_iter().flatten() {
                if served.changed() {
                    served.take_up(&self.findings);
                }
            }
        }
    }

    /// Reads all files anew, from where the configuration says now.
    pub(super) fn reload(&self, config: &Config) {
        let https = config.https.as_ref().and_then(|https| files(https.cert.as_ref(), https.key.as_ref()));
        let admin = files(config.admin.cert.as_ref(), config.admin.key.as_ref());
        for (served, files) in [(&self.https, https), (&self.admin, admin)] {
            let Some(served) = served else { continue };
            if files.is_some() {
                served.state().files = files;
            }
            served.take_up(&self.findings);
        }
    }
}

impl Served {
    /// Opens configured files.
    fn open(listener: &'static str, files: Files) -> anyhow::Result<Self> {
        let stamp = stamp(&files);
        let certificate = read(&files).map_err(|text| {
            Failure::new(Code::Config, format!("{listener}.cert {}: {text}", files.cert.display()))
        })?;
        Ok(Self::new(listener, Some(files), stamp, &certificate))
    }

    /// The self-signed one of the storage folder; made if absent or damaged.
    fn kept(folder: &Path, findings: &Findings) -> anyhow::Result<Self> {
        let files = Files { cert: folder.join(KEPT[0]), key: folder.join(KEPT[1]) };
        let found = files.cert.try_exists().unwrap_or(false).then(|| read(&files));
        match found {
            Some(Ok(certificate)) => return Ok(Self::new("https", None, Stamp::default(), &certificate)),
            Some(Err(text)) => findings.raise("certificate", "https", &format!("{text}; a new one was made")),
            None => {}
        }
        let (names, addresses) = own_names();
        let made = self_signed(&names, &addresses)?;
        let certificate = Certificate::from_pem(made.cert.as_bytes(), made.key.as_bytes())?;
        let kept = write_private(&files.key, made.key.as_bytes())
            .and_then(|()| write_private(&files.cert, made.cert.as_bytes()));
        if let Err(error) = kept {
            let detail = format!("the certificate that was made for [https] could not be kept: {error}");
            findings.raise("secret_not_kept", "storage", &detail);
        }
        Ok(Self::new("https", None, Stamp::default(), &certificate))
    }

    fn new(listener: &'static str, files: Option<Files>, stamp: Stamp, certificate: &Certificate) -> Self {
        let Certificate { config, fingerprint } = certificate.clone();
        tracing::info!(listener, "the certificate's SHA-256 fingerprint is {fingerprint}");
        let state = Mutex::new(State { files, stamp, fingerprint });
        Self { listener, state, tls: Arc::new(ArcSwap::new(config)) }
    }

    /// Whether the files are others than at the last look.
    fn changed(&self) -> bool {
        let state = self.state();
        state.files.as_ref().is_some_and(|files| stamp(files) != state.stamp)
    }

    /// Reads the files again; what cannot be used changes nothing and is a finding.
    fn take_up(&self, findings: &Findings) {
        let mut state = self.state();
        let Some(files) = state.files.clone() else { return };
        // Taken before the files are read: a change meanwhile is seen next time.
        state.stamp = stamp(&files);
        match read(&files) {
            Ok(Certificate { config, fingerprint }) => {
                if fingerprint != state.fingerprint {
                    tracing::info!(
                        listener = self.listener,
                        "a new certificate was taken up; its SHA-256 fingerprint is {fingerprint}"
                    );
                }
                state.fingerprint = fingerprint;
                self.tls.store(config);
                findings.settle("certificate", self.listener);
            }
            Err(text) => findings.raise("certificate", self.listener, &text),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pair, where both are given (the configuration's check sees to that).
fn files(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Files> {
    Some(Files { cert: cert?.clone(), key: key?.clone() })
}

/// Reads a pair.
fn read(files: &Files) -> Result<Certificate, String> {
    let content =
        |path: &Path| fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
    Certificate::from_pem(&content(&files.cert)?, &content(&files.key)?)
        .map_err(|error: TlsError| error.to_string())
}

/// What the files are like now.
fn stamp(files: &Files) -> Stamp {
    [&files.cert, &files.key].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.len(), about.modified().ok()?))
    })
}

/// Every name and address this machine may be reached by, as far as it is known.
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
