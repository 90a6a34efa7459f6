//! Certificates and keys in PEM files. An error message names the configuration key of the file.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::fault;
use super::unchecked::Unchecked;

/// Files and settings for verifying a broker and authenticating to it.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// Section of the configuration: `mqtt`.
    pub section: &'static str,
    /// File of CA certificates that replace those of the system.
    pub ca: Option<&'a Path>,
    /// File of the client certificate.
    pub cert: Option<&'a Path>,
    /// File of the client key.
    pub key: Option<&'a Path>,
    /// Skip verification.
    pub insecure: bool,
}

/// Reads the files and builds the client configuration.
///
/// # Errors
/// Returns the key, the file, the cause and the remedy.
pub(super) async fn client_config(files: &Files<'_>) -> Result<ClientConfig, String> {
    let section = files.section;
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| "this build has no TLS 1.2 and 1.3".to_owned())?;
    let builder = if files.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked::new(provider)))
    } else {
        builder.with_root_certificates(roots(section, files.ca).await?)
    };
    match (files.cert, files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(&format!("{section}.cert"), cert).await?;
            let key = private_key(&format!("{section}.key"), key).await?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                format!(
                    "{section}.cert and {section}.key cannot be used together: {}",
                    fault::of_pair(&error)
                )
            })
        }
        _ => Err(format!(
            "{section}.cert and {section}.key belong together: a client certificate needs both {section}.cert and {section}.key"
        )),
    }
}

/// CA certificates of the file, else those of the system.
async fn roots(section: &str, ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca else {
        let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        store.add_parsable_certificates(system.map(|system| system.certs).unwrap_or_default());
        if store.is_empty() {
            return Err(format!(
                "this system has no CA certificates: install ca-certificates, or set {section}.ca"
            ));
        }
        return Ok(store);
    };
    let key = format!("{section}.ca");
    for certificate in certificates(&key, path).await? {
        store.add(certificate).map_err(|_| {
            format!(
                "{key}: {} holds a certificate that cannot be read: write the CA's certificate as PEM",
                path.display()
            )
        })?;
    }
    Ok(store)
}

/// All certificates of a PEM file; at least one.
async fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(key, path).await?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| format!("{key}: {} {}", path.display(), damage(&error)))?;
    if chain.is_empty() {
        return Err(format!("{key}: {} holds no PEM certificate: {CERTIFICATE}", path.display()));
    }
    Ok(chain)
}

/// Requirement on a certificate file, for messages.
const CERTIFICATE: &str = "it must have a line -----BEGIN CERTIFICATE-----";

/// First private key of a PEM file.
async fn private_key(key: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(key, path).await?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| format!("{key}: {} {}", path.display(), no_key(&error, &bytes)))
}

/// Reason why a PEM text holds no private key.
#[must_use]
pub fn no_key(error: &Error, bytes: &[u8]) -> String {
    let has = |text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    match error {
        Error::NoItemsFound if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") => {
            "is protected by a password: write it without one (openssl pkey -in key.pem -out plain.pem)"
                .into()
        }
        Error::Base64Decode(_) if has("Proc-Type: 4,ENCRYPTED") => {
            "is protected by a password: write it without one (openssl pkey -in key.pem -out plain.pem)"
                .into()
        }
        Error::NoItemsFound if has("BEGIN CERTIFICATE") => "holds a certificate and no private key".into(),
        Error::NoItemsFound => "holds no private key: it must have a line -----BEGIN PRIVATE KEY-----".into(),
        other => damage(other),
    }
}

/// Error in a PEM text.
#[must_use]
pub fn damage(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "is cut off: its line -----END …----- is missing".into(),
        Error::IllegalSectionStart { .. } => "is damaged: a line -----BEGIN …----- is not whole".into(),
        Error::Base64Decode(_) => {
            "is damaged: what stands between -----BEGIN and -----END is not base64".into()
        }
        Error::NoItemsFound => format!("holds none: {CERTIFICATE}"),
        _ => "cannot be read as PEM".into(),
    }
}

/// Content of a file, or the reason why it cannot be read.
async fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let explain =
        |error| format!("{key}: {shown} cannot be read: {error}; check the path and its permissions");
    tokio::fs::read(path).await.map_err(explain)
}
