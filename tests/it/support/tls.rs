//! Certificates and a client for TLS: real handshakes, real verification.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::SOON;

/// Writes a certificate for 127.0.0.1 and its key, as PEM.
pub(crate) fn write_certificate(cert: &Path, key: &Path) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.subject_alt_names.push(rcgen::SanType::IpAddress([127, 0, 0, 1].into()));
    let pair = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&pair).expect("a certificate");
    fs::write(key, pair.serialize_pem()).expect("the key can be written");
    fs::write(cert, made.pem()).expect("the certificate can be written");
}

/// A client that trusts the certificates of a file and nothing else.
#[derive(Clone)]
pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// With these versions of TLS.
    pub(crate) fn new(trusted: &Path, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(trusted).expect("the file can be read") {
            roots.add(certificate.expect("a certificate")).expect("it can be trusted");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Sends a request to `127.0.0.1:port` and reads to the end; also says which version was spoken.
    pub(crate) async fn talk(&self, authority: &str, request: &[u8]) -> std::io::Result<(String, String)> {
        let tcp = TcpStream::connect(authority).await?;
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let exchange = async {
            let mut stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, tcp).await?;
            stream.write_all(request).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let version = format!("{:?}", stream.get_ref().1.protocol_version().expect("a version"));
            Ok((String::from_utf8_lossy(&answer).into_owned(), version))
        };
        tokio::time::timeout(SOON, exchange).await?
    }

    /// A GET of a path.
    pub(crate) async fn get(&self, url: &str, path: &str) -> std::io::Result<String> {
        let authority = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url} is not https://"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        Ok(self.talk(authority, request.as_bytes()).await?.0)
    }
}
