//! TLS of the bridge's listeners, by real handshakes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::tls::{TlsClient, write_certificate};
use crate::support::{Bridge, Camera, SOON, eventually};

/// An alarm as JSON.
fn alarm() -> serde_json::Value {
    json!({"ip": "10.0.0.5", "mac": "98:ba:5f:8b:10:03", "device_name": "Door",
           "event_list": [{"dateTime": "20261005162531", "event_type": ["MOTION"]}]})
}

/// Posts an alarm to a webhook over TLS.
async fn post(client: &TlsClient, webhook: &str) -> std::io::Result<(String, String)> {
    let camera = Camera::new(&webhook.replacen("https://", "http://", 1));
    let request = camera.request("application/json", alarm().to_string().as_bytes());
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the head ends");
    let request = [&request[..end], b"\r\nConnection: close", &request[end..]].concat();
    client.talk(&camera.authority, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_take_alarms_and_the_certificate_is_made_once() {
    let mut bridge = Bridge::start("[https]\nbind = \"127.0.0.1:0\"").await;
    assert!(bridge.ingest().starts_with("http://"));
    let https = bridge.ready("/webhooks/1").to_owned();
    assert!(https.starts_with("https://127.0.0.1:") && https.contains("/alarm/"), "{https}");
    assert_eq!(bridge.camera().json(&alarm()).await.status, 200);
    let certificate = bridge.storage().join("https.cert.pem");
    for (versions, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let client = TlsClient::new(&certificate, &[versions]);
        let (answer, spoken) = post(&client, &https).await.unwrap();
        assert!(answer.contains("\"ok\":true,\"alarms\":1"), "{answer}");
        assert_eq!(spoken, name);
    }
    for file in ["https.cert.pem", "https.key.pem"] {
        let mode = fs::metadata(bridge.storage().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let fingerprint = |log: &str| {
        let line = log.lines().find(|line| line.contains("SHA-256 fingerprint is"));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned).expect("the log tells it")
    };
    let first = fingerprint(&bridge.log());
    assert!(bridge.log().contains("HTTPS and port"), "the start says what to type");
    bridge.restart().await;
    assert_eq!(fingerprint(&bridge.log()), first, "the certificate stays over a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_up_by_itself_and_on_a_hangup() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    write_certificate(&cert, &key);
    let config = format!(
        "[https]\nbind = \"127.0.0.1:0\"\ncert = \"{}\"\nkey = \"{}\"",
        cert.display(),
        key.display()
    );
    let bridge = Bridge::start(&config).await;
    let https = bridge.ready("/webhooks/1").to_owned();
    let serves = async || {
        let client = TlsClient::new(&cert, &[&TLS13]);
        let answer = post(&client, &https).await.ok().filter(|(answer, _)| answer.contains("200 OK"));
        answer.map(drop)
    };
    serves().await.expect("the first certificate");

    write_certificate(&cert, &key);
    eventually(SOON, "the changed files to be noticed", serves).await;

    write_certificate(&cert, &key);
    bridge.signal(Signal::HUP);
    eventually(SOON, "the files to be read on SIGHUP", serves).await;

    // Unusable files change nothing, and are reported.
    let trusted = folder.path().join("trusted.pem");
    fs::copy(&cert, &trusted).unwrap();
    fs::write(&cert, "nonsense").unwrap();
    bridge.signal(Signal::HUP);
    eventually(SOON, "the finding", async || bridge.log().contains("holds no certificate").then_some(()))
        .await;
    let client = TlsClient::new(&trusted, &[&TLS12]);
    assert!(post(&client, &https).await.unwrap().0.contains("200 OK"), "the last good one serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_speaks_tls_with_its_own_certificate() {
    let folder = TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    write_certificate(&cert, &key);
    let bridge =
        Bridge::start(&format!("[admin]\ncert = \"{}\"\nkey = \"{}\"", cert.display(), key.display())).await;
    assert!(bridge.admin().starts_with("https://"), "{}", bridge.admin());
    let client = TlsClient::new(&cert, &[&TLS12, &TLS13]);
    let answer = client.get(bridge.admin(), "/health/live").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let (status, output) = bridge.command(&["healthcheck", "--url", bridge.admin()]).await;
    assert!(status.success(), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let bridge = Bridge::prepare("[https]\ncert = \"/nowhere/cert.pem\"\nkey = \"/nowhere/key.pem\"");
    let (status, output) = bridge.command(&[]).await;
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains("/nowhere/cert.pem"), "{output}");
}

/// The handshake of an old camera is refused, and the finding names its offer.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_camera_is_told_from_a_wrong_certificate() {
    let bridge = Bridge::start("[https]\nbind = \"127.0.0.1:0\"").await;
    let authority = bridge.ready("/ingest/1").trim_start_matches("https://").to_owned();
    for (version, expected) in
        [([3, 1], "TLS 1.0 (refused: too old)"), ([3, 3], "TLS_RSA_WITH_AES_128_CBC_SHA")]
    {
        let mut peer = TcpStream::connect(&authority).await.unwrap();
        peer.write_all(&hello(version)).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, peer.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer.first(), Some(&0x15), "a TLS alert");
        let found = async || {
            let log = bridge.log();
            log.lines().any(|line| line.contains("tls_handshake") && line.contains(expected)).then_some(())
        };
        eventually(SOON, expected, found).await;
    }
}

/// ClientHello of an old client: one cipher (RSA, AES-128, CBC, SHA-1) and no extension.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}
