//! The ten most frequent mistakes of users: each is made, and then named with its remedy on the page and by `alarmbus
//! doctor`.

use alarmbus::findings::CATALOGUE;
use rustls::version::TLS13;
use serde_json::json;
use tempfile::TempDir;

use super::{open, person};
use crate::support::api::picture;
use crate::support::mosquitto::Settings;
use crate::support::tls::{TlsClient, write_certificate};
use crate::support::{Bridge, Browser, Camera, Mosquitto, port};

/// A mistake of a user.
#[derive(Debug, Clone, Copy)]
enum Mistake {
    WrongPath,
    WrongPort,
    HttpsToHttp,
    WrongHost,
    NoTick,
    WrongBrokerPassword,
    BrokerDown,
    WrongTimezone,
    OversizePicture,
    BlockedPeer,
}

/// Each mistake, and the code of its finding. A wrong host is not visible to the bridge: the delivery check then says
/// that nothing has arrived, and what to check.
const MISTAKES: [(Mistake, Option<&str>); 10] = [
    (Mistake::WrongPath, Some("wrong_path")),
    (Mistake::WrongPort, Some("wrong_port")),
    (Mistake::HttpsToHttp, Some("tls_on_plain_port")),
    (Mistake::WrongHost, None),
    (Mistake::NoTick, Some("no_request")),
    (Mistake::WrongBrokerPassword, Some("broker_refused")),
    (Mistake::BrokerDown, Some("broker_unreachable")),
    (Mistake::WrongTimezone, Some("device_clock")),
    (Mistake::OversizePicture, Some("picture_too_large")),
    (Mistake::BlockedPeer, Some("peer_not_allowed")),
];

impl Mistake {
    /// Configuration with the mistake, and the broker that must keep running.
    async fn setting(self) -> (String, Option<Mosquitto>) {
        let broker = match self {
            Self::WrongBrokerPassword => Settings { users: vec![("bridge", "right")], ..Settings::default() },
            Self::OversizePicture => Settings { max_packet_size: Some(20_000), ..Settings::default() },
            _ => return (self.lines(), None),
        };
        let broker = Mosquitto::with(broker).await;
        let user = match self {
            Self::WrongBrokerPassword => "user = \"bridge\"\npassword = \"wrong\"\n",
            _ => "",
        };
        (format!("[mqtt]\nserver = \"{}\"\n{user}", broker.url()), Some(broker))
    }

    /// Configuration of mistakes that need no broker.
    fn lines(self) -> String {
        match self {
            Self::BrokerDown => format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n", port::free()),
            Self::WrongTimezone => "[devices.\"02:1a:2b:3c:4d:5e\"]\ntimezone = \"+09:00\"\n".into(),
            Self::BlockedPeer => {
                "[[webhooks]]\npath = \"/alarm/0123456789abcdef\"\nallow = [\"10.0.0.0/8\"]\n".into()
            }
            _ => String::new(),
        }
    }

    /// Makes the mistake by sending its bytes.
    async fn make(self, bridge: &Bridge) {
        let camera = bridge.camera();
        match self {
            Self::WrongHost => {}
            Self::NoTick => camera.test_button().await,
            Self::HttpsToHttp => speak_tls(&camera).await,
            Self::WrongPath => push(&Camera { path: camera.path.to_uppercase(), ..camera }, 16, 404).await,
            Self::WrongPort => {
                let authority = bridge.admin().trim_start_matches("http://").to_owned();
                let wrong = Camera { authority, ..camera };
                // The body is not read there, so the answer may be lost by a reset.
                let _answer = wrong.try_raw(&wrong.multipart_request(&person(), &picture(16))).await;
            }
            Self::BlockedPeer => push(&camera, 16, 404).await,
            Self::OversizePicture => push(&camera, 400, 200).await,
            Self::WrongTimezone | Self::WrongBrokerPassword | Self::BrokerDown => {
                push(&camera, 16, 200).await
            }
        }
    }
}

/// Sends a person with the current time in UTC, with a picture of this size in pixels.
async fn push(camera: &Camera, pixels: u16, status: u16) {
    let mut report = person();
    report["event_list"][0]["dateTime"] = json!(jiff::Timestamp::now().strftime("%Y%m%d%H%M%S").to_string());
    assert_eq!(camera.multipart(&report, &picture(pixels)).await.status, status);
}

/// A handshake with the port for plain HTTP.
async fn speak_tls(camera: &Camera) {
    let folder = TempDir::new().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    write_certificate(&cert, &key);
    let client = TlsClient::new(&cert, &[&TLS13]);
    assert!(
        client.talk(&camera.authority, b"POST / HTTP/1.1\r\n").await.is_err(),
        "there is no TLS on this port"
    );
}

#[tokio::test]
async fn each_usual_mistake_is_named_with_its_remedy_on_the_page_and_by_doctor() {
    let browser = Browser::start().await;
    for (mistake, code) in MISTAKES {
        let (config, broker) = mistake.setting().await;
        let bridge = Bridge::start(&config).await;
        mistake.make(&bridge).await;
        let kind = code.map(|code| CATALOGUE.iter().find(|kind| kind.code.as_str() == code).expect("a kind"));
        let (title, remedy) = kind.map_or(
            ("Nothing has arrived yet", "Check host and port in the camera: 127.0.0.1, port"),
            |kind| (kind.title, kind.remedy),
        );
        println!("{mistake:?}: {title}. {remedy}");
        open(&browser, &bridge, "/setup").await;
        browser.wait_for("main", title).await;
        browser.wait_for("main", &remedy.replace('`', "")).await;
        let (status, output) = bridge.command(&["doctor"]).await;
        assert!(!status.success(), "{mistake:?}: doctor says that all is well:\n{output}");
        let lower = output.to_lowercase();
        for words in [title, remedy] {
            assert!(lower.contains(&words.to_lowercase()), "{mistake:?}: no {words:?} in\n{output}");
        }
        drop(broker);
    }
}
