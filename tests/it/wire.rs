//! Raw requests in `tests/wire/*.http` and `tests/wire/<maker>/*.http`, and beside each what it must decode to. A new quirk of a device is two files.
//!
//! The expected file holds `alarms` (all that is not null, empty or false in each), `pictures` and the codes of the
//! `problems`, and where there are any, the `signs` of life or of a test and the `answer`; or an `error` and what it `says`. Optional: the webhook's `hints`; `bound`, the bytes kept of the
//! body; `skipped`, the bytes thrown away inside it. A body shorter than its Content-Length ended early.

use std::fs;
use std::path::{Path, PathBuf};

use alarmbus::config::ingest::Pointers;
use alarmbus::decode::{Body, BodyEnd, DecodeError, Decoded, Hints, Sign, decode};
use alarmbus::findings::CATALOGUE;
use alarmbus::model::{Alarm, Picture};
use serde_json::{Map, Value, json};

/// Keys of the expected file about the webhook and the reading of the body.
pub(crate) const GIVEN: [&str; 3] = ["hints", "bound", "skipped"];

#[test]
fn every_request_decodes_as_expected() {
    let requests = requests();
    assert!(requests.len() > 100, "the samples are gone");
    let wrong: Vec<String> = requests.iter().filter_map(|path| differs(path)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
}

/// The recorded requests, those of the makers too.
pub(crate) fn requests() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let paths = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let makers = paths(&folder).into_iter().filter(|path| path.is_dir()).flat_map(|path| paths(&path));
    let mut requests: Vec<PathBuf> = paths(&folder)
        .into_iter()
        .chain(makers)
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    requests.sort();
    requests
}

/// Result of a raw request at a webhook without settings of its own.
pub(crate) fn decoded(request: &[u8]) -> Result<Decoded, DecodeError> {
    decode(&body(request, &Value::Null), &hints(&Value::Null, &target(request)))
}

/// Difference between result and expectation of a request.
fn differs(path: &Path) -> Option<String> {
    let expected = fs::read(path.with_extension("json")).unwrap_or_else(|_| b"{}".to_vec());
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let request = fs::read(path).unwrap();
    let body = body(&request, &expected);
    let found = match decode(&body, &hints(&expected["hints"], &target(&request))) {
        Ok(decoded) => summary(&decoded),
        Err(error) => failure(&error, expected["says"].as_str()),
    };
    if std::env::var_os("UPDATE_GOLDEN").is_some() && path.parent().unwrap().file_name().unwrap() != "wire" {
        let mut found = found;
        for key in GIVEN.iter().filter(|key| !expected[**key].is_null()) {
            found[*key] = expected[*key].clone();
        }
        fs::write(path.with_extension("json"), serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        return None;
    }
    let mut wanted = expected.as_object().unwrap().clone();
    wanted.retain(|key, _| !GIVEN.contains(&key.as_str()));
    (found != Value::Object(wanted.clone())).then(|| {
        let name = path.file_name().unwrap().to_string_lossy();
        format!("{name}\n  expected {}\n  found    {found}", Value::Object(wanted))
    })
}

/// Body of a raw request, as far as it is complete.
fn body(request: &[u8], expected: &Value) -> Body {
    let crlf = request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| (at, at + 4));
    let (head, start) = crlf
        .or_else(|| request.windows(2).position(|window| window == b"\n\n").map(|at| (at, at + 2)))
        .unwrap();
    let head = String::from_utf8_lossy(&request[..head]);
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut bytes = request[start..].to_vec();
    if header("Transfer-Encoding").is_some() {
        bytes = dechunked(&bytes);
    }
    let announced = header("Content-Length").map_or(bytes.len(), |length| length.parse().unwrap());
    let mut end = if bytes.len() < announced { BodyEnd::Truncated } else { BodyEnd::Complete };
    let mut skipped = expected["skipped"].as_u64().unwrap_or(0);
    if let Some(bound) = expected["bound"].as_u64() {
        let kept = usize::try_from(bound).unwrap();
        skipped += (bytes.len() - kept) as u64;
        bytes.truncate(kept);
    }
    if skipped > 0 {
        end = BodyEnd::TooLarge;
    }
    let body = Body { bytes: bytes.into(), content_type: header("Content-Type"), end, skipped, coding: None };
    body.unpacked(header("Content-Encoding").as_deref(), 16 << 20)
}

/// The content of a chunked body.
fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap().split(';').next().unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

/// The target in the first line of a request.
fn target(request: &[u8]) -> String {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap());
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Settings of the webhook.
fn hints(value: &Value, target: &str) -> Hints {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // For a path fixed by the maker, the listener passes it on.
    let fixed = path.starts_with("/LAPI/").then(|| (":path".to_owned(), path.into()));
    let pointers: Pointers = match &value["pointers"] {
        Value::Null => Pointers::default(),
        given => serde_json::from_value(given.clone()).unwrap(),
    };
    let bound = value["alarms_per_report"].as_u64().unwrap_or(256);
    Hints {
        vendor: value["vendor"].as_str().unwrap_or("auto").into(),
        pointers,
        query: query.to_owned(),
        headers: fixed.into_iter().collect(),
        alarms_per_report: usize::try_from(bound).unwrap(),
        ..Hints::default()
    }
}

/// Decoded result in the form of the expected file.
fn summary(decoded: &Decoded) -> Value {
    for problem in &decoded.problems {
        assert!(CATALOGUE.iter().any(|kind| kind.code == problem.code), "{} is not a finding", problem.code);
    }
    let mut shown = json!({
        "alarms": decoded.alarms.iter().map(alarm).collect::<Vec<_>>(),
        "pictures": decoded.pictures.iter().map(picture).collect::<Vec<_>>(),
        "problems": decoded.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
    });
    if !decoded.signs.is_empty() {
        shown["signs"] = decoded.signs.iter().map(sign).collect();
    }
    if let Some(answer) = &decoded.answer {
        shown["answer"] = format!("{} {}", answer.status, answer.body).into();
    }
    shown
}

/// A sign of life or test, without empty members.
fn sign(sign: &Sign) -> Value {
    let device = &sign.device;
    compact(json!({
        "test": sign.test, "mac": device.mac, "device_id": device.device_id, "name": device.name, "ip": device.ip,
        "vendor": device.vendor, "kind": device.kind, "channel": device.channel, "channel_name": device.channel_name,
    }))
    .into()
}

/// An alarm, without empty members.
fn alarm(alarm: &Alarm) -> Value {
    let device = &alarm.device;
    let boxes: Vec<_> = alarm.boxes.iter().map(|it| [it.x, it.y, it.width, it.height]).collect();
    let raw = alarm.event_raw.clone();
    let mut shown = compact(json!({
        "event": alarm.event, "time": alarm.time_raw, "count": alarm.count, "regions": alarm.regions, "boxes": boxes,
        "picture": alarm.picture, "details": alarm.details, "state": alarm.state, "extra": alarm.extra, "truncated": alarm.truncated,
        "mac": device.mac, "device_id": device.device_id, "name": device.name, "ip": device.ip,
        "vendor": device.vendor, "kind": device.kind, "channel": device.channel, "channel_name": device.channel_name,
    }));
    shown.insert("raw".into(), raw.into());
    shown.into()
}

/// A picture, without empty members.
fn picture(picture: &Picture) -> Value {
    assert_eq!(picture.sha256.is_some(), picture.problem.is_none());
    let kept = if picture.problem.is_some() { 0 } else { picture.bytes };
    assert_eq!(picture.data.len() as u64, kept);
    let mut shown = compact(json!({
        "problem": picture.problem,
        "width": picture.dimensions.map(|it| it.width), "height": picture.dimensions.map(|it| it.height),
    }));
    shown.insert("bytes".into(), picture.bytes.into());
    shown.into()
}

/// Members that are not empty.
fn compact(value: Value) -> Map<String, Value> {
    let Value::Object(mut map) = value else { panic!("not an object") };
    map.retain(|_, value| ![json!(null), json!([]), json!({}), json!(false)].contains(value));
    map
}

/// An error, in the form of the expected file.
fn failure(error: &DecodeError, says: Option<&str>) -> Value {
    let kind = match error {
        DecodeError::Empty => "empty",
        DecodeError::NotUnderstood(_) => "not_understood",
        DecodeError::TooLarge(_) => "too_large",
        DecodeError::Truncated(_) => "truncated",
    };
    let text = error.to_string();
    match says {
        Some(says) if text.contains(says) => json!({"error": kind, "says": says}),
        Some(_) => json!({"error": kind, "says": text}),
        None => json!({"error": kind}),
    }
}
