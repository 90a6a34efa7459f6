//! TLS, and each protocol on the other one's port.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::{Bridge, Setup, assert_ok, assert_status, rest};
use crate::findings::FindingCode;

/// A self-signed server and a client that trusts it.
fn certificate() -> (rustls::ServerConfig, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&ring))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

async fn get(bridge: &Bridge, client: &rustls::ClientConfig) -> std::io::Result<String> {
    let connector = TlsConnector::from(Arc::new(client.clone()));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, bridge.connect().await).await?;
    stream
        .write_all(
            b"POST /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        )
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn alarms_come_over_tls_and_the_certificate_can_be_exchanged() {
    let (server, client) = certificate();
    let tls = Arc::new(ArcSwap::from_pointee(server));
    let bridge = Bridge::start(Setup { tls: Some(Arc::clone(&tls)), ..Setup::default() }).await;
    assert_ok(&get(&bridge, &client).await.unwrap());
    let (server, other) = certificate();
    tls.store(Arc::new(server));
    assert_ok(&get(&bridge, &other).await.unwrap());
    assert!(get(&bridge, &client).await.is_err(), "the old one is gone");
    assert!(
        bridge.finding(FindingCode::TlsHandshake).await.contains("the peer does not accept our certificate")
    );
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let bridge = Bridge::start(Setup {
        tls: Some(Arc::new(ArcSwap::from_pointee(certificate().0))),
        ..Setup::default()
    })
    .await;
    let answer = bridge.post("/alarm/s3cr3t").await;
    assert_status(&answer, 400);
    assert!(answer.contains("HTTPS"));
    bridge.finding(FindingCode::PlainOnTlsPort).await;
    drop(bridge.connect().await);
    bridge.finding(FindingCode::NoRequest).await;
}

#[tokio::test]
async fn a_tls_hello_on_the_plain_port_is_found() {
    let bridge = Bridge::new().await;
    assert!(get(&bridge, &certificate().1).await.is_err());
    bridge.finding(FindingCode::TlsOnPlainPort).await;
    let mut peer = bridge.connect().await;
    peer.write_all(&[0x16, 3, 1, 0, 5]).await.unwrap();
    assert_eq!(rest(&mut peer).await.as_bytes()[0], 0x15, "a TLS alert");
}
