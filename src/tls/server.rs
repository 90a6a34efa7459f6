//! Certificates of our own listeners: read from PEM files, or created.
//!
//! TLS 1.2 and 1.3 by rustls with ring. Older versions are not supported: a finding reports what a refused old camera
//! offered (see `handshake`).

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::tls::{fault, files};

/// Error of a certificate that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The chain's file holds no certificate, or a damaged one.
    #[error("the certificate file {0}: write the chain as PEM, the server's own certificate first")]
    Chain(String),
    /// The key's file holds no key, or a damaged one.
    #[error("the key file {0}: write the private key as PEM, without a password")]
    Key(String),
    /// Certificate and key do not match, or the key type is not supported.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(String),
    /// A certificate could not be created.
    #[error("a certificate could not be made: {0}")]
    Made(String),
}

/// TLS settings of a listener.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Settings for the listener.
    pub config: Arc<ServerConfig>,
    /// SHA-256 fingerprint of the certificate, as browsers and `openssl x509 -fingerprint` show it.
    pub fingerprint: String,
}

/// Created certificate, as PEM.
#[derive(Clone)]
pub struct Made {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl Certificate {
    /// Creates the settings from a chain and its key, as PEM.
    ///
    /// # Errors
    /// Fails when one of them cannot be read, or they do not match.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Chain(files::damage(&error)))?;
        let Some(first) = chain.first() else {
            return Err(TlsError::Chain("holds no certificate".into()));
        };
        let fingerprint = fingerprint(first);
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(files::no_key(&error, key)))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| TlsError::Pair(fault::of_pair(&error)))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint })
    }
}

/// Creates a self-signed P-256 certificate for these names and addresses. It is valid for a long time: clients trust it
/// by its fingerprint, and nobody confirms a new one on a camera.
///
/// # Errors
/// Fails when the system provides no randomness, or a name is not valid in a certificate.
pub fn self_signed(names: &[String], addresses: &[IpAddr]) -> Result<Made, TlsError> {
    let made = |error: rcgen::Error| TlsError::Made(error.to_string());
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(made)?;
    params.subject_alt_names.extend(addresses.iter().map(|ip| rcgen::SanType::IpAddress(*ip)));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "alarmbus");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(made)?;
    let cert = params.self_signed(&key).map_err(made)?;
    Ok(Made { cert: cert.pem(), key: key.serialize_pem() })
}

/// SHA-256 fingerprint as `AB:CD:…`.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::with_capacity(95);
    for (at, byte) in Sha256::digest(certificate).iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        write!(text, "{colon}{byte:02X}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Certificate, TlsError, self_signed};

    #[test]
    fn what_is_made_can_be_used_and_has_a_fingerprint() {
        let made = self_signed(&["alarmbus.local".into()], &["127.0.0.1".parse().unwrap()]).unwrap();
        let one = Certificate::from_pem(made.cert.as_bytes(), made.key.as_bytes()).unwrap();
        assert_eq!((one.fingerprint.len(), one.fingerprint.matches(':').count()), (95, 31));
        let other = self_signed(&[], &[]).unwrap();
        let other = Certificate::from_pem(other.cert.as_bytes(), other.key.as_bytes()).unwrap();
        assert_ne!(one.fingerprint, other.fingerprint);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let (one, two) = (self_signed(&[], &[]).unwrap(), self_signed(&[], &[]).unwrap());
        let check =
            |cert: &str, key: &str| Certificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(matches!(check("", &one.key), TlsError::Chain(_)));
        assert!(matches!(check(&one.key, &one.key), TlsError::Chain(_)));
        assert!(matches!(check(&one.cert, &one.cert), TlsError::Key(_)));
        assert!(matches!(check(&one.cert, &two.key), TlsError::Pair(_)));
        let cut = one.cert.get(..one.cert.len() / 2).unwrap();
        assert!(matches!(check(cut, &one.key), TlsError::Chain(_)));
    }
}
