//! TLS to the broker: what is trusted, and why a handshake failed, in words.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// What is checked of the broker's certificate, and our own.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Client key (PEM).
    pub key: Option<PathBuf>,
    /// The name the certificate must have, if not that of the server.
    pub server_name: Option<String>,
    /// Check nothing.
    pub insecure: bool,
}

/// Reads the files anew, so that a renewed certificate counts at the next connect.
pub(super) async fn client_config(settings: &TlsSettings) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if settings.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    } else {
        builder.with_root_certificates(roots(settings.ca.as_deref()).await?)
    };
    match (&settings.cert, &settings.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "mqtt.cert").await?;
            let bytes = read(key, "mqtt.key").await?;
            let key = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|error| format!("mqtt.key {} holds no private key: {error}", key.display()))?;
            let fits = builder.with_client_auth_cert(chain, key);
            fits.map_err(|error| format!("mqtt.cert and mqtt.key do not fit together: {error}"))
        }
        _ => Err("a client certificate needs both mqtt.cert and mqtt.key".into()),
    }
}

/// The CA file, else the system's certificates.
async fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca else {
        let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
            .await
            .map_err(|error| error.to_string())?;
        store.add_parsable_certificates(system.certs);
        if store.is_empty() {
            return Err("this system has no CA certificates: install ca-certificates, or set mqtt.ca".into());
        }
        return Ok(store);
    };
    for certificate in certificates(path, "mqtt.ca").await? {
        store
            .add(certificate)
            .map_err(|error| format!("mqtt.ca {} cannot be used: {error}", path.display()))?;
    }
    Ok(store)
}

/// All certificates of a PEM file; at least one.
async fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path, key).await?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{key} {} is damaged: {error}", path.display()))?;
    if chain.is_empty() {
        return Err(format!("{key} {} holds no PEM certificate", path.display()));
    }
    Ok(chain)
}

/// A file's bytes, or why not.
async fn read(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("{key} {} cannot be read: {error}", path.display()))
}

/// Why TLS failed, in words with a remedy; `None`: the error is not TLS's.
pub(super) fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(fault) => certificate(fault),
        rustls::Error::InvalidMessage(_) => {
            "the peer does not speak TLS at this port: use its TLS port, or mqtt:// in place of mqtts://"
                .into()
        }
        rustls::Error::AlertReceived(alert) => format!(
            "the broker ends the TLS handshake ({alert:?}): it may want a client certificate (mqtt.cert and \
             mqtt.key), or does not accept ours"
        ),
        other => format!("TLS fails: {other}"),
    })
}

/// What is wrong with the broker's certificate.
fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate is expired: renew it (and check this machine's clock)".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the broker's certificate is not valid yet: check the clocks of both machines".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the broker's certificate is for another host: set mqtt.server_name to a name it has ({fault})"
            )
        }
        CertificateError::UnknownIssuer => {
            "the broker's certificate is from an unknown CA: set mqtt.ca to the CA's certificate".into()
        }
        other => format!("the broker's certificate is not accepted: {other}"),
    }
}

/// Takes every certificate: encryption without knowing with whom (`mqtt.insecure`).
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
