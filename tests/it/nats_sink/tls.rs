//! TLS, with a CA of the test's own.

use std::path::PathBuf;

use alarmbus::config;
use alarmbus::render::MessagePart;
use alarmbus::sink::Sink;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::{Server, delivered, down, log, sent, settings, sink};

/// A CA, and the files of what it signed.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self { folder: TempDir::new().unwrap(), issuer: Issuer::new(params, key) };
        authority.write("ca.pem", &certificate.pem());
        authority
    }

    /// A certificate for a host; the names of its files.
    fn sign(&self, name: &str, host: &str, expired: bool) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate: Certificate = params.signed_by(&key, &self.issuer).unwrap();
        (
            self.write(&format!("{name}.pem"), &certificate.pem()),
            self.write(&format!("{name}.key"), &key.serialize_pem()),
        )
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server with a certificate for a host; `extra` goes into its TLS block.
    async fn server(&self, host: &str, expired: bool, extra: &str) -> Server {
        let (cert, key) = self.sign("server", host, expired);
        Server::with(true, &format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, {extra} }}")).await
    }
}

/// The configuration for a server over TLS.
fn tls(server: &Server, ca: Option<PathBuf>) -> config::Nats {
    config::Nats { servers: vec![format!("tls://127.0.0.1:{}", server.port())], ca, ..settings(server) }
}

#[tokio::test]
async fn a_trusted_certificate_works_whatever_the_scheme() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", false, "").await;
    for servers in [tls(&server, None).servers, settings(&server).servers] {
        let mut sink = sink(config::Nats { servers, ca: Some(authority.ca()), ..settings(&server) });
        sink.connect().await.unwrap();
        assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
    }
}

#[tokio::test]
async fn each_bad_certificate_has_its_own_reason() {
    let authority = Authority::new();
    let ca = || Some(authority.ca());
    let server = authority.server("127.0.0.1", false, "").await;
    let (code, reason) = down(tls(&server, Some(Authority::new().ca()))).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("127.0.0.1"), "{reason}");

    let (code, reason) = down(tls(&server, None)).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("unknown CA") && reason.contains("nats.ca"), "{reason}");

    let server = authority.server("elsewhere.example", false, "").await;
    let (code, reason) = down(tls(&server, ca())).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("another host"), "{reason}");

    let server = authority.server("127.0.0.1", true, "").await;
    let (code, reason) = down(tls(&server, ca())).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("has expired"), "{reason}");

    let server = Server::start().await;
    let (code, reason) = down(tls(&server, ca())).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("does not speak TLS"), "{reason}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_wanted() {
    let authority = Authority::new();
    let server =
        authority.server("127.0.0.1", false, &format!("ca_file: {:?}, verify: true", authority.ca())).await;
    let (code, reason) = down(tls(&server, Some(authority.ca()))).await;
    assert_eq!(code, "broker_tls");
    assert!(reason.contains("client certificate"), "{reason}");
    let (cert, key) = authority.sign("client", "bridge", false);
    let with = config::Nats { cert: Some(cert), key: Some(key), ..tls(&server, Some(authority.ca())) };
    sink(with).connect().await.unwrap();
}

#[tokio::test]
async fn a_bad_file_is_named() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", false, "").await;
    let (_, reason) = down(tls(&server, Some("/nowhere/ca.pem".into()))).await;
    assert!(reason.contains("nats.ca: /nowhere/ca.pem"), "{reason}");
    let empty = authority.write("empty.pem", "nothing");
    let (_, reason) = down(tls(&server, Some(empty.clone()))).await;
    assert!(reason.contains("no PEM certificate"), "{reason}");
    let alone = config::Nats { cert: Some(empty), ..tls(&server, Some(authority.ca())) };
    let (_, reason) = down(alone).await;
    assert!(reason.contains("nats.cert and nats.key belong together"), "{reason}");
}
