//! A device that repeats its own URL, in any encoding: the secret path reaches no topic, page, answer, log or
//! archive.

use serde_json::Value;

use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

const SECRET: &str = "s3cretS3cretS3cretS3cret42";

fn units(text: &str) -> String {
    text.chars().map(|sign| format!("\\u{:04x}", u32::from(sign))).collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A report with this text.
fn report(camera: usize, said: &str) -> String {
    format!(
        "{{\"mac\":\"98-BA-5F-8B-10-{camera:02}\",\"device_name\":\"{said}\",\"unheard_of\":\"http:\\/\\/192.0.2.5{said}\",\
         \"event_list\":[{{\"event_type\":[\"PEOPLE\"],\"server_url\":\"{said}\"}}]}}"
    )
}

/// The secret in every encoding, as bytes.
fn spellings() -> Vec<Vec<u8>> {
    let texts = [SECRET.to_owned(), units(SECRET), percent(SECRET), percent(SECRET).replace('%', "%25")];
    let wide = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = SECRET.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    texts.into_iter().map(String::into_bytes).chain([wide, big]).collect()
}

/// Reports that contain the path, each in another way.
fn bodies(path: &str) -> Vec<Vec<u8>> {
    let (head, tail) = SECRET.split_at(5);
    let (middle, tail) = tail.split_at(4);
    let said = [
        path.to_owned(),
        path.replace('/', "\\/"),
        units(path),
        units(path).to_uppercase().replace("\\U", "\\u"),
        percent(path),
        percent(path).replace('%', "%25"),
        format!("/alarm/{head}{}{}", units(middle), percent(tail)),
    ];
    let mut bodies: Vec<Vec<u8>> =
        said.iter().enumerate().map(|(n, said)| report(n, said).into_bytes()).collect();
    let wide = report(10, path);
    bodies.push(wide.encode_utf16().flat_map(u16::to_le_bytes).collect());
    bodies.push([0xfe, 0xff].into_iter().chain(wide.encode_utf16().flat_map(u16::to_be_bytes)).collect());
    bodies.push(format!("not JSON: {} {}", units(path), percent(path)).into_bytes());
    bodies
}

/// The report packed, with the value of its Content-Encoding.
fn packed(path: &str) -> Vec<(&'static str, Vec<u8>)> {
    let body = report(20, path).into_bytes();
    let level = flate2::Compression::none();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for out in [&mut gzip as &mut dyn std::io::Write, &mut zlib, &mut raw] {
        out.write_all(&body).unwrap();
    }
    let gzip = gzip.finish().unwrap();
    // Without the length and the sum at its end.
    let cut = gzip[..gzip.len() - 8].to_vec();
    vec![
        ("gzip", gzip),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
        ("gzip", cut),
        ("deflate", body.clone()),
        ("br", body),
    ]
}

#[track_caller]
fn clean(where_: &str, bytes: &[u8]) {
    for spelled in spellings() {
        let found = bytes.windows(spelled.len()).any(|window| window == spelled);
        assert!(!found, "{where_} holds {:?}", String::from_utf8_lossy(&spelled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_the_secret_path_is_stored_published_or_logged() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let path = format!("/alarm/{SECRET}");
    let config = format!(
        "[mqtt]\nserver = \"{}\"\n[log]\nlevel = \"debug\"\n[[webhooks]]\npath = \"{path}\"",
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    let camera = bridge.camera();
    let bodies = bodies(&path);
    let count = bodies.len();
    for body in bodies {
        let raw = camera.request("application/json", &body);
        let head = format!("X-Url: {}\r\nX-Again: {}\r\nHost", percent(&path), path.replace('/', "\\/"));
        let raw = [head.as_bytes()].into_iter().fold(raw, |raw, head| {
            let at = raw.windows(4).position(|four| four == b"Host").unwrap();
            [&raw[..at], head, &raw[at + 4..]].concat()
        });
        let answer = camera.raw(&raw).await;
        clean("the answer", &answer.body);
    }
    for (encoding, body) in packed(&path) {
        let raw = camera.request("application/json", &body);
        let at = raw.windows(4).position(|four| four == b"Host").unwrap();
        let header = format!("Content-Encoding: {encoding}\r\n");
        let answer = camera.raw(&[&raw[..at], header.as_bytes(), &raw[at..]].concat()).await;
        clean("the answer", &answer.body);
        assert_eq!(answer.json()["alarms"], 1, "{encoding}");
    }
    camera
        .json(&serde_json::json!({"mac": "98-BA-5F-8B-10-99", "event_list": [{"event_type": ["MOTION"]}]}))
        .await;
    all.topic("alarmbus/98ba5f8b1099/event/motion").await;
    for message in all.drain() {
        clean(&message.topic, &message.payload);
    }
    let rows = eventually(SOON, "all requests", async || {
        let rows = get(bridge.admin(), "/api/v1/requests?limit=100", &[]).await.json();
        (rows["requests"].as_array().map_or(0, Vec::len) > count).then_some(rows)
    })
    .await;
    for row in rows["requests"].as_array().unwrap() {
        let no = &row["no"];
        for page in [format!("/requests/{no}/capture"), format!("/requests/{no}")] {
            clean(&page, &get(bridge.admin(), &page, &[]).await.body);
        }
        let kept: Value = get(bridge.admin(), &format!("/api/v1/requests/{no}"), &[]).await.json();
        clean("the API", kept.to_string().as_bytes());
    }
    for page in ["/api/v1/alarms", "/api/v1/findings", "/api/v1/devices", "/"] {
        clean(page, &get(bridge.admin(), page, &[]).await.body);
    }
    clean("the log", bridge.log().as_bytes());
    let file = bridge.storage().join("../bundle.tar.gz");
    let (status, output) = bridge.command(&["bundle", "--output", file.to_str().unwrap()]).await;
    assert!(status.success(), "{output}");
    let mut archive = Vec::new();
    let packed = std::fs::File::open(&file).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut archive).unwrap();
    clean("the bundle", &archive);
}
