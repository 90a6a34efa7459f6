//! Requests in unusual forms: cut, wrongly declared, in other encodings, several alarms or makers in one place. Each that
//! is answered 200 leaves its alarms, or a finding.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::camera::Answer;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber};

const SECRET: &str = "gate-west";
const MOTION: &str = "<?xml version=\"1.0\"?>\r\n<EventNotificationAlert version=\"2.0\">\r\n<macAddress>02:00:5e:77:00:01</macAddress>\r\n\
    <channelID>1</channelID>\r\n<dateTime>2026-11-28T12:20:05+01:00</dateTime>\r\n<eventType>VMD</eventType>\r\n\
    <eventState>active</eventState>\r\n<channelName>Yard</channelName>\r\n</EventNotificationAlert>\r\n";

/// A running bridge and what it publishes.
struct House {
    _broker: Mosquitto,
    events: Subscriber,
    bridge: Bridge,
}

impl House {
    async fn new() -> Self {
        let broker = Mosquitto::start().await;
        let events = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
        let config = format!(
            "[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n[limits]\nstrangers_per_second = 1000\n[[webhooks]]\npath = \"/alarm/{SECRET}\"\n",
            broker.url()
        );
        let bridge = Bridge::start(&config).await;
        Self { _broker: broker, events, bridge }
    }

    async fn send(&self, head: &str, body: &[u8]) -> Answer {
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let request = format!("{head}\r\nHost: h\r\nConnection: close\r\n{length}");
        self.bridge.camera().raw(&[request.as_bytes(), body].concat()).await
    }

    /// Posts a body, and expects these events of these sources.
    async fn post(&mut self, what: &str, kind: &str, body: &[u8], expected: &[&str]) {
        let answer = self.send(&format!("POST /alarm/{SECRET} HTTP/1.1\r\n{kind}"), body).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        self.events(what, expected).await;
    }

    async fn events(&mut self, what: &str, expected: &[&str]) {
        let mut seen = Vec::new();
        for _ in expected {
            let event = self.events.wait_for(SOON, |message| message.topic.contains("/event/")).await.json();
            seen.push(format!("{} {}", event["source"].as_str().unwrap(), event["event"].as_str().unwrap()));
        }
        let mut expected: Vec<String> = expected.iter().map(|&event| event.to_owned()).collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected, "{what}");
    }

    async fn findings(&self, code: &str) -> u64 {
        let all = get(self.bridge.admin(), "/api/v1/findings", &[]).await.json();
        let of_code = all["findings"].as_array().unwrap().iter().filter(|of| of["code"] == code);
        of_code.filter_map(|of| of["count"].as_u64()).sum()
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn with_mac(mac: u8, body: &str) -> String {
    body.replace("02:00:5e:77:00:01", &format!("02:00:5e:77:00:{mac:02}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_in_any_wrapping_is_an_alarm() {
    let mut house = House::new().await;
    let declared = MOTION
        .replace("version=\"1.0\"?", "version=\"1.0\" encoding=\"UTF-8\"?")
        .replace("Yard", "Caf\u{e9}");
    let latin: Vec<u8> = declared.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap()).collect();
    let wide: Vec<u8> =
        [0xfe, 0xff].into_iter().chain(MOTION.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let form = format!("data={}", percent(MOTION));
    let beside = format!("site=7&data={}&last=1", percent(MOTION));
    let parts = format!("--B\n\n{MOTION}\n--B--\n");
    let unclosed = MOTION.split("</EventNotificationAlert>").next().unwrap();
    let entity =
        MOTION.replace("?>\r\n", "?>\r\n<!DOCTYPE lolz [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>\r\n");
    let cases: [(&str, &str, &[u8]); 12] = [
        ("without its end", "Content-Type: application/xml", unclosed.as_bytes()),
        ("as JSON", "Content-Type: application/json", MOTION.as_bytes()),
        ("as a page", "Content-Type: text/html", MOTION.as_bytes()),
        ("as bytes", "Content-Type: application/octet-stream", MOTION.as_bytes()),
        ("without a type", "X-A: b", MOTION.as_bytes()),
        ("in Latin-1 declared as UTF-8", "Content-Type: application/xml", &latin),
        ("in UTF-16", "Content-Type: application/xml; charset=utf-16", &wide),
        ("in a form", "Content-Type: application/x-www-form-urlencoded", form.as_bytes()),
        ("in a form with others", "Content-Type: application/x-www-form-urlencoded", beside.as_bytes()),
        ("declared as a form", "Content-Type: application/x-www-form-urlencoded", MOTION.as_bytes()),
        ("in a bare part", "Content-Type: multipart/related; boundary=other", parts.as_bytes()),
        ("with entities", "Content-Type: application/xml", entity.as_bytes()),
    ];
    for (what, kind, body) in cases {
        house.post(what, kind, body, &["02005e770001 motion"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_alarms_and_makers_in_one_place_are_all_published() {
    let mut house = House::new().await;
    let line = with_mac(2, &MOTION.replace("VMD", "linedetection"));
    let two = format!("{MOTION}{line}");
    house
        .post(
            "two documents",
            "Content-Type: application/xml",
            two.as_bytes(),
            &["02005e770001 motion", "02005e770002 line_crossing"],
        )
        .await;
    let duration = MOTION.replace("VMD", "duration").replace(
        "<channelName>",
        "<DurationList><Duration><relationEvent>fielddetection</relationEvent></Duration>\
         <Duration><relationEvent>linedetection</relationEvent></Duration></DurationList><channelName>",
    );
    let both = ["02005e770001 intrusion", "02005e770001 line_crossing"];
    house.post("two events that go on", "Content-Type: application/xml", duration.as_bytes(), &both).await;
}

/// A report of a Reolink camera.
fn reolink(device: &str, kind: &str) -> Value {
    json!({"alarm": {"type": kind, "device": device, "deviceModel": "M", "channel": 0, "channelName": "C", "alarmTime": "2026-11-28T12:20:05.000+0000"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn makers_that_alternate_are_all_understood() {
    let mut house = House::new().await;
    let (one, other) = (reolink("Porch", "PEOPLE"), reolink("Drive", "VEHICLE"));
    let both = ["drive vehicle", "porch person"];
    house
        .post("a list", "Content-Type: application/json", json!([one, other]).to_string().as_bytes(), &both)
        .await;
    house
        .post(
            "lines of JSON",
            "Content-Type: application/x-ndjson",
            format!("{one}\n{other}\n").as_bytes(),
            &both,
        )
        .await;
    let records = "Code=VideoMotion;action=Start;index=1\nCode=CrossLineDetection;action=Start;index=2\n";
    house
        .post(
            "two records",
            "Content-Type: text/plain",
            records.as_bytes(),
            &["ip-127-0-0-1-2 motion", "ip-127-0-0-1-3 line_crossing"],
        )
        .await;
    for _ in 0..3 {
        house
            .post(
                "one maker",
                "Content-Type: application/json",
                one.to_string().as_bytes(),
                &["porch person"],
            )
            .await;
        house
            .post("another", "Content-Type: application/xml", MOTION.as_bytes(), &["02005e770001 motion"])
            .await;
        house
            .post(
                "a third",
                "Content-Type: text/plain",
                b"Code=VideoMotion;action=Start;index=1",
                &["ip-127-0-0-1-2 motion"],
            )
            .await;
    }
    let quoted = Value::from(one.to_string()).to_string();
    house
        .post("JSON in a string", "Content-Type: application/json", quoted.as_bytes(), &["porch person"])
        .await;
    let commas = one.to_string().replace("\"C\"", "\"C\",");
    house
        .post("JSON with mistakes", "Content-Type: application/json", commas.as_bytes(), &["porch person"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_and_chunked_bodies_are_read_as_they_are() {
    let mut house = House::new().await;
    let text = b"Code=VideoMotion;action=Start;index=1";
    let level = flate2::Compression::default();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(text).unwrap();
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
    raw.write_all(text).unwrap();
    for (what, body) in
        [("zlib", zlib.finish().unwrap()), ("raw", raw.finish().unwrap()), ("plain", text.to_vec())]
    {
        house.post(what, "Content-Encoding: deflate", &body, &["ip-127-0-0-1-2 motion"]).await;
    }
    let (head, tail) = MOTION.split_at(30);
    let chunked = format!(
        "POST /alarm/{SECRET} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\nX-T: 1\r\n\r\n",
        head.len(),
        tail.len()
    );
    assert_eq!(house.bridge.camera().raw(chunked.as_bytes()).await.status, 200);
    house.events("chunked", &["02005e770001 motion"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_a_document_is_one_tree() {
    let mut house = House::new().await;
    let alert = json!({"eventType": "VMD", "eventState": "active", "macAddress": "02:00:5e:77:00:01", "dateTime": "2026-11-28T12:20:05+01:00"});
    let form = "Content-Type: application/x-www-form-urlencoded";
    let body = format!("event_log={}", percent(&alert.to_string()));
    house.post("event_log", form, body.as_bytes(), &["02005e770001 motion"]).await;
    let body = format!("data={}&camera=yard&event=motion_start", percent("{\"x\":1}"));
    house.post("fields beside JSON", form, body.as_bytes(), &["yard motion"]).await;
    let part = |name: &str, content: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
        )
    };
    let kind = "Content-Type: multipart/form-data; boundary=B";
    let body = format!("{}--B--\r\n", part("event_log", &alert.to_string()));
    house.post("a text part", kind, body.as_bytes(), &["02005e770001 motion"]).await;
    let body = format!(
        "{}{}{}--B--\r\n",
        part("data", "{\"x\":1}"),
        part("camera", "yard"),
        part("event", "motion_start")
    );
    house.post("parts beside JSON", kind, body.as_bytes(), &["yard motion"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_is_read_as_it_was_sent() {
    let mut house = House::new().await;
    // The camera has the name that the path has.
    let query = format!("camera={SECRET}&event=motion_start&plate=B-AB%20123&code=4711");
    assert_eq!(house.send(&format!("POST /alarm/{SECRET}?{query} HTTP/1.1"), b"").await.status, 200);
    let event = house.events.wait_for(SOON, |message| message.topic.contains("/event/")).await.json();
    assert_eq!(
        (&event["source"], &event["device"]["name"]),
        (&json!("gate_west"), &json!("gate-west")),
        "{event}"
    );
    assert_eq!(event["details"]["plate"], "B-AB 123");
    let query = "camera=yard&event=motion_start&token=not-to-be-seen";
    let head = format!("GET /alarm/{SECRET}?{query} HTTP/1.1\r\nAccept: text/html,*/*");
    let answer = house.send(&head, b"").await;
    assert!(answer.status == 200 && String::from_utf8_lossy(&answer.body).contains("This URL is right"));
    let event = house.events.wait_for(SOON, |message| message.topic.contains("/event/")).await;
    assert!(
        event.topic == "alarmbus/yard/event/motion" && !event.text().contains("not-to-be-seen"),
        "{}",
        event.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_alarm_leaves_a_finding() {
    let house = House::new().await;
    for (number, head) in ["GET", "HEAD", "POST"].into_iter().enumerate() {
        let head = format!("{head} /alarm/{SECRET}?colour=blue HTTP/1.1\r\nAccept: text/html");
        // The answer to HEAD has no body.
        let request = format!("{head}\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        house.bridge.camera().to_its_end(request.as_bytes()).await;
        assert_eq!(house.findings("query_not_understood").await, number as u64 + 1, "{head}");
    }
    let before = house.findings("no_events").await;
    let heartbeat = MOTION.replace("VMD", "videoloss").replace("active", "inactive");
    let post = format!("POST /alarm/{SECRET} HTTP/1.1");
    assert_eq!(house.send(&post, heartbeat.as_bytes()).await.status, 200);
    assert_eq!(house.findings("no_events").await, before + 1, "the sign of life of an unknown device");
    let test = json!({"alarm": {"type": "TEST", "device": "Porch", "deviceModel": "M", "channel": 0, "alarmTime": "2026-11-28T12:20:05.000+0000"}});
    assert_eq!(house.send(&post, test.to_string().as_bytes()).await.status, 200);
    assert_eq!(house.findings("no_events").await, before + 2, "the test of an unknown device");
    assert_eq!(house.send(&post, b"[]").await.status, 200);
    assert_eq!(house.findings("no_events").await, before + 3, "an empty list");
}
