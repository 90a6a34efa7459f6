//! Every TLS error in its own words, with the remedy: the same for MQTT, NATS, `healthcheck` and `simulate`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::mosquitto::Settings;
use crate::support::nats::Nats;
use crate::support::{Bridge, Camera, Mosquitto, SOON, eventually, port};

/// Certificates of a CA made for the test, one for each fault.
struct Pki {
    folder: TempDir,
}

impl Pki {
    fn new() -> Self {
        let pki = Self { folder: TempDir::new().unwrap() };
        let ca = pki.authority("ca");
        let other = pki.authority("other-ca");
        pki.leaf("good", &ca, |_| ());
        pki.leaf("stranger", &other, |_| ());
        pki.leaf("expired", &ca, |it| {
            (it.not_before, it.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        });
        pki.leaf("early", &ca, |it| it.not_before = date_time_ymd(2101, 2, 3));
        pki.leaf("elsewhere", &ca, |it| {
            it.subject_alt_names = vec![rcgen::SanType::DnsName("broker.example".try_into().unwrap())];
        });
        pki.leaf("nameless", &ca, |it| it.subject_alt_names.clear());
        pki.leaf("client-only", &ca, |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        pki.leaf("authority", &ca, |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        let (params, key) = (Pki::params(), KeyPair::generate().unwrap());
        pki.write("self-signed.pem", &params.self_signed(&key).unwrap().pem());
        pki.write("self-signed.key", &key.serialize_pem());
        pki.version_1();
        pki
    }

    fn authority(&self, name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.key"), &key.serialize_pem());
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        self.write(&format!("{name}.pem"), &issuer.pem());
        issuer
    }

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::IpAddress([127, 0, 0, 1].into()));
        params
    }

    fn leaf(
        &self,
        name: &str,
        ca: &CertifiedIssuer<'static, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = Self::params();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &params.signed_by(&key, ca).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Makes a certificate of version 1, as `openssl x509 -req` does without a file of extensions.
    fn version_1(&self) {
        let key = KeyPair::generate().unwrap();
        self.write("version-1.key", &key.serialize_pem());
        let path = |name: &str| self.path(name).display().to_string();
        let (key, request, made) = (path("version-1.key"), path("version-1.csr"), path("version-1.pem"));
        openssl(&["req", "-new", "-key", &key, "-subj", "/CN=127.0.0.1", "-out", &request]);
        let (ca, ca_key) = (path("ca.pem"), path("ca.key"));
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-days",
            "9",
            "-out",
            &made,
        ];
        openssl(&sign);
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a TLS listener of mosquitto.
    fn listener(&self, port: u16, name: &str, more: &str) -> String {
        let file = |ending: &str| self.path(&format!("{name}.{ending}")).display().to_string();
        let (cert, key, ca) = (file("pem"), file("key"), self.path("ca.pem"));
        format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {cert}\nkeyfile {key}\n{more}\n",
            ca.display()
        )
    }

    /// A nats-server over TLS.
    async fn nats(&self, name: &str, more: &str) -> Nats {
        let (cert, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        Nats::with(false, &format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, {more} }}")).await
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn broker(listeners: String) -> Mosquitto {
    Mosquitto::with(Settings { extra: listeners.leak(), ..Settings::default() }).await
}

/// A configuration with both sinks.
fn config(mqtt: u16, nats: u16, files: &str) -> String {
    format!(
        "[mqtt]\nserver = \"mqtts://127.0.0.1:{mqtt}\"\n{files}[nats]\nservers = [\"tls://127.0.0.1:{nats}\"]\njetstream = false\n{files}"
    )
}

/// Output of `check` for both sinks.
async fn checked(config: &str) -> [String; 2] {
    let (status, output) = Bridge::prepare(config).command(&["check"]).await;
    assert_eq!(status.code(), Some(69), "{output}");
    ["FAILED  mqtt: ", "FAILED  nats: "].map(|start| {
        let line = output.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in {output}")).to_owned()
    })
}

/// Checks that a text has no name of an error type of the TLS library, and no debug form.
#[track_caller]
fn is_plain(text: &str) {
    let prose = text.split_whitespace().filter(|word| !word.starts_with('/'));
    let raw = prose.flat_map(|word| word.split(|sign: char| !sign.is_alphanumeric())).any(|word| {
        let humps = word.chars().skip(1).filter(char::is_ascii_uppercase).count();
        let known =
            ["subjectAltName", "extendedKeyUsage", "serverAuth", "basicConstraints", "JetStream", "ChaCha20"];
        !known.contains(&word) && humps > 0 && word.chars().any(|sign| sign.is_ascii_lowercase())
    });
    assert!(!raw && !text.contains("OtherError") && !text.contains("Some("), "raw words in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_servers_certificate_has_its_sentence_for_both_sinks() {
    let pki = Pki::new();
    let faults = [
        ("version-1", "is X.509 version 1", "make it as version 3"),
        ("expired", "has expired (on 2021-01-01)", "renew it"),
        ("early", "not valid yet (from 2101-02-03)", "correct the clock"),
        ("elsewhere", "holds broker.example, not 127.0.0.1", "a name it holds"),
        ("nameless", "has no subjectAltName", "make it with subjectAltName for 127.0.0.1"),
        ("client-only", "is not made for a server", "extendedKeyUsage = serverAuth"),
        ("authority", "is that of a CA (CA:TRUE)", "make one for the server"),
        ("self-signed", "is from an unknown CA", "the {}'s own certificate if it is self-signed"),
        ("stranger", "is from an unknown CA", "set {}.ca to that CA's certificate"),
    ];
    let ports = faults.map(|_| port::free());
    let listeners = faults.iter().zip(ports).map(|((name, ..), port)| pki.listener(port, name, ""));
    let _broker = broker(listeners.collect()).await;
    let files = format!("ca = {:?}\n", pki.path("ca.pem"));
    for ((name, cause, remedy), port) in faults.into_iter().zip(ports) {
        let nats = pki.nats(name, "").await;
        let lines = checked(&config(port, nats.port(), &files)).await;
        for (line, [section, who]) in lines.iter().zip([["mqtt", "broker"], ["nats", "server"]]) {
            let remedy = remedy.replace("{}.ca", &format!("{section}.ca")).replace("{}", who);
            assert!(line.contains(cause) && line.contains(&remedy), "{name}: {line}");
            is_plain(line);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_missing_or_refused_is_told_apart() {
    let pki = Pki::new();
    let port = port::free();
    let _broker = broker(pki.listener(port, "good", "require_certificate true")).await;
    let nats = pki.nats("good", &format!("ca_file: {:?}, verify: true", pki.path("ca.pem"))).await;
    let files = format!("ca = {:?}\n", pki.path("ca.pem"));
    for line in checked(&config(port, nats.port(), &files)).await {
        assert!(line.contains("wants a client certificate") && line.contains(".cert and "), "{line}");
        is_plain(&line);
    }
    let shown =
        format!("{files}cert = {:?}\nkey = {:?}\n", pki.path("stranger.pem"), pki.path("stranger.key"));
    for line in checked(&config(port, nats.port(), &shown)).await {
        assert!(line.contains("refuses our client certificate") && line.contains(".cert and "), "{line}");
        is_plain(&line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_named_with_what_is_wrong_in_it() {
    let pki = Pki::new();
    let port = port::free();
    let _broker = broker(pki.listener(port, "good", "")).await;
    let nats = pki.nats("good", "").await;
    let path = |name: &str| pki.path(name).display().to_string();
    openssl(&[
        "pkey",
        "-in",
        &path("good.key"),
        "-aes256",
        "-passout",
        "pass:secret",
        "-out",
        &path("locked.key"),
    ]);
    let whole = std::fs::read_to_string(pki.path("good.key")).unwrap();
    pki.write("cut.key", whole.get(..whole.len() / 2).unwrap());
    pki.write("spoilt.key", &whole.replacen("MI", "!!", 1));
    for (key, expected) in [
        ("locked.key", "is protected by a password"),
        ("cut.key", "is cut off"),
        ("spoilt.key", "is damaged"),
        ("good.pem", "holds a certificate and no private key"),
        ("stranger.key", "the key is not the one of the certificate"),
    ] {
        let files = format!(
            "ca = {:?}\ncert = {:?}\nkey = {:?}\n",
            pki.path("ca.pem"),
            pki.path("good.pem"),
            pki.path(key)
        );
        for line in checked(&config(port, nats.port(), &files)).await {
            assert!(line.contains(expected), "{key}: {line}");
            is_plain(&line);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_port_is_told_from_a_certificate() {
    let pki = Pki::new();
    let (broker, nats) = (Mosquitto::start().await, Nats::with(false, "").await);
    let lines =
        checked(&config(broker.port(), nats.port(), &format!("ca = {:?}\n", pki.path("ca.pem")))).await;
    assert!(
        lines[0].contains("TLS port") && lines[0].contains("mqtt:// in place of mqtts://"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("does not speak TLS") && lines[1].contains("nats://"), "{}", lines[1]);
    lines.iter().for_each(|line| is_plain(line));
}

/// A certificate of version 1 is reported in the same words in finding and log of a running bridge.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_version_1_is_a_finding_with_the_remedy() {
    let pki = Pki::new();
    let port = port::free();
    let _broker = broker(pki.listener(port, "version-1", "")).await;
    let bridge = Bridge::start(&format!(
        "[mqtt]\nserver = \"mqtts://127.0.0.1:{port}\"\nca = {:?}\n",
        pki.path("ca.pem")
    ))
    .await;
    let findings = format!("{}/api/v1/findings", bridge.admin());
    let finding = eventually(SOON, "the finding", async || {
        let found = Camera::new(&findings).get().await.json();
        found["findings"].as_array()?.iter().find(|finding| finding["code"] == "broker_tls").cloned()
    })
    .await;
    let detail = finding["detail"].as_str().unwrap();
    assert!(detail.contains("X.509 version 1") && detail.contains("make it as version 3"), "{detail}");
    is_plain(detail);
    let log = bridge.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("X.509 version 1")), "{log}");
}

/// A server that answers every ClientHello with these bytes.
async fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut hello = [0; 1_024];
                let read = stream.read(&mut hello).await;
                if read.is_ok() && stream.write_all(bytes).await.is_ok() {
                    // Not closed with unread bytes, which would discard the answer by a reset.
                    let _end = stream.read(&mut hello).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_ciphers_and_plain_servers_have_the_same_words_everywhere() {
    const VERSION: &[u8] = &[0x15, 3, 3, 0, 2, 2, 70];
    const CIPHER: &[u8] = &[0x15, 3, 3, 0, 2, 2, 40];
    for (answer, expected) in [
        (VERSION, "supports neither TLS 1.2 nor TLS 1.3"),
        (CIPHER, "have no cipher in common"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS at this port"),
    ] {
        let port = answering(answer).await.port();
        let bridge = Bridge::prepare(&format!("[mqtt]\nserver = \"mqtts://127.0.0.1:{port}\"\n"));
        let url = format!("https://127.0.0.1:{port}/alarm/x");
        for command in [
            vec!["check"],
            vec!["healthcheck", "--url", &url],
            vec!["simulate", "--url", &url, "--count", "1"],
        ] {
            let (status, output) = bridge.command(&command).await;
            assert!(!status.success() && output.contains(expected), "{command:?}: {output}");
            let line = output.lines().find(|line| line.contains(expected)).unwrap();
            is_plain(line.split(expected).nth(1).unwrap());
        }
    }
}
