//! All findings, raised by real bytes, with cause and remedy.

use std::time::Duration;

use rustls::version::TLS13;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::support::api::{picture, report};
use crate::support::faults::{EIO, Faults, Wrong};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::tls::{TlsClient, write_certificate};
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually, port};

const MAC: &str = "98:ba:5f:8b:10:03";

/// Waits for a finding, and checks its remedy and, if given, its detail.
async fn found(bridge: &Bridge, code: &str, detail: &str) {
    let finding = bridge.finding(code).await;
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    assert!(text("detail").contains(detail), "{code}: {}", text("detail"));
    assert!(!text("cause").is_empty() && !text("remedy").is_empty(), "{finding}");
    assert!(finding["count"].as_u64() >= Some(1) && !text("subject").is_empty(), "{finding}");
}

#[tokio::test]
async fn mistakes_in_the_address() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    camera.test_button().await;
    found(&bridge, "no_request", "before the first byte").await;
    let wrong = Camera { path: camera.path.to_uppercase(), ..camera.clone() };
    assert_eq!(wrong.json(&report(MAC, &["MOTION"])).await.status, 404);
    found(&bridge, "wrong_path", "upper and lower case only (webhook default)").await;
    let mut stream = camera.connect().await.unwrap();
    stream.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).await.unwrap();
    found(&bridge, "tls_on_plain_port", "a TLS handshake began").await;
    drop(stream);
    let method = format!("DELETE {} HTTP/1.1\r\nHost: x\r\n\r\n", camera.path);
    assert_eq!(camera.raw(method.as_bytes()).await.status, 404);
    found(&bridge, "wrong_method", "DELETE").await;
    camera.try_raw(b"POST /alarm HTTP/1.1\r\n: none\r\n\r\n").await.unwrap();
    found(&bridge, "bad_request_head", "").await;
}

#[tokio::test]
async fn mistakes_in_the_body() {
    let bridge = Bridge::start("[limits]\nbody_bytes = \"64KiB\"\nbody_seconds = 2\n").await;
    let camera = bridge.camera();
    let json = report(MAC, &["MOTION"]);
    let text = json.to_string().into_bytes();
    camera.raw(&camera.request("image/png", &text)).await;
    found(&bridge, "content_type_wrong", "").await;
    camera.raw(&camera.request("text/plain", b"hello camera")).await;
    found(&bridge, "not_understood", "hello camera").await;
    let multipart = format!(
        "--Other\r\nContent-Type: application/json\r\n\r\n{json}\r\n--Other\r\nContent-Type: image/jpeg\r\n\r\nno picture\r\n--Other--\r\n"
    );
    camera.raw(&camera.request("multipart/form-data; boundary=Announced", multipart.as_bytes())).await;
    found(&bridge, "boundary_mismatch", "").await;
    found(&bridge, "not_a_jpeg", "").await;
    let whole = camera.request("application/json", &text);
    camera.cut_after(&whole[..whole.len() - 20]).await;
    found(&bridge, "body_truncated", "").await;
    camera.multipart(&json, &vec![0xff; 200_000]).await;
    found(&bridge, "body_too_large", "").await;
}

#[tokio::test]
async fn peers_and_limits() {
    let config = "[limits]\nstrangers_per_second = 1\n[[webhooks]]\npath = \"/alarm/only\"\nallow = [\"10.0.0.0/8\"]\n\
                  [[webhooks]]\npath = \"/alarm/all\"\n";
    let bridge = Bridge::start(config).await;
    let camera = Camera { path: "/alarm/only".into(), ..bridge.camera() };
    assert_eq!(camera.json(&report(MAC, &["MOTION"])).await.status, 404);
    found(&bridge, "peer_not_allowed", "127.0.0.1 is not in `allow` of webhook webhook-1").await;
    for _ in 0..5 {
        camera.json(&report(MAC, &["MOTION"])).await;
    }
    found(&bridge, "limited", "strangers_per_second").await;
    let open = Camera { path: "/alarm/all".into(), ..camera };
    for last in 3..6 {
        open.json(&report(&format!("98:ba:5f:8b:10:0{last}"), &["MOTION"])).await;
    }
    found(&bridge, "shared_address", "127.0.0.1").await;
}

#[tokio::test]
async fn devices_with_a_wrong_clock_no_picture_or_nothing_to_say() {
    let config = format!(
        "[devices.\"{MAC}\"]\ntimezone = \"UTC\"\nexpected_every_seconds = 1\n[time]\nmax_clock_skew_seconds = 600\n"
    );
    let bridge = Bridge::start(&config).await;
    let mut wrong = report(MAC, &["MOTION"]);
    wrong["event_list"][0]["dateTime"] = json!("20200101000000");
    bridge.camera().multipart(&wrong, &picture(16)).await;
    found(&bridge, "device_clock", "20200101000000").await;
    found(&bridge, "device_silent", "expected at least every 1 s").await;
    bridge.camera().json(&report(MAC, &["MOTION"])).await;
    found(&bridge, "picture_missing", "without a picture").await;
    let codes = bridge.api("/findings").await.to_string();
    assert!(!codes.contains("device_clock"), "it is not taken back: {codes}");
    found(&bridge, "nobody_listens", "alarmbus/98ba5f8b1003/event/motion").await;
}

/// Without configuration, unusual silence is detected from earlier intervals.
#[tokio::test]
async fn a_device_that_is_silent_longer_than_its_own_habit() {
    let mut bridge = Bridge::start("").await;
    for mac in [MAC, "98:ba:5f:8b:10:04"] {
        bridge.camera().json(&report(mac, &["MOTION"])).await;
    }
    assert!(bridge.terminate().await.success());
    let database = rusqlite::Connection::open(bridge.storage().join("outbox.db")).unwrap();
    let habit =
        "UPDATE device SET body = json_set(body, '$.habit', json('{\"longest\":3600,\"pauses\":30}'))";
    assert_eq!(database.execute(habit, []).unwrap(), 2);
    let silent = "UPDATE heard SET last_heard = last_heard - 43200000
        WHERE no = (SELECT no FROM device WHERE source = '98ba5f8b1003')";
    assert_eq!(database.execute(silent, []).unwrap(), 1);
    drop(database);
    bridge.restart().await;
    found(&bridge, "device_silent", "usually heard every 21600 s").await;
    assert_eq!(
        bridge.finding("device_silent").await["subject"],
        "98ba5f8b1003",
        "the other was heard just now"
    );
    bridge.camera().json(&report(MAC, &["MOTION"])).await;
    eventually(SOON, "it is heard again", async || {
        (!bridge.api("/findings").await.to_string().contains("device_silent")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_refuses() {
    let broker = Mosquitto::with(Settings { users: vec![("bridge", "right")], ..Settings::default() }).await;
    let config = format!("[mqtt]\nserver = \"{}\"\nuser = \"bridge\"\npassword = \"wrong\"\n", broker.url());
    let bridge = Bridge::start(&config).await;
    found(&bridge, "broker_refused", "").await;
    let setup = bridge.api("/setup").await;
    assert!(setup["chain"].as_array().unwrap().iter().any(|tick| tick["state"] == "failed"), "{setup:#}");
}

#[tokio::test]
async fn a_broker_that_is_down_while_alarms_come() {
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n", port::free())).await;
    found(&bridge, "broker_unreachable", "").await;
    let sending = async {
        loop {
            bridge.camera().json(&report(MAC, &["MOTION", "PEOPLE"])).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = found(&bridge, "backlog_growing", "alarms wait for mqtt") => {}
        () = sending => {}
    }
}

#[tokio::test]
async fn another_client_with_our_name() {
    let broker = Mosquitto::start().await;
    let config = format!("[mqtt]\nserver = \"{}\"\nclient_id = \"twin\"\n", broker.url());
    let bridge = Bridge::start(&config).await;
    eventually(SOON, "a session", async || {
        (bridge.api("/sinks").await["sinks"][0]["connected"] == true).then_some(())
    })
    .await;
    let twin = Login { session: Some("twin"), ..Login::default() };
    let _other = Subscriber::login(broker.port(), "none", twin).await;
    // A broker that does not say why it closes the connection leaves several possible causes.
    found(&bridge, "broker_unreachable", "another client uses the client id \"twin\"").await;
}

#[tokio::test]
async fn a_picture_larger_than_the_broker_takes() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(20_000), ..Settings::default() }).await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n", broker.url())).await;
    bridge.camera().multipart(&report(MAC, &["PEOPLE"]), &picture(400)).await;
    found(&bridge, "picture_too_large", "").await;
}

/// A connection of the Test button without a later alarm is reported after a time, here by advancing the clock.
#[tokio::test]
async fn a_test_that_no_alarm_follows() {
    let faults = Faults::none();
    let mut bridge = Bridge::prepare("");
    bridge.environment(faults.environment(&bridge.storage()));
    bridge.restart().await;
    bridge.camera().test_button().await;
    found(&bridge, "no_request", "before the first byte").await;
    assert!(!bridge.api("/findings").await.to_string().contains("test_no_alarm"));
    faults.set(Wrong { clock: 360, ..Wrong::default() });
    found(&bridge, "test_no_alarm", "connected 6 minutes ago, and no alarm came since").await;
    bridge.camera().json(&report(MAC, &["MOTION"])).await;
    eventually(SOON, "it to be taken back", async || {
        let codes = bridge.api("/findings").await.to_string();
        (!codes.contains("test_no_alarm")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_refuses_or_is_nearly_full() {
    let faults = Faults::none();
    let mut bridge = Bridge::prepare("");
    std::fs::create_dir_all(bridge.storage()).unwrap();
    let stat = rustix::fs::statvfs(bridge.storage()).unwrap();
    // Between once and twice the minimum: a warning, and nothing is deleted yet.
    let bound = stat.f_bavail * stat.f_frsize / 3 * 2;
    bridge.configure(&format!("[storage]\nmin_free_bytes = {bound}\n"));
    bridge.environment(faults.environment(&bridge.storage()));
    bridge.restart().await;
    found(&bridge, "disk_low", "MiB are free").await;
    faults.set(Wrong { error: Some(EIO), ..Wrong::default() });
    bridge.camera().json(&report(MAC, &["MOTION"])).await;
    found(&bridge, "disk", "").await;
    let setup = bridge.api("/setup").await;
    let committed = &setup["chain"][3];
    assert_eq!(
        (&committed["step"], &committed["state"]),
        (&json!("committed"), &json!("failed")),
        "{setup:#}"
    );
}

#[tokio::test]
async fn https_that_fails() {
    let folder = TempDir::new().unwrap();
    let (other, key) = (folder.path().join("other.pem"), folder.path().join("other.key"));
    write_certificate(&other, &key);
    let bridge = Bridge::start("[https]\nbind = \"127.0.0.1:0\"\n").await;
    let plain = Camera::new(&bridge.ready("/webhooks/1").replacen("https://", "http://", 1));
    let request = plain.request("application/json", report(MAC, &["MOTION"]).to_string().as_bytes());
    assert_eq!(plain.raw(&request).await.status, 400, "there is no plain HTTP on this port");
    found(&bridge, "plain_on_tls_port", "").await;
    // A client that does not trust the certificate ends the handshake with an alert.
    let refused = TlsClient::new(&other, &[&TLS13]).get(bridge.ready("/ingest/1"), "/").await;
    assert!(refused.is_err());
    found(&bridge, "tls_handshake", "").await;
}

#[tokio::test]
async fn a_broker_whose_certificate_nobody_knows() {
    let (folder, port) = (TempDir::new().unwrap(), port::free());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    write_certificate(&cert, &key);
    let (cert, key) = (cert.display(), key.display());
    let listener = format!("listener {port} 127.0.0.1\ncafile {cert}\ncertfile {cert}\nkeyfile {key}\n");
    let _broker = Mosquitto::with(Settings { extra: listener.leak(), ..Settings::default() }).await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"mqtts://127.0.0.1:{port}\"\n")).await;
    found(&bridge, "broker_tls", "").await;
}

#[tokio::test]
async fn captures_are_bounded_and_kept_over_a_restart() {
    let mut bridge = Bridge::start("[limits]\nstrangers_per_second = 1000000\n").await;
    let garbage = bridge.camera().request("text/plain", &vec![b'x'; 100_000]);
    for _ in 0..40 {
        bridge.camera().raw(&garbage).await;
    }
    for _ in 0..500 {
        bridge.camera().raw(&bridge.camera().request("text/plain", b"nothing")).await;
    }
    let bounded = async |bridge: &Bridge| {
        let page = bridge.api("/requests?limit=500").await;
        let newest = page["requests"][0]["no"].as_i64()?;
        (newest >= 500 && page["next"].is_null()).then(|| page["requests"].as_array().unwrap().len())
    };
    let count =
        eventually(Duration::from_secs(40), "500 requests at most", async || bounded(&bridge).await).await;
    assert!(count <= 500, "{count}");
    bridge.terminate().await;
    bridge.restart().await;
    // Messages in flight at the stop are written too, and the oldest are deleted for them.
    let kept = eventually(SOON, "the same after a restart", async || bounded(&bridge).await).await;
    assert!((count..=500).contains(&kept), "{kept} of {count}");
}
