//! Raw requests in `tests/wire/*.http`, and beside each what it must decode to. A new quirk of a device is two files.
//!
//! The expected file holds `alarms` (all that is not null, empty or false in each), `pictures` and the codes of the
//! `problems`; or an `error` and what it `says`. Optional: the webhook's `hints`; `bound`, the bytes kept of the
//! body; `skipped`, the bytes thrown away inside it. A body shorter than its Content-Length ended early.

use std::fs;
use std::path::{Path, PathBuf};

use alarmbus::config::ingest::Pointers;
use alarmbus::findings::CATALOGUE;
use alarmbus::model::{Alarm, Picture};
use alarmbus::vendor::{Body, DecodeError, Decoded, End, Hints, decode};
use serde_json::{Map, Value, json};

#[test]
fn every_request_decodes_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let requests: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    assert!(requests.len() > 100, "the samples are gone");
    let wrong: Vec<String> = requests.iter().filter_map(|path| differs(path)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
}

/// How a request decodes otherwise than expected.
fn differs(path: &Path) -> Option<String> {
    let expected: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
    let body = body(&fs::read(path).unwrap(), &expected);
    let found = match decode(&body, &hints(&expected["hints"])) {
        Ok(decoded) => summary(&decoded),
        Err(error) => failure(&error, expected["says"].as_str()),
    };
    let mut wanted = expected.as_object().unwrap().clone();
    wanted.retain(|key, _| !["hints", "bound", "skipped"].contains(&key.as_str()));
    (found != Value::Object(wanted.clone())).then(|| {
        let name = path.file_name().unwrap().to_string_lossy();
        format!("{name}\n  expected {}\n  found    {found}", Value::Object(wanted))
    })
}

/// The body of a raw request, as far as it goes.
fn body(request: &[u8], expected: &Value) -> Body {
    let crlf = request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| (at, at + 4));
    let (head, start) = crlf
        .or_else(|| request.windows(2).position(|window| window == b"\n\n").map(|at| (at, at + 2)))
        .unwrap();
    let head = std::str::from_utf8(&request[..head]).unwrap();
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
    let mut end = if bytes.len() < announced { End::Truncated } else { End::Complete };
    let mut skipped = expected["skipped"].as_u64().unwrap_or(0);
    if let Some(bound) = expected["bound"].as_u64() {
        let kept = usize::try_from(bound).unwrap();
        skipped += (bytes.len() - kept) as u64;
        bytes.truncate(kept);
    }
    if skipped > 0 {
        end = End::TooLarge;
    }
    Body { bytes: bytes.into(), content_type: header("Content-Type"), end, skipped }
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

/// The webhook's side.
fn hints(value: &Value) -> Hints {
    let pointers: Pointers = match &value["pointers"] {
        Value::Null => Pointers::default(),
        given => serde_json::from_value(given.clone()).unwrap(),
    };
    let bound = value["alarms_per_report"].as_u64().unwrap_or(256);
    Hints {
        vendor: value["vendor"].as_str().unwrap_or("auto").into(),
        pointers,
        alarms_per_report: usize::try_from(bound).unwrap(),
    }
}

/// What was decoded, in the shape of the expected file.
fn summary(decoded: &Decoded) -> Value {
    for problem in &decoded.problems {
        assert!(CATALOGUE.iter().any(|kind| kind.code == problem.code), "{} is no finding", problem.code);
    }
    json!({
        "alarms": decoded.alarms.iter().map(alarm).collect::<Vec<_>>(),
        "pictures": decoded.pictures.iter().map(picture).collect::<Vec<_>>(),
        "problems": decoded.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
    })
}

/// An alarm, without what is empty.
fn alarm(alarm: &Alarm) -> Value {
    let device = &alarm.device;
    let boxes: Vec<_> = alarm.boxes.iter().map(|it| [it.x, it.y, it.width, it.height]).collect();
    let raw = alarm.event_raw.clone();
    let mut shown = compact(json!({
        "event": alarm.event, "time": alarm.time_raw, "count": alarm.count, "regions": alarm.regions, "boxes": boxes,
        "picture": alarm.picture, "extra": alarm.extra, "truncated": alarm.truncated,
        "mac": device.mac, "device_id": device.device_id, "name": device.name, "ip": device.ip,
        "vendor": device.vendor, "kind": device.kind, "channel": device.channel, "channel_name": device.channel_name,
    }));
    shown.insert("raw".into(), raw.into());
    shown.into()
}

/// A picture, without what is empty.
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

/// The members that say something.
fn compact(value: Value) -> Map<String, Value> {
    let Value::Object(mut map) = value else { panic!("not an object") };
    map.retain(|_, value| ![json!(null), json!([]), json!({}), json!(false)].contains(value));
    map
}

/// An error, in the shape of the expected file.
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
