//! TLS files, read before the client does, so that a mistake names its file; and the crypto provider.

use std::path::Path;

use async_nats::ConnectOptions;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::failure::down;
use crate::config;
use crate::sink::SinkDown;

/// Adds CA and client certificate. Whoever names one of them wants TLS, whatever the scheme of the server.
///
/// # Errors
/// When a file cannot be read or holds no certificate or key.
pub(super) async fn add(options: ConnectOptions, config: &config::Nats) -> Result<ConnectOptions, SinkDown> {
    // The client takes the process's provider; without one it panics as soon as a second is compiled in.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another task was faster: then there is one, too.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    let mut options = options;
    if let Some(ca) = &config.ca {
        certificates("nats.ca", ca).await?;
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => {
            certificates("nats.cert", cert).await?;
            let pem = read("nats.key", key).await?;
            PrivateKeyDer::from_pem_slice(&pem).map_err(|error| file("nats.key", key, &error.to_string()))?;
            Ok(options.add_client_certificate(cert.clone(), key.clone()).require_tls(true))
        }
        (None, None) => Ok(options),
        _ => Err(down("broker_tls", "nats.cert and nats.key belong together: set both or none")),
    }
}

/// Makes sure that a file holds certificates.
async fn certificates(key: &str, path: &Path) -> Result<(), SinkDown> {
    let pem = read(key, path).await?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| file(key, path, &error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(file(key, path, "no PEM certificate in it")) } else { Ok(()) }
}

async fn read(key: &str, path: &Path) -> Result<Vec<u8>, SinkDown> {
    tokio::fs::read(path).await.map_err(|error| file(key, path, &error.to_string()))
}

fn file(key: &str, path: &Path, what: &str) -> SinkDown {
    down("broker_tls", format!("{key}: {}: {what}", path.display()))
}
