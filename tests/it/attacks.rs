//! Attacks against a real bridge: it answers, stays within its limits, and accepts the next alarm.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::web::{ask, get};
use crate::support::{Bridge, Camera, SOON, Subscriber, eventually};

/// A report with one event.
fn report(mac: &str, event: &str) -> Value {
    json!({"ip": "10.0.0.5", "mac": mac, "device_name": "Door",
           "event_list": [{"dateTime": "20261005162531", "event_type": [event]}]})
}

/// Checks that the bridge still accepts alarms.
async fn still_works(bridge: &Bridge) {
    let answer = bridge.camera().json(&report("98:ba:5f:8b:10:03", "MOTION")).await;
    assert_eq!((answer.status, answer.json()["alarms"].as_u64()), (200, Some(1)));
    assert_eq!(get(bridge.admin(), "/health/live", &[]).await.status, 200);
}

/// Everything the bridge answers on one connection.
async fn whole(camera: &Camera, bytes: &[u8]) -> String {
    let mut stream = camera.connect().await.unwrap();
    // The bridge may close before it has read everything.
    let _cut = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _reset = tokio::time::timeout(SOON, stream.read_to_end(&mut all)).await.expect("it closes");
    String::from_utf8_lossy(&all).into_owned()
}

/// Requests that two parsers could read differently are answered at most once.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_smuggled_inside_another() {
    let bridge =
        Bridge::start("[limits]\nheader_seconds = 2\nbody_seconds = 2\nstrangers_per_second = 1000000").await;
    let camera = bridge.camera();
    let hidden = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", camera.path);
    let length = hidden.len();
    for framing in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".to_owned(),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n"),
        "Content-Length: 0, 5\r\n\r\n".to_owned(),
        "Content-Length: +0\r\n\r\n".to_owned(),
        "Content-Length: 0x0\r\n\r\n".to_owned(),
        "Content-Length: -1\r\n\r\n".to_owned(),
        "Content-Length: 18446744073709551616\r\n\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n".to_owned(),
        "X: y\r\n Content-Length: 0\r\n\r\n".to_owned(),
        "Content-Length: 0\r\n\0: x\r\n\r\n".to_owned(),
    ] {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n{framing}{hidden}",
            camera.path
        );
        let answers = whole(&camera, request.as_bytes()).await;
        let count = answers.matches("HTTP/1.1 ").count();
        assert!(count <= 1 && !answers.contains("<h1>"), "{count} answers to {framing:?}:\n{answers}");
    }
    still_works(&bridge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_headers_are_refused() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let head = format!("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n", camera.path);
    let many: String = (0..5_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(1 << 20));
    let names = format!("{}: y\r\n", "x".repeat(1 << 17));
    for flood in [many, long, names] {
        let answer = whole(&camera, format!("{head}{flood}\r\n{{}}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    }
    still_works(&bridge).await;
}

/// A compressed body is decompressed up to the limit of a plain one, and no further.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_at_the_bound() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    let body = bomb.finish().unwrap();
    let request = String::from_utf8(camera.request("application/json", b"")).unwrap();
    let request = request
        .replace("Content-Length: 0", &format!("Content-Length: {}\r\nContent-Encoding: gzip", body.len()));
    let answer = camera.raw(&[request.as_bytes(), &body].concat()).await;
    assert_eq!(answer.status, 413);
    still_works(&bridge).await;
}

/// Dots and escapes in paths lead to no other file, and every wrong path is answered with the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn path_tricks_lead_nowhere() {
    let bridge = Bridge::start("[limits]\nstrangers_per_second = 1000000").await;
    let camera = bridge.camera();
    let secret = camera.path.rsplit('/').next().unwrap().to_owned();
    let mut answers = BTreeSet::new();
    for path in [
        "/".to_owned(),
        "/../../etc/passwd".to_owned(),
        "/alarm/../../../etc/passwd".to_owned(),
        "/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/alarm/%00".to_owned(),
        "/alarm/..%2f..%2foutbox.db".to_owned(),
        format!("/alarm/{}", secret.get(1..).unwrap()),
        format!("/alarm/{secret}%00"),
        format!("/alarm/{secret}/../{secret}"),
        format!("/alarm/{}", secret.to_uppercase() + "F"),
        "/health/ready".to_owned(),
        "/metrics".to_owned(),
    ] {
        let answer = camera.raw(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.status, 404, "{path}");
        answers.insert(format!("{}\r\n\r\n{}", answer.head, answer.text()));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let exposed = Bridge::start("[admin]\nbind = \"0.0.0.0:0\"\npassword = \"p4ssword\"").await;
    for path in [
        "/health/../metrics",
        "/snapshots/../metrics",
        "/login/../metrics",
        "//metrics",
        "/health/live/%2e%2e/%2e%2e/metrics",
        "/METRICS",
        "/metrics/",
    ] {
        let answer = get(exposed.admin(), path, &[]).await;
        assert!(matches!(answer.status, 401 | 404), "{path}: {}", answer.status);
    }
    still_works(&bridge).await;
}

/// Fields with free text of a device.
const FIELDS: [&str; 9] = [
    "ip",
    "mac",
    "device_name",
    "device_id",
    "deviceId",
    "channel",
    "channel_name",
    "protocol",
    "event_name",
];

/// With any name of a device, topics keep their alphabet and number of levels.
#[tokio::test(flavor = "multi_thread")]
async fn no_field_injects_a_topic_or_breaks_a_line_of_the_log() {
    let bridge = Bridge::start("[log]\nlevel = \"debug\"").await;
    let port = bridge.mqtt().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut all = Subscriber::connect(port, "#").await;
    let evil =
        "a/+/#\u{0}\n2026-01-01T00:00:00Z  INFO forged: line\u{1b}[31m\r\u{7}<script>alert(1)</script>";
    let camera = bridge.camera();
    for field in FIELDS {
        let mut body = report("98:ba:5f:8b:10:03", "MOTION");
        body[field] = json!(evil);
        camera.json(&body).await;
        body["event_list"][0][field] = json!(evil);
        camera.json(&body).await;
    }
    for value in [
        json!([evil]),
        json!({evil: evil}),
        json!(evil),
        json!([[evil]]),
        json!(["../../bridge/state", "+", "#", "$SYS"]),
    ] {
        let mut body = report("98:ba:5f:8b:10:04", "MOTION");
        body["event_list"][0]["event_type"] = value;
        camera.json(&body).await;
        body["event_list"][0]["dateTime"] = json!(evil);
        body["mac"] = json!(evil);
        camera.json(&body).await;
    }
    let header = format!("multipart/form-data; boundary={}", "x\u{1b}[31m/+/#");
    let raw = camera.request(&header, report("98:ba:5f:8b:10:05", evil).to_string().as_bytes());
    camera.raw(&raw).await;
    camera.raw(b"POST /\x1b[31mforged HTTP/1.1\r\nHost: \xff\r\nX-Forwarded-For: \x1b[31m\r\n\r\n").await;
    // Everything published before this message has arrived when this one has.
    camera.json(&report("98:ba:5f:8b:10:06", "MOTION")).await;
    all.topic("alarmbus/98ba5f8b1006/event/motion").await;
    for message in all.drain() {
        let topic = &message.topic;
        let plain =
            |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || matches!(sign, '_' | '-');
        let levels: Vec<&str> = topic.split('/').collect();
        assert!(levels.iter().all(|level| !level.is_empty() && level.chars().all(plain)), "{topic:?}");
        assert!(matches!(levels[0], "alarmbus" | "homeassistant") && levels.len() <= 4, "{topic:?}");
        let is_bridge = levels.get(1) == Some(&"bridge");
        assert!(!is_bridge || levels.len() == 3, "{topic:?}");
    }
    let log = bridge.log();
    assert!(log.contains("forged"), "the log shows what came");
    for line in log.lines() {
        assert!(!line.starts_with("2026-01-01"), "a forged line: {line:?}");
        assert!(!line.chars().any(char::is_control), "control characters: {line:?}");
    }
    still_works(&bridge).await;
}

/// Reports with many new devices and kinds reach limits and do not exhaust memory.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_devices_and_kinds_are_bounded() {
    let bridge = Bridge::start("[limits]\nsources = 20\nkinds_per_source = 5").await;
    let camera = bridge.camera();
    for number in 0..60 {
        let answer =
            camera.json(&report(&format!("02:00:00:00:00:{number:02x}"), &format!("KIND_{number}"))).await;
        assert_eq!((answer.status, answer.json()["alarms"].as_u64()), (200, Some(1)));
    }
    for number in 0..60 {
        camera.json(&report("02:00:00:00:00:00", &format!("OTHER_{number}"))).await;
    }
    let text = eventually(SOON, "all to be counted", async || {
        let text = get(bridge.admin(), "/metrics", &[]).await.text();
        let total: u64 = alarms(&text).map(|(_, _, count)| count).sum();
        (total == 120).then_some(text)
    })
    .await;
    let sources: BTreeSet<&str> = alarms(&text).map(|(source, _, _)| source).collect();
    assert!(sources.len() <= 21 && sources.contains("unlisted"), "{sources:?}");
    let kinds = alarms(&text).filter(|(source, _, _)| *source == "020000000000").count();
    assert!(kinds <= 6, "{kinds}");
    still_works(&bridge).await;
}

/// Source, event and count of each line of `alarmbus_alarms_total`.
fn alarms(text: &str) -> impl Iterator<Item = (&str, &str, u64)> {
    text.lines().filter_map(|line| {
        let (labels, count) = line.strip_prefix("alarmbus_alarms_total{")?.split_once("} ")?;
        let (source, event) = labels.split_once(',')?;
        Some((source.split('"').nth(1)?, event.split('"').nth(1)?, count.parse().ok()?))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_numbers_and_deep_nests_are_answered() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let post = async |body: String| camera.raw(&camera.request("application/json", body.as_bytes())).await;
    for number in
        ["1e400", "-1e400", "99999999999999999999999999", "-1", "0.1", "1e-400", "18446744073709551615"]
    {
        let body = format!(
            "{{\"mac\":\"98:ba:5f:8b:10:03\",\"channel\":{number},\"event_list\":[{{\"dateTime\":\"99991231235959\",\
             \"event_type\":[\"PEOPLE\"],\"people_num\":{number},\"target_num\":{number},\
             \"box\":[[{number},{number},{number},{number}]]}}]}}"
        );
        let answer = post(body).await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
    }
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let answer = post(open.repeat(200_000)).await;
        assert!(matches!(answer.status, 200 | 400), "{open}: {}", answer.status);
    }
    let nested = format!(
        "{{\"mac\":\"98:ba:5f:8b:10:03\",\"x\":{}{},\"event_list\":[{{\"event_type\":[\"MOTION\"]}}]}}",
        "[".repeat(500),
        "]".repeat(500)
    );
    assert_eq!(post(nested).await.status, 200);
    still_works(&bridge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_in_one_report_are_cut_and_counted() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let mut body = report("98:ba:5f:8b:10:03", "MOTION");
    let entry = body["event_list"][0].clone();
    body["event_list"] = json!(vec![entry; 10_000]);
    let answer = camera.json(&body).await;
    assert_eq!(answer.status, 200);
    let alarms = answer.json()["alarms"].as_u64().unwrap();
    assert!((1..=257).contains(&alarms), "{alarms}");
    let mut body = report("98:ba:5f:8b:10:04", "MOTION");
    let kinds: Vec<String> = (0..10_000).map(|n| format!("KIND_{n}")).collect();
    body["event_list"][0]["event_type"] = json!(kinds);
    let answer = camera.json(&body).await;
    assert!((1..=257).contains(&answer.json()["alarms"].as_u64().unwrap()), "{}", answer.text());
    still_works(&bridge).await;
}

/// No address in a request is contacted, in whatever field.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_in_a_request_is_contacted() {
    let bridge = Bridge::start("").await;
    let (camera, trap) = (bridge.camera(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = trap.local_addr().unwrap();
    let (url, host) = (format!("http://{address}/picture.jpg"), address.to_string());
    for field in FIELDS.into_iter().chain(["picture", "image", "url", "imageUrl", "callback", "snapshot"]) {
        let mut body = report("98:ba:5f:8b:10:03", "MOTION");
        body[field] = json!(url);
        body["event_list"][0][field] = json!(url);
        camera.json(&body).await;
        body[field] = json!(host);
        camera.json(&body).await;
    }
    for line in [
        format!("POST {url}"),
        format!("GET {url}"),
        format!("CONNECT {host}"),
        format!("POST {}?url={url}", camera.path),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {host}\r\nReferer: {url}\r\nOrigin: http://{host}\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        camera.raw(head.as_bytes()).await;
    }
    let xml = format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"{url}\">]><x>&e;</x>");
    camera.raw(&camera.request("application/xml", xml.as_bytes())).await;
    still_works(&bridge).await;
    let asked = tokio::time::timeout(std::time::Duration::from_secs(1), trap.accept()).await;
    assert!(asked.is_err(), "somebody was sent there: {asked:?}");
}

/// A page of another site can reach the admin port, but cannot change anything.
#[tokio::test(flavor = "multi_thread")]
async fn another_site_changes_nothing() {
    let bridge = Bridge::start("").await;
    for headers in [
        ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"],
        ["Origin: null", "Content-Type: text/plain"],
        ["Sec-Fetch-Site: same-site", "X: y"],
    ] {
        for line in ["POST /login", "POST /logout", "POST /devices", "DELETE /devices/x", "PUT /x"] {
            assert_eq!(ask(bridge.admin(), line, &headers, "a=b").await.status, 403, "{line} {headers:?}");
        }
    }
    still_works(&bridge).await;
}
