//! Notifications over HTTP: form, selection, refusals, outages, and a bridge that is killed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::picture as wide;
use crate::support::published::{CAMERA, assert_valid, jpeg, report, report_of};
use crate::support::receiver::{Notification, Receiver};
use crate::support::{Bridge, SOON, eventually};

mod failures;

/// The lines of a `[notify]` section for a receiver.
fn config(receiver: &Receiver, lines: &str) -> String {
    format!("[notify]\nurl = \"{}\"\n{lines}\n", receiver.url("/cameras?up=1"))
}

/// The ids of the alarms that came as JSON.
fn ids(receiver: &Receiver) -> Vec<Value> {
    receiver.came().iter().map(|came| came.json()["id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ntfy_gets_title_text_and_picture() {
    let receiver = Receiver::start().await;
    let lines = "token = \"tk_secret\"\nmethod = \"PUT\"\ntags = \"{{ event }}\"\n\
        priority = \"{% if event == 'person' %}4{% endif %}\"\nheaders.X-Call = \"hunter2\"\n\
        title = \"{{ title }} – {{ device.name }}\"\nmessage = \"{{ count }} at\\n{{ source }}\"";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    assert_eq!(bridge.mqtt(), None, "a sink is on, so no broker of our own is needed");
    let picture = jpeg(7);
    bridge.camera().multipart(&report("PEOPLE"), &picture).await;
    let came = receiver.wait_for(1).await.remove(0);
    assert_eq!((came.method.as_str(), came.path.as_str()), ("PUT", "/cameras?up=1"));
    assert_eq!(came.body, picture);
    assert_eq!(came.header("filename"), "alarm.jpg");
    assert_eq!(came.header("authorization"), "Bearer tk_secret");
    assert_eq!(came.header("x-call"), "hunter2");
    assert_eq!((came.header("tags"), came.header("priority")), ("person", "4"));
    assert_eq!(came.header("message"), format!("2 at\\n{CAMERA}"));
    let title = came.header("title").strip_prefix("=?UTF-8?B?").and_then(|rest| rest.strip_suffix("?="));
    let title = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, title.unwrap()).unwrap();
    assert_eq!(String::from_utf8(title).unwrap(), "Person – InSight S445 1.0_1003");

    bridge.camera().json(&report("VEHICLE")).await;
    let came = receiver.wait_for(2).await.remove(1);
    assert_eq!(came.body, format!("2 at\n{CAMERA}"), "without a picture the text is the body");
    assert_eq!(came.header("priority"), "", "an empty template is left out");
    for secret in ["tk_secret", "hunter2", "/cameras"] {
        assert!(!bridge.log().contains(secret), "the log shows {secret}");
        let (_, shown) = bridge.command(&["check", "--print"]).await;
        assert!(!shown.contains(secret), "check shows {secret}:\n{shown}");
    }
    let (status, shown) = bridge.command(&["check"]).await;
    assert!(status.success() && shown.contains("notify: notifications to http://127.0.0.1:"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_alarm_and_the_picture_in_it_or_beside_it() {
    let receiver = Receiver::start().await;
    let mut bridge = Bridge::start(&config(&receiver, "format = \"json\"\npicture = \"base64\"")).await;
    let picture = jpeg(8);
    bridge.camera().multipart(&report("PEOPLE"), &picture).await;
    let mut alarm = receiver.wait_for(1).await.remove(0).json();
    let encoded = alarm.as_object_mut().unwrap().remove("picture").unwrap();
    let engine = base64::engine::general_purpose::STANDARD;
    assert_eq!(base64::Engine::decode(&engine, encoded.as_str().unwrap()).unwrap(), picture);
    assert_valid("alarm", &alarm);
    assert_eq!(alarm["snapshot"]["topic"], Value::Null);

    bridge.configure(&config(&receiver, "picture_form = \"small\"\ntags = \"x\""));
    bridge.terminate().await;
    bridge.restart().await;
    bridge.camera().multipart(&report("PET"), &wide(640)).await;
    let small = receiver.wait_for(2).await.remove(1);
    assert_eq!((small.header("tags"), small.header("content-type")), ("x", "image/jpeg"));
    assert!(small.body.starts_with(b"\xff\xd8") && small.body.len() < wide(640).len() / 2, "it is smaller");

    bridge.configure(&config(&receiver, "format = \"json\"\nbody = '{\"text\": {{ title | tojson }}}'"));
    bridge.terminate().await;
    bridge.restart().await;
    bridge.camera().multipart(&report("VEHICLE"), &picture).await;
    let came = receiver.wait_for(3).await.remove(2);
    let boundary = came.header("content-type").strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(came.body.clone())]);
    let mut parts = multer::Multipart::new(body, boundary);
    let first = parts.next_field().await.unwrap().unwrap();
    assert_eq!(first.name(), Some("alarm"));
    assert_eq!(first.text().await.unwrap(), "{\"text\": \"Vehicle\"}");
    let second = parts.next_field().await.unwrap().unwrap();
    assert_eq!((second.name(), second.file_name()), (Some("picture"), Some("alarm.jpg")));
    assert_eq!(second.bytes().await.unwrap(), picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_wanted_is_notified() {
    let receiver = Receiver::start().await;
    let lines = "format = \"json\"\npicture_form = \"small\"\nevents = [\"person\", \"pet\"]\ndevices = [\"98:BA:5F:8B:10:03\"]\npicture = \"none\"";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    let camera = bridge.camera();
    camera.multipart(&report("PEOPLE"), &jpeg(1)).await;
    camera.json(&report("PEOPLE")).await;
    camera.json(&report("VEHICLE")).await;
    camera.json(&report_of("98-ba-5f-8b-10-04", "PEOPLE")).await;
    let muted = bridge.post(&format!("/devices/{CAMERA}/mute"), &json!({"event": "pet"})).await;
    assert!(muted.status < 300, "{muted:?}");
    camera.json(&report("PET")).await;
    eventually(SOON, "an empty backlog", async || {
        let alarms = bridge.api("/alarms?limit=10").await["alarms"].as_array().unwrap().len();
        let backlog = &bridge.api("/sinks").await["sinks"][0]["backlog"];
        (alarms == 5 && *backlog == 0).then_some(())
    })
    .await;
    let came = receiver.came();
    assert_eq!(came.len(), 1, "repeats, other kinds, other devices and muted alarms are left out: {came:?}");
    assert_eq!((&came[0].json()["event"], &came[0].json()["phase"]), (&json!("person"), &json!("start")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_follows_its_alarm_is_no_notification() {
    let receiver = Receiver::start().await;
    let lines = "format = \"json\"\npicture = \"base64\"\nrepeats = true";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    let mut alarm = json!({"Reference": "192.0.2.70:80/LAPI/x", "AlarmInfo": {"AlarmType": "LineDetectorCrossed",
        "TimeStamp": 1_795_864_805, "AlarmSrcID": 1, "AlarmSrcType": 8, "RelatedID": "rk1SAMPLE0000001"}});
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    let sample = "tests/wire/uniview/structure-line.http";
    assert_eq!(bridge.camera().file(sample).await.status, 200);
    alarm["AlarmInfo"]["RelatedID"] = json!("another");
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    let came = receiver.wait_for(2).await;
    let alarms = came.iter().map(Notification::json).collect::<Vec<_>>();
    assert_eq!((&alarms[0]["phase"], &alarms[1]["phase"]), (&json!("start"), &json!("update")));
    assert!(alarms.iter().all(|alarm| alarm.get("picture").is_none()), "{alarms:?}");
    assert_eq!(receiver.came().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_picture_is_left_out_and_a_refused_alarm_is_parked() {
    let receiver = Receiver::start().await;
    receiver.answer([(413, vec![]), (200, vec![]), (400, vec![])]);
    let bridge = Bridge::start(&config(&receiver, "format = \"json\"\npicture = \"base64\"")).await;
    bridge.camera().multipart(&report("PEOPLE"), &jpeg(1)).await;
    let came = receiver.wait_for(2).await;
    assert!(came[0].json()["picture"].is_string() && came[1].json().get("picture").is_none());
    let finding = bridge.finding("picture_too_large").await;
    assert!(finding["detail"].as_str().unwrap().contains("413"), "{finding}");

    bridge.camera().json(&report("VEHICLE")).await;
    let finding = bridge.finding("parked").await;
    let detail = finding["detail"].as_str().unwrap();
    assert!(detail.contains("400") && detail.contains("the reason of the server"), "{finding}");
    bridge.camera().json(&report("PET")).await;
    let came = receiver.wait_for(4).await;
    assert_eq!(came[3].json()["event"], "pet", "what comes after a parked alarm is delivered");
    let parked = eventually(SOON, "the parked message", async || {
        let (_, listed) = bridge.command(&["outbox", "ls"]).await;
        listed.contains("400 Bad Request").then_some(listed)
    })
    .await;
    assert!(parked.contains("notify"), "{parked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_or_refuses_the_login_gets_everything_later_in_order() {
    let receiver = Receiver::start().await;
    receiver.answer([(503, vec![("retry-after", "3")]), (401, vec![])]);
    let lines = "format = \"json\"\npicture = \"base64\"\nrepeats = true";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    let mut sent = Vec::new();
    for shade in 0..6 {
        sent.push(bridge.camera().multipart(&report("PEOPLE"), &jpeg(shade)).await.json()["ids"][0].clone());
    }
    let finding = bridge.finding("broker_busy").await;
    assert!(finding["detail"].as_str().unwrap().contains("answered 503"), "{finding}");
    let came = receiver.wait_for(8).await;
    let pause = came[1].at.duration_since(came[0].at);
    assert!(Duration::from_secs(3) <= pause, "Retry-After is respected: {pause:?}");
    assert_eq!(ids(&receiver)[2..], sent);
    assert_eq!(ids(&receiver)[..2], [sent[0].clone(), sent[0].clone()], "nothing else is sent meanwhile");
    eventually(SOON, "the end of the finding", async || {
        let all = bridge.api("/findings").await.to_string();
        (!all.contains("broker_busy")).then_some(())
    })
    .await;
    let metrics = bridge.page("/metrics").get().await;
    assert!(String::from_utf8(metrics.whole()).unwrap().contains("sink=\"notify\""), "metrics name the sink");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_delays_and_a_killed_bridge_loses_nothing() {
    let mut receiver = Receiver::stopped();
    let mut bridge = Bridge::start(&config(&receiver, "format = \"json\"\nrepeats = true")).await;
    let finding = bridge.finding("broker_unreachable").await;
    assert!(finding["detail"].as_str().unwrap().contains("correct notify.url"), "{finding}");
    let mut sent = Vec::new();
    for shade in 0..30 {
        sent.push(bridge.camera().multipart(&report("PEOPLE"), &jpeg(shade)).await.json()["ids"][0].clone());
    }
    bridge.kill();
    receiver.delay(Duration::from_millis(50), 0);
    receiver.restart().await;
    for _ in 0..3 {
        bridge.restart().await;
        let before = receiver.came().len();
        receiver.wait_for(before + 4).await;
        bridge.kill();
    }
    bridge.restart().await;
    eventually(SOON, "the last alarm", async || {
        (multipart_ids(&receiver).last() == sent.last()).then_some(())
    })
    .await;
    let mut once = Vec::new();
    for id in multipart_ids(&receiver) {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    assert_eq!(once, sent, "each came, and in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_no_request_survives_is_left_out() {
    let receiver = Receiver::start().await;
    receiver.delay(SOON, 10_000);
    let bridge = Bridge::start(&config(&receiver, "timeout_seconds = 1")).await;
    bridge.camera().multipart(&report("PEOPLE"), &wide(640)).await;
    let came = receiver.wait_for(1).await.remove(0);
    assert!(came.header("title").starts_with("Person: "), "{came:?}");
    let finding = bridge.finding("picture_too_large").await;
    assert!(finding["detail"].as_str().unwrap().contains("2 tries with the picture"), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls_is_trusted_by_its_certificate_only() {
    let server = "[https]\nbind = \"127.0.0.1:0\"\n[stdout]\nenabled = true\n[[webhooks]]\n\
        path = \"/alarm/0123456789abcdef0123\"\nvendor = \"generic\"\n\
        [webhooks.pointers]\nevent = \"/event\"\ndevice_id = \"/source\"\n";
    let server = Bridge::start(server).await;
    let url = server.ready("/webhooks/1").to_owned();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let config = |ca: &str| format!("[notify]\nurl = \"{url}\"\nformat = \"json\"\npicture = \"none\"\n{ca}");
    let mut bridge = Bridge::start(&config("")).await;
    let finding = bridge.finding("broker_tls").await;
    assert!(finding["detail"].as_str().unwrap().contains("notify.ca"), "{finding}");
    bridge.camera().json(&report("PEOPLE")).await;
    let certificate = server.storage().join("https.cert.pem");
    bridge.configure(&config(&format!("ca = \"{}\"\n", certificate.display())));
    bridge.restart().await;
    let came = server.alarms(1).await.remove(0);
    assert_eq!(came["alarm"]["event"], "person", "{came}");
}

/// The ids of the alarms that came beside a picture.
fn multipart_ids(receiver: &Receiver) -> Vec<Value> {
    let id = |body: &[u8]| {
        let text = String::from_utf8_lossy(body).into_owned();
        let json =
            text.split("\r\n\r\n").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap().to_owned();
        serde_json::from_str::<Value>(&json).unwrap()["id"].clone()
    };
    receiver.came().iter().map(|came| id(&came.body)).collect()
}
