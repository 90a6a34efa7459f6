//! The MQTT sink over TLS and WebSocket, with certificates made for the test.

use alarmbus::config::Mqtt as Config;
use alarmbus::config::sinks::MqttVersion;
use alarmbus::sink::mqtt::MqttSink;
use alarmbus::sink::{Outcome, Sink, SinkDown};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::mqtt_sink::{EVENT, connect, deliver, message, settings};
use crate::support::mosquitto::Settings;
use crate::support::{Mosquitto, Subscriber, port};

/// A folder with a CA, another CA, and certificates of the first.
struct Pki {
    folder: TempDir,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Pki {
    fn new() -> Self {
        let pki = Self { folder: TempDir::new().expect("a folder") };
        let issuer = pki.authority("ca");
        pki.authority("other-ca");
        pki.certificate("good", "127.0.0.1", &issuer, false);
        pki.certificate("elsewhere", "broker.example", &issuer, false);
        pki.certificate("expired", "127.0.0.1", &issuer, true);
        pki.certificate("client", "bridge.example", &issuer, false);
        pki
    }

    fn authority(&self, name: &str) -> Issuer {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA");
        self.write(&format!("{name}.pem"), &issuer.pem());
        issuer
    }

    fn certificate(&self, name: &str, host: &str, issuer: &Issuer, expired: bool) {
        let mut params = CertificateParams::new(vec![host.into()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("signed");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a TLS listener with a certificate.
    fn listener(&self, port: u16, certificate: &str, more: &str) -> String {
        let (cert, key) =
            (self.path(&format!("{certificate}.pem")), self.path(&format!("{certificate}.key")));
        let (ca, cert, key) = (self.path("ca.pem").display().to_string(), cert.display(), key.display());
        format!("listener {port} 127.0.0.1\ncafile {ca}\ncertfile {cert}\nkeyfile {key}\n{more}\n")
    }
}

/// A broker with one more listener.
async fn broker(listener: String) -> Mosquitto {
    Mosquitto::with(Settings { extra: listener.leak(), ..Settings::default() }).await
}

/// A delivery through a listener, as a plain subscriber sees it.
async fn check_delivery(broker: &Mosquitto, server: &str, change: impl FnOnce(&mut Config)) {
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let (mut sink, _) = connect(settings(server, change)).await;
    let payload = vec![b'x'; 300_000];
    let outcome = deliver(&mut sink, message(EVENT, payload.clone(), false)).await;
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    assert_eq!(subscriber.topic(EVENT).await.payload, payload);
    sink.close().await;
}

async fn check_failure(server: &str, change: impl FnOnce(&mut Config), words: &str) {
    let down: SinkDown =
        MqttSink::new(settings(server, change)).connect().await.expect_err("it must not connect");
    assert_eq!(down.code.as_str(), "broker_tls", "{}", down.reason);
    assert!(down.reason.contains(words), "{}", down.reason);
}

#[tokio::test]
async fn the_right_ca_is_trusted_and_every_fault_has_its_own_words() {
    let (pki, [good, elsewhere, expired]) = (Pki::new(), [port::free(), port::free(), port::free()]);
    let ca = |config: &mut Config| config.ca = Some(pki.path("ca.pem"));
    let listeners = [(good, "good"), (elsewhere, "elsewhere"), (expired, "expired")];
    let broker = broker(listeners.map(|(port, name)| pki.listener(port, name, "")).concat()).await;
    let url = |port: u16| format!("mqtts://127.0.0.1:{port}");

    check_delivery(&broker, &url(good), ca).await;
    check_delivery(&broker, &url(good), |config| {
        ca(config);
        config.version = MqttVersion::V311;
    })
    .await;
    check_delivery(&broker, &url(elsewhere), |config| {
        ca(config);
        config.server_name = Some("broker.example".into());
    })
    .await;
    check_delivery(&broker, &url(expired), |config| config.insecure = true).await;

    check_failure(&url(elsewhere), ca, "for another host").await;
    check_failure(&url(expired), ca, "has expired").await;
    check_failure(&url(good), |config| config.ca = Some(pki.path("other-ca.pem")), "an unknown CA").await;
    check_failure(&url(good), |config| config.ca = Some(pki.path("none.pem")), "mqtt.ca").await;
    check_failure(&url(broker.port()), ca, "TLS port").await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_when_the_broker_wants_one() {
    let (pki, port) = (Pki::new(), port::free());
    let broker = broker(pki.listener(port, "good", "require_certificate true")).await;
    let server = format!("mqtts://127.0.0.1:{port}");
    check_delivery(&broker, &server, |config| {
        config.ca = Some(pki.path("ca.pem"));
        (config.cert, config.key) = (Some(pki.path("client.pem")), Some(pki.path("client.key")));
    })
    .await;
    check_failure(&server, |config| config.ca = Some(pki.path("ca.pem")), "client certificate").await;
    let half = |config: &mut Config| {
        config.ca = Some(pki.path("ca.pem"));
        config.cert = Some(pki.path("client.pem"));
    };
    check_failure(&server, half, "both mqtt.cert and mqtt.key").await;
}

#[tokio::test]
async fn websockets_work_plain_and_secure() {
    let (pki, [plain, secure]) = (Pki::new(), [port::free(), port::free()]);
    let listeners = format!(
        "listener {plain} 127.0.0.1\nprotocol websockets\n{}",
        pki.listener(secure, "good", "protocol websockets")
    );
    let broker = broker(listeners).await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        check_delivery(&broker, &format!("ws://127.0.0.1:{plain}"), |config| config.version = version).await;
        check_delivery(&broker, &format!("wss://127.0.0.1:{secure}/mqtt"), |config| {
            config.version = version;
            config.ca = Some(pki.path("ca.pem"));
        })
        .await;
    }
}
