//! Requests of other makers in `tests/expected/`, and beside each what a subscriber must receive. The expectations were
//! written from public evidence, not from what the bridge makes of the requests.

use std::fs;
use std::path::{Path, PathBuf};

use alarmbus::model::Source;
use serde_json::{Value, json};

use crate::support::camera::Answer;
use crate::support::web::get;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

const WEBHOOK: &str = "/alarm/expected-results-only";

/// Result of one request.
struct Observed {
    answer: Answer,
    events: Vec<Value>,
    verdict: String,
}

fn requests() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "http")).collect();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_yields_what_is_expected_and_nothing_else() {
    let broker = Mosquitto::start().await;
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let webhooks =
        [WEBHOOK, "/LAPI", "/NotificationInfo"].map(|path| format!("[[webhooks]]\npath = {path:?}\n"));
    let server = broker.url();
    let config =
        format!("[mqtt]\nserver = \"{server}\"\n[homeassistant]\nenabled = false\n{}", webhooks.concat());
    let bridge = Bridge::start(&config).await;
    let (mut wrong, mut unseen, mut number) = (Vec::new(), Vec::new(), 0);
    for path in requests() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        number += 1;
        let observed = observe(&bridge, &mut events, &path, number).await;
        wrong.extend(differences(&expected, &observed).into_iter().map(|what| format!("{name}: {what}")));
        for (what, planted) in planted(&expected) {
            if differences(&planted, &observed).is_empty() {
                unseen.push(format!("{name}: {what}"));
            }
        }
    }
    assert!(number > 20, "only {number} requests");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unseen.is_empty(), "wrong expectations that are not seen:\n{}", unseen.join("\n"));
}

/// Sends a request, and returns what came of it once it is in the list of requests.
async fn observe(bridge: &Bridge, events: &mut Subscriber, path: &Path, number: usize) -> Observed {
    let request = fs::read(path).unwrap();
    let target = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or_default().to_owned();
    let camera = bridge.camera();
    let fixed = target.starts_with("/LAPI") || target.starts_with("/NotificationInfo");
    let answer =
        if fixed { camera.raw(&request).await } else { camera.raw(&camera.readdress(&request)).await };
    let row = eventually(SOON, "the request", async || {
        let rows = get(bridge.admin(), "/api/v1/requests?limit=100", &[]).await.json();
        let rows = rows["requests"].as_array().unwrap().clone();
        (rows.len() == number).then(|| rows[0].clone())
    })
    .await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let count = body["alarms"].as_u64().or_else(|| alarms(&row["alarms"])).unwrap_or_default();
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(events.wait_for(SOON, |message| message.topic.contains("/event/")).await.json());
    }
    assert!(events.drain().is_empty(), "{} made more events than it said", path.display());
    Observed { answer, events: seen, verdict: row["verdict"].as_str().unwrap().to_owned() }
}

/// Number of alarms in a row of the list of requests.
fn alarms(row: &Value) -> Option<u64> {
    row.as_u64().or_else(|| row.as_array().map(|list| list.len() as u64))
}

/// Differences between an expectation and what came.
fn differences(expected: &Value, observed: &Observed) -> Vec<String> {
    let mut all = Vec::new();
    let status = format!("{}xx", observed.answer.status / 100);
    if expected["status"] != status.as_str() {
        all.push(format!("status {status}"));
    }
    if let Some(answer) = expected["answer"].as_str()
        && answer.as_bytes() != observed.answer.body
    {
        all.push(format!("answer {}", String::from_utf8_lossy(&observed.answer.body)));
    }
    let wanted = expected["events"].as_array().unwrap();
    if wanted.len() != observed.events.len() {
        all.push(format!("{} events", observed.events.len()));
    }
    let sign = observed.verdict.starts_with("a sign of life");
    let test = observed.verdict.starts_with("a test");
    if wanted.is_empty() && (expected["heard"] != sign || expected["test"] != test) {
        all.push(format!("verdict {}", observed.verdict));
    }
    let mut left: Vec<&Value> = observed.events.iter().collect();
    for event in wanted {
        let found = left.iter().map(|seen| of_event(event, seen)).collect::<Vec<_>>();
        match found.iter().position(Vec::is_empty) {
            Some(place) => drop(left.remove(place)),
            None => all.extend(found.into_iter().next().unwrap_or_default()),
        }
    }
    all
}

/// Differences between an expected event and a published one.
fn of_event(wanted: &Value, seen: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut check = |what: &str, fits: bool, found: &Value| {
        if !fits {
            all.push(format!("{what} is {found}, expected {}", wanted[what]));
        }
    };
    let device = &seen["device"];
    check("source", is_source(wanted, seen), &seen["source"]);
    let channel = |value: &Value| value.as_u64().unwrap_or(1);
    check("channel", channel(&wanted["channel"]) == channel(&device["channel"]), &device["channel"]);
    let name = &wanted["name"];
    check(
        "name",
        name.is_null() || *name == device["name"] || *name == device["reported_name"],
        &device["name"],
    );
    check("event", wanted["event"] == seen["event"], &seen["event"]);
    check("raw", wanted["raw"].is_null() || wanted["raw"] == seen["event_raw"], &seen["event_raw"]);
    let phase = if seen["phase"] == "update" { &json!("start") } else { &seen["phase"] };
    check("phase", wanted["phase"] == "none" || wanted["phase"] == *phase, &seen["phase"]);
    check("time", is_time(wanted, seen), &seen["time_raw"]);
    check("picture_sha256", wanted["picture_sha256"] == seen["snapshot"]["sha256"], &seen["snapshot"]);
    for (key, value) in wanted["details"].as_object().unwrap() {
        let found = match key.as_str() {
            "box" => &json!(["x", "y", "width", "height"].map(|side| seen["boxes"][0][side].clone())),
            "region" => &seen["regions"][0],
            _ => &seen["details"][key],
        };
        let numbers =
            |value: &Value| value.as_array().map(|list| list.iter().map(Value::as_f64).collect::<Vec<_>>());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fits = if key == "box" { numbers(value) == numbers(found) } else { text(value) == text(found) };
        check("details", fits, found);
    }
    all
}

/// Returns whether an event is of the expected source, or of a channel of it.
fn is_source(wanted: &Value, seen: &Value) -> bool {
    let said = wanted["source"].as_str().unwrap_or_default();
    let base = match wanted["source_kind"].as_str().unwrap() {
        "mac" => said.to_owned(),
        "address" => Source::of_ip(said).as_str().to_owned(),
        "none" => Source::of_ip("127.0.0.1").as_str().to_owned(),
        "serial" | "id" | "name" => {
            Source::of_id(said).map_or_else(String::new, |source| source.as_str().to_owned())
        }
        other => panic!("no kind of source: {other}"),
    };
    let found = seen["source"].as_str().unwrap();
    let channel = seen["device"]["channel"].as_u64();
    found == base || channel.is_some_and(|channel| found == format!("{base}-{channel}"))
}

/// Returns whether an event has the expected time, as the device reported it: whether the bridge uses it depends on the
/// date of the test.
fn is_time(wanted: &Value, seen: &Value) -> bool {
    let instant = |value: &Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
    let digits = |value: &Value| -> String {
        value.as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).take(14).collect()
    };
    match wanted["zone"].as_str() {
        Some("offset" | "utc") => {
            let seconds = |value: &Value| instant(value).map(|it| it.as_second());
            seconds(&wanted["time"]) == seconds(&seen["time_raw"])
        }
        Some("device") => digits(&wanted["time"]) == digits(&seen["time_raw"]),
        _ => seen["time_raw"].is_null(),
    }
}

/// The expectation, once for each of its values that can be wrong, with that value wrong.
fn planted(expected: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut plant = |at: String, value: Value| {
        let mut wrong = expected.clone();
        if let Some(place) = wrong.pointer_mut(&at) {
            *place = value;
            all.push((at, wrong));
        }
    };
    plant("/status".into(), json!("4xx"));
    plant("/answer".into(), json!("{\"wrong\":1}"));
    let events = expected["events"].as_array().unwrap();
    if events.is_empty() {
        plant("/heard".into(), json!(expected["heard"] == false));
        plant("/test".into(), json!(expected["test"] == false));
        plant("/events".into(), json!([{"source_kind": "none", "details": {}}]));
    } else {
        plant("/events".into(), json!(&events[1..]));
    }
    for (number, event) in events.iter().enumerate() {
        let at = |key: &str| format!("/events/{number}/{key}");
        plant(at("source_kind"), json!(if event["source_kind"] == "none" { "name" } else { "none" }));
        plant(at("source"), event["source"].as_str().map_or(json!(null), |it| json!(format!("{it}0"))));
        plant(at("channel"), json!(event["channel"].as_u64().unwrap_or(1) + 1));
        plant(at("name"), json!("somebody else"));
        plant(at("event"), json!("nothing"));
        plant(at("raw"), json!("nothing"));
        plant(at("phase"), json!(if event["phase"] == "once" { "start" } else { "once" }));
        plant(at("picture_sha256"), json!("00"));
        if event["zone"] != "none" {
            plant(at("time"), json!("2001-01-01T00:00:00Z"));
        }
        for key in event["details"].as_object().unwrap().keys() {
            plant(
                at(&format!("details/{key}")),
                if key == "box" { json!([0, 0, 0, 0]) } else { json!("nothing") },
            );
        }
    }
    // Where nothing is expected of a value, none is wrong.
    all.retain(|(at, _)| {
        !at.ends_with("/source")
            || !expected.pointer(&at.replace("/source", "/source_kind")).is_some_and(|kind| kind == "none")
    });
    all
}
