//! The API as a client uses it: compared with its own description, its limits, its access rules.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::support::api::{picture, report};
use crate::support::{Bridge, Camera, SOON, Subscriber, eventually};

/// The device that reports.
const MAC: &str = "98:ba:5f:8b:10:03";
/// Source of the device.
const SOURCE: &str = "98ba5f8b1003";

/// A bridge that got an alarm of two kinds with a picture, and a request it does not understand.
async fn visited(config: &str) -> Bridge {
    let bridge = Bridge::start(config).await;
    let answer = bridge.camera().multipart(&report(MAC, &["MOTION", "PEOPLE"]), &picture(64)).await;
    assert_eq!(answer.status, 200);
    let garbage = bridge.camera().request("text/plain", b"no alarm at all");
    assert_eq!(bridge.camera().raw(&garbage).await.status, 400);
    eventually(SOON, "both requests", async || {
        let page = bridge.api("/requests").await;
        (page["requests"].as_array()?.len() == 2).then_some(())
    })
    .await;
    bridge
}

fn port(bridge: &Bridge) -> u16 {
    let url = bridge.mqtt().expect("the embedded broker runs");
    url.rsplit(':').next().expect("a port").parse().expect("a number")
}

/// Compares one answer of each reading operation with its schema.
#[tokio::test]
async fn every_answer_is_as_described() {
    let bridge = visited("").await;
    let document = bridge.api("/openapi.json").await;
    let id = bridge.alarms(2).await[0]["alarm"]["id"].as_str().unwrap().to_owned();
    let no = bridge.api("/requests").await["requests"][0]["no"].to_string();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        if !schema.is_object() || path.ends_with("openapi.json") {
            continue;
        }
        let filled = path.replace("{id}", &id).replace("{source}", SOURCE).replace("{no}", &no);
        let answer = bridge.api(filled.strip_prefix("/api/v1").unwrap()).await;
        fits(&document, schema, &answer, path);
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} operations were tried");
    for wrong in
        ["/alarms/x", "/devices/nobody", "/requests/999", "/alarms?limit=0", "/nothing", "/alarms?x=1"]
    {
        let answer = bridge.page(&format!("/api/v1{wrong}")).get().await;
        assert!((400..500).contains(&answer.status), "{wrong}: {}", answer.status);
        assert!(answer.head.contains("application/problem+json"), "{wrong}: {}", answer.head);
        let schema = json!({"$ref": "#/components/schemas/problem_document"});
        fits(&document, &schema, &answer.json(), wrong);
    }
}

/// Checks an answer against a schema of the document.
#[track_caller]
fn fits(document: &Value, schema: &Value, answer: &Value, what: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).expect("the schema is one");
    let errors: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{answer:#}");
}

#[tokio::test]
async fn alarms_are_paged_filtered_and_told_in_full() {
    let bridge = visited("").await;
    for _ in 0..3 {
        bridge.camera().json(&report("98:ba:5f:8b:10:04", &["PEOPLE"])).await;
    }
    let count = async |query: &str| bridge.api(query).await["alarms"].as_array().unwrap().len();
    bridge.alarms(5).await;
    assert_eq!(count("/alarms?event=person").await, 4);
    assert_eq!(count("/alarms?source=98ba5f8b1004").await, 3);
    assert_eq!(count("/alarms?source=98ba5f8b1004&event=motion").await, 0);
    assert_eq!(count("/alarms?since=2020-01-01T00:00:00Z").await, 5);
    assert_eq!(count("/alarms?since=2199-01-01T00:00:00Z").await, 0);
    let first = bridge.api("/alarms?limit=2").await;
    let second = bridge.api(&format!("/alarms?limit=2&before={}", first["next"])).await;
    let third = bridge.api(&format!("/alarms?limit=2&before={}", second["next"])).await;
    let no = |page: &Value, at: usize| page["alarms"][at]["no"].as_i64();
    assert!(no(&first, 1) > no(&second, 0) && no(&second, 1) > no(&third, 0));
    assert_eq!((third["alarms"].as_array().unwrap().len(), &third["next"]), (1, &Value::Null));

    let oldest = third["alarms"][0]["alarm"]["id"].as_str().unwrap().to_owned();
    let detail = eventually(SOON, "the acknowledgement", async || {
        let detail = bridge.api(&format!("/alarms/{oldest}")).await;
        (detail["deliveries"][0]["state"] == "acknowledged").then_some(detail)
    })
    .await;
    assert_eq!(detail["deliveries"][0]["topics"][0], format!("alarmbus/{SOURCE}/event/motion"));
    let head = detail["request"]["head"].as_str().unwrap();
    assert!(head.starts_with("POST /alarm/*** HTTP/1.1\r\n"), "{head}");
    let by_hour = bridge.api("/alarms-by-hour").await;
    let counts = by_hour["hours"].as_array().unwrap().iter().map(|hour| hour["alarms"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 5);
}

#[tokio::test]
async fn an_alarm_sent_again_is_marked_and_touches_nothing_else() {
    let bridge = visited("").await;
    let mut subscriber = Subscriber::connect(port(&bridge), "alarmbus/#").await;
    subscriber.topic(&format!("alarmbus/{SOURCE}/last")).await;
    let alarm = bridge.alarms(2).await[0]["alarm"].clone();
    bridge.api("/sinks").await;
    eventually(SOON, "an empty backlog", async || {
        (bridge.api("/sinks").await["sinks"][0]["backlog"] == 0).then_some(())
    })
    .await;
    subscriber.drain();
    let path = format!("/alarms/{}/replay", alarm["id"].as_str().unwrap());
    assert_eq!(bridge.post(&path, &json!({})).await.json(), json!({"ok": true}));
    let event = alarm["event"].as_str().unwrap();
    let again = subscriber.topic(&format!("alarmbus/{SOURCE}/event/{event}")).await.json();
    assert_eq!(
        (&again["id"], &again["replayed"], &again["phase"]),
        (&alarm["id"], &json!(true), &alarm["phase"])
    );
    let others: Vec<String> = subscriber.drain().into_iter().map(|message| message.topic).collect();
    assert!(others.iter().all(|topic| topic.starts_with("alarmbus/bridge/")), "{others:?}");
    assert_eq!(bridge.alarms(2).await.len(), 2);
    let nobody = "/alarms/019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10/replay";
    assert_eq!(bridge.post(nobody, &json!({})).await.status, 404);
}

#[tokio::test]
async fn devices_are_renamed_cleared_and_removed() {
    let bridge = visited("").await;
    let device = async || bridge.api(&format!("/devices/{SOURCE}")).await;
    assert_eq!(device().await["name"], "Front door");
    assert!(device().await["kinds"].as_array().unwrap().iter().all(|kind| kind["on"] == true));
    let path = |verb: &str| format!("/devices/{SOURCE}/{verb}");
    assert_eq!(bridge.post(&path("rename"), &json!({"name": "Porch"})).await.status, 200);
    assert_eq!(device().await["name"], "Porch");
    assert_eq!(bridge.post(&path("rename"), &json!({"name": "a\u{7}b"})).await.status, 400);
    assert_eq!(bridge.post(&path("rename"), &json!({"nam": "x"})).await.status, 400);
    assert_eq!(bridge.post(&path("clear"), &json!({"event": "motion"})).await.status, 200);
    let on =
        |device: &Value| device["kinds"].as_array().unwrap().iter().filter(|kind| kind["on"] == true).count();
    assert_eq!(on(&device().await), 1);
    assert_eq!(bridge.post(&path("remove"), &json!({})).await.status, 200);
    assert_eq!(bridge.api("/devices").await["devices"], json!([]));
    assert_eq!(bridge.post(&path("remove"), &json!({})).await.status, 404);
}

#[tokio::test]
async fn only_this_host_gets_in_and_a_picture_opens_by_its_key() {
    let bridge = visited("[admin]\npublic_url = \"http://bus.example\"\n").await;
    let ask = async |line: &str, headers: &str| {
        let client = bridge.page("/");
        let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        client.raw(request.as_bytes()).await
    };
    assert_eq!(ask("GET /api/v1/health", "Host: localhost\r\n").await.status, 200);
    assert_eq!(ask("GET /api/v1/health", "Host: bus.example\r\n").await.status, 200);
    for headers in ["Host: evil.example\r\n", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n"] {
        let refused = ask("GET /api/v1/health", headers).await;
        assert_eq!((refused.status, refused.json()["status"].clone()), (403, json!(403)), "{headers}");
    }
    let foreign = "Host: localhost\r\nOrigin: http://evil.example\r\n";
    assert_eq!(ask("GET /api/v1/events", foreign).await.status, 403);
    assert_eq!(
        ask("POST /api/v1/parked/1/drop", &format!("{foreign}Content-Length: 0\r\n")).await.status,
        403
    );

    let alarm = bridge.alarms(2).await[0]["alarm"].clone();
    let url =
        alarm["snapshot"]["url"].as_str().unwrap().strip_prefix("http://bus.example").unwrap().to_owned();
    let far = "Host: camera.lan\r\nX-Forwarded-For: 10.0.0.9\r\n";
    let answer = ask(&format!("GET {url}"), far).await;
    assert_eq!((answer.status, answer.body.get(..3)), (200, Some([0xff, 0xd8, 0xff].as_slice())));
    assert_eq!(answer.body.len(), usize::try_from(alarm["snapshot"]["bytes"].as_u64().unwrap()).unwrap());
    let (path, _) = url.split_once('?').unwrap();
    assert_eq!(ask(&format!("GET {path}?k=00"), far).await.status, 403);
    assert_eq!(ask(&format!("GET {path}"), "Host: localhost\r\n").await.status, 200);
}

#[tokio::test]
async fn what_happens_is_streamed_as_it_happens() {
    let bridge = visited("").await;
    let mut stream = bridge.page("/").connect().await.unwrap();
    let request = "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut wait = async |wanted: &[&str]| {
        let all = async {
            while !wanted.iter().all(|wanted| text.contains(wanted)) {
                let mut bytes = [0; 8_192];
                let count = stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "the stream ended: {text}");
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        };
        timeout(SOON, all).await.unwrap_or_else(|_| panic!("{wanted:?} did not come"));
        std::mem::take(&mut text)
    };
    wait(&["event: health", "event: findings", "event: chain"]).await;
    bridge.camera().json(&report("98:ba:5f:8b:10:05", &["PEOPLE"])).await;
    let told = wait(&["event: alarm", "98ba5f8b1005", "\n\n"]).await;
    assert!(!told.contains("98ba5f8b1003/event"), "an old alarm was told: {told}");
    Camera::new(bridge.ingest()).get().await;
    wait(&["wrong_path"]).await;
}
