//! TLS files, read before the client reads them, so that an error names its file; and the crypto provider.

use async_nats::ConnectOptions;

use super::failure::down;
use crate::config;
use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::tls;
use crate::tls::client::TlsClient;
use crate::tls::files::Files;

/// Adds CA and client certificate. Configuring one of them enables TLS, whatever the scheme of the server's URL.
///
/// # Errors
/// Fails when a file cannot be read or holds no certificate or key.
pub(super) async fn add(options: ConnectOptions, config: &config::Nats) -> Result<ConnectOptions, SinkDown> {
    // The client uses the process's provider; without one it panics when two are compiled in.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another task installed one first.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    let (ca, cert, key) = (config.ca.as_deref(), config.cert.as_deref(), config.key.as_deref());
    if ca.is_none() && cert.is_none() && key.is_none() {
        return Ok(options);
    }
    // The client also reads the files, but its errors are less precise.
    let files = Files { section: "nats", ca, cert, key, insecure: false };
    TlsClient::from_files(&files, &tls::NATS).await.map_err(|why| down(FindingCode::BrokerTls, why))?;
    let mut options = options.require_tls(true);
    if let Some(ca) = &config.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(cert), Some(key)) = (&config.cert, &config.key) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}
