//! TLS settings of the broker.

use std::path::PathBuf;

use crate::tls::files::Files;

/// TLS settings: verification of the broker, and the client certificate.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// File of CA certificates (PEM) that replace those of the system.
    pub ca: Option<PathBuf>,
    /// File of the client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// File of the client key (PEM).
    pub key: Option<PathBuf>,
    /// Name that the certificate must have, if it is not that of the server.
    pub server_name: Option<String>,
    /// Skip verification.
    pub insecure: bool,
}

impl TlsSettings {
    /// Files for the TLS connector.
    pub(super) fn files(&self) -> Files<'_> {
        Files {
            section: "mqtt",
            ca: self.ca.as_deref(),
            cert: self.cert.as_deref(),
            key: self.key.as_deref(),
            insecure: self.insecure,
        }
    }

    /// Returns whether the broker is shown a client certificate.
    pub(super) fn shows_certificate(&self) -> bool {
        self.cert.is_some()
    }
}
