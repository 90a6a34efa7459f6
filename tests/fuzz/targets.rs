//! The targets: all parsers of bytes from outside.

use alarmbus::config::{self, Sources};
use alarmbus::decode::{self, Body, BodyEnd, Decoded, Hints};
use alarmbus::model::picture::jpeg;
use alarmbus::model::record::DeviceRecord;
use alarmbus::model::{DeviceKind, EventName, Source};
use alarmbus::render::What;
use alarmbus::render::topics::TopicSet;

use super::corpus;
use super::outcome;
use super::run::{Outcome, Target, run};

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"1e400",
    b"-1",
    b"99999999999999999999",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3\x28",
    b"\"event_list\":",
    b"\"event_type\":",
    b"\"MOTION\"",
    b"\"PEOPLE\"",
    b"\"mac\":",
    b"\"dateTime\":\"20261005162531\"",
    b"\"98:ba:5f:8b:10:03\"",
    b"\"channel\":",
    b"\"device_name\":",
    b"/",
    b"+",
    b"#",
    b"\n",
];
const MULTIPART: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"--",
    b"--ReportEventBoundary",
    b"\r\n--ReportEventBoundary\r\n",
    b"\r\n--ReportEventBoundary--\r\n",
    b"Content-Type: application/json\r\n",
    b"Content-Type: image/jpeg\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Disposition: form-data; name=\"event\"\r\n",
    b"filename=\"",
    b"\xff\xd8\xff\xe0",
    b"\xff\xd9",
    b"{\"event_list\":[",
    b"]}",
    b"\0",
    b";",
    b"=",
    b"\"",
];
const JPEG: &[&[u8]] = &[
    b"\xff",
    b"\xff\xd8\xff",
    b"\xff\xe0\0\x10",
    b"\xff\xc0\0\x11\x08",
    b"\xff\xc2",
    b"\xff\xc4\xff\xff",
    b"\xff\xd9",
    b"\xff\xda",
    b"\xff\xfe\0\0",
    b"\0\0",
    b"\0\x02",
    b"\xff\xff\xff",
];
const TOML: &[&[u8]] = &[
    b"[mqtt]\n",
    b"[[webhooks]]\n",
    b"[devices.\"",
    b"\"]\n",
    b"server = ",
    b"bind = ",
    b"\"",
    b"'''",
    b"=",
    b"\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b"1979-05-27",
    b"0x",
    b"-1",
    b"1e999",
    b"\"64MiB\"",
    b"hold.person = 30\n",
    b"#",
    b"path = \"/alarm/",
    b"inf",
    b"allow = [\"10.0.0.0/8\"]\n",
    b"\xff",
    b"..",
    b"timezone = \"UTC+08:00\"\n",
];
const TEMPLATE: &[&[u8]] = &[
    b"{",
    b"}",
    b"{{",
    b"}}",
    b"{base}",
    b"{source}",
    b"{event}",
    b"{id}",
    b"{mac}",
    b"{channel}",
    b"{name}",
    b"{vendor}",
    b"/",
    b"//",
    b"+",
    b"#",
    b"$",
    b"\0",
    b" ",
    b"\xc3\xbc",
    b"alarmbus",
];

/// A body of any kind: the first byte of the input selects the header and the end of the body.
fn body(input: &[u8]) -> Outcome {
    let (&kind, bytes) = input.split_first().unwrap_or((&0, &[]));
    let content_type = match kind % 7 {
        0 => None,
        1 => Some("application/json"),
        2 => Some("multipart/form-data; boundary=ReportEventBoundary"),
        3 => Some("multipart/form-data; boundary=\"a b\"; charset=gbk"),
        4 => Some("application/x-www-form-urlencoded"),
        5 => Some("image/jpeg"),
        _ => Some("text/plain; charset=\"\u{fffd}"),
    };
    let (end, skipped) = match kind / 7 % 3 {
        0 => (BodyEnd::Complete, 0),
        1 => (BodyEnd::Truncated, 0),
        _ => (BodyEnd::TooLarge, 1 << 20),
    };
    let vendor = ["auto", "vigi", "vigi_nvr", "generic"][usize::from(kind / 21 % 4)];
    decode(bytes, content_type, end, skipped, vendor)
}

/// Decodes and checks the result.
fn decode(bytes: &[u8], content_type: Option<&str>, end: BodyEnd, skipped: u64, vendor: &str) -> Outcome {
    let body = Body {
        bytes: bytes::Bytes::copy_from_slice(bytes),
        content_type: content_type.map(str::to_owned),
        end,
        skipped,
        coding: None,
    };
    let hints = Hints { vendor: vendor.to_owned(), alarms_per_report: 16, ..Hints::default() };
    match decode::decode(&body, &hints) {
        Ok(decoded) => {
            holds(&decoded);
            outcome::understood(&decoded)
        }
        Err(error) => outcome::message(&error.to_string()),
    }
}

/// Checks properties of every decoded report.
fn holds(decoded: &Decoded) {
    assert!(decoded.alarms.len() <= 17, "{} alarms", decoded.alarms.len());
    for alarm in &decoded.alarms {
        let event = alarm.event.to_string();
        let slug = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
        assert!((1..=64).contains(&event.len()) && event.chars().all(slug), "{event:?}");
        assert!(alarm.event_raw.chars().count() <= 128, "{:?}", alarm.event_raw);
        for name in [&alarm.device.name, &alarm.device.device_id].into_iter().flatten() {
            assert!(name.chars().count() <= 128, "{name:?}");
        }
        if let Some(picture) = alarm.picture {
            assert!(picture < decoded.pictures.len(), "picture {picture} of {}", decoded.pictures.len());
        }
        if let Some(source) = alarm.device.device_id.as_deref().and_then(Source::of_id) {
            let level = source.to_string();
            assert!(level.chars().all(|sign| slug(sign) || sign == '-'), "{level:?}");
        }
        serde_json::to_string(&alarm.extra).expect("what is kept can be written");
    }
}

#[test]
fn request_body() {
    let mut corpus = corpus::own("request_body");
    for (number, body) in corpus::bodies().into_iter().enumerate() {
        let kind = u8::try_from(number % 84).expect("it fits");
        corpus.push([&[kind], body.as_slice()].concat());
    }
    run(&Target { name: "request_body", corpus, words: JSON, longest: 64 << 10, check: body });
}

#[test]
fn multipart() {
    let mut corpus = corpus::own("multipart");
    corpus.extend(
        corpus::bodies().into_iter().filter(|body| body.starts_with(b"--") || body.starts_with(b"\r\n--")),
    );
    let check = |input: &[u8]| {
        let header = "multipart/form-data; boundary=ReportEventBoundary";
        let mut outcome = decode(input, Some(header), BodyEnd::Complete, 0, "auto");
        outcome.extend(decode(input, Some(header), BodyEnd::Truncated, 0, "vigi"));
        outcome
    };
    run(&Target { name: "multipart", corpus, words: MULTIPART, longest: 64 << 10, check });
}

#[test]
fn vigi_json() {
    let mut corpus = corpus::own("vigi_json");
    corpus
        .extend(corpus::bodies().into_iter().filter(|body| body.starts_with(b"{") || body.starts_with(b"[")));
    let check = |input: &[u8]| {
        let of = |vendor| decode(input, Some("application/json"), BodyEnd::Complete, 0, vendor);
        ["vigi", "vigi_nvr", "auto"].into_iter().flat_map(of).collect()
    };
    run(&Target { name: "vigi_json", corpus, words: JSON, longest: 32 << 10, check });
}

#[test]
fn jpeg_header() {
    let mut corpus = corpus::own("jpeg_header");
    let jpeg_of = |body: Vec<u8>| {
        let start = body.windows(3).position(|three| three == [0xff, 0xd8, 0xff])?;
        Some(body[start..].iter().take(4_096).copied().collect::<Vec<u8>>())
    };
    corpus.extend(corpus::bodies().into_iter().filter_map(jpeg_of));
    let check = |input: &[u8]| {
        let found = jpeg::dimensions(input);
        assert!(found.is_none() || jpeg::starts_as_jpeg(input));
        outcome::header(input, found)
    };
    run(&Target { name: "jpeg_header", corpus, words: JPEG, longest: 8 << 10, check });
}

#[test]
fn configuration() {
    let mut corpus = corpus::own("configuration");
    corpus.extend(corpus::configurations());
    run(&Target { name: "configuration", corpus, words: TOML, longest: 32 << 10, check: configure });
}

/// Loads a configuration; mistakes must have a text, and a valid one must load again as printed.
fn configure(input: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alarmbus.toml");
    std::fs::write(&file, input).expect("the folder can be written");
    match config::load(&Sources { file: Some(file), ..Sources::default() }) {
        Ok(loaded) => {
            assert!(!format!("{:?}", loaded.config).is_empty());
            outcome::message("taken")
        }
        Err(mistakes) => {
            assert!(!mistakes.0.is_empty() && !mistakes.to_string().trim().is_empty());
            outcome::mistakes(&mistakes)
        }
    }
}

#[test]
fn topic_template() {
    let mut corpus = corpus::own("topic_template");
    let topics = config::Topics::default();
    corpus.extend([topics.event, topics.picture, topics.last, topics.device].map(String::into_bytes));
    run(&Target { name: "topic_template", corpus, words: TEMPLATE, longest: 2 << 10, check: template });
}

/// Parses a template; a valid one must make a topic without wildcards for any device name.
fn template(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input).into_owned();
    let topics = config::Topics { event: text.clone(), ..config::Topics::default() };
    let set = match TopicSet::new("alarmbus", "bridge", &topics, Some("homeassistant")) {
        Ok(set) => set,
        Err(errors) => return errors.iter().flat_map(|error| outcome::message(&error.to_string())).collect(),
    };
    let device = DeviceRecord {
        mac: None,
        name: "a/+/#\u{0}$SYS".into(),
        reported_name: Some(text.clone()),
        ip: Some("+".into()),
        vendor: "generic".into(),
        kind: DeviceKind::Camera,
        channel: Some(u32::MAX),
        parent: None,
    };
    let (source, event) = (Source::of_ip("10.0.0.1"), EventName::new("person"));
    let topic = set.event(&source, &event, uuid::Uuid::nil(), &device);
    assert!(!topic.contains(['+', '#', '\0']) && !topic.starts_with('$'), "{text:?} makes {topic:?}");
    assert!(topic.contains("ip-10-0-0-1") && topic.contains("person"), "{text:?} makes {topic:?}");
    for what in [What::State, What::Last, What::Device, What::Snapshot, What::SnapshotInfo, What::Count] {
        let other = set.value(what, &source, Some(&event), Some(&device));
        assert_ne!(other.as_deref(), Some(topic.as_str()), "{text:?}");
    }
    assert_ne!(topic, set.bridge("state"), "{text:?}");
    outcome::slots(&text)
}
