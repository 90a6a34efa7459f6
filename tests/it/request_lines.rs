//! The log of requests: one line each with the outcome, linked by its identifier to page and event; repeated lines
//! about unknown peers are counted; no line contains a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::alarms::{jpeg, report};
use crate::support::web::get;
use crate::support::{Bridge, Camera, SOON, Subscriber, eventually};

/// The lines of requests, as objects.
fn lines(log: &str) -> Vec<Value> {
    let objects = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|line| line["request.id"].is_string()).collect()
}

/// The identifier without the digits that number a request's alarms.
fn stem(id: &str) -> &str {
    id.get(..31).expect("an identifier has 36 digits")
}

/// All but the last three characters: a path typed wrongly.
fn without_end(path: &str) -> &str {
    path.get(..path.len() - 3).expect("it is long enough")
}

/// Sends a request of each outcome; their statuses in order.
async fn one_of_each(camera: &Camera) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut raw = async |bytes: Vec<u8>| statuses.push(camera.raw(&bytes).await.status);
    raw(camera.multipart_request(&report(1, "PEOPLE"), &jpeg(5_000))).await;
    raw(camera.request("application/json", b"{\"event_list\": []}")).await;
    raw(camera.request("application/json", b"")).await;
    raw(camera.request("text/plain", b"garbage")).await;
    let line = |line: String| format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
    raw(line(format!("GET {}", camera.path))).await;
    raw(line(format!("DELETE {}", camera.path))).await;
    raw(line(format!("GET {}X", camera.path))).await;
    raw(line(format!("GET {}", camera.path.to_uppercase()))).await;
    raw(line(format!("GET /elsewhere{}?token=hunter2", without_end(&camera.path)))).await;
    raw(line("GET /favicon.ico".into())).await;
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_line_and_its_identifier_leads_to_page_and_event() {
    let bridge = Bridge::start("[log]\nformat = \"json\"\nlevel = \"info,alarmbus::relay=debug\"").await;
    let port = bridge.mqtt().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut events = Subscriber::connect(port, "alarmbus/+/event/+").await;
    let statuses = one_of_each(&bridge.camera()).await;
    assert_eq!(statuses, [200, 200, 200, 400, 200, 404, 404, 404, 404, 404]);
    let lines = eventually(SOON, "a line for each request", async || {
        Some(lines(&bridge.log())).filter(|lines| lines.len() == statuses.len())
    })
    .await;
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        [
            "alarms",
            "nothing",
            "nothing",
            "not_understood",
            "page",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused"
        ]
    );
    for (line, status) in lines.iter().zip(&statuses) {
        assert_eq!(line["status"], *status, "{line}");
        assert!(line["peer"] == "127.0.0.1" && line["ms"].is_u64() && line["method"].is_string(), "{line}");
        assert_eq!(line["webhook"].is_string(), line["path"].is_null(), "{line}");
    }
    let paths: Vec<&str> = lines.iter().filter_map(|line| line["path"].as_str()).collect();
    assert_eq!(paths, ["/***", "/***", "/elsewhere/alarm/***", "/favicon.ico"]);

    let alarm = &lines[0];
    assert!(
        alarm["bytes"].as_u64().unwrap() > 5_000 && alarm["durable"] == true && alarm["pictures"] == 1,
        "{alarm}"
    );
    assert_eq!((&alarm["alarms"], &alarm["events"]), (&Value::from(1), &Value::from("person")));
    let event = events.topic("alarmbus/98ba5f8b1001/event/person").await.json();
    let (id, request) = (event["id"].as_str().unwrap(), alarm["request.id"].as_str().unwrap());
    assert_eq!(alarm["alarm.ids"], id);
    assert_eq!(stem(id), stem(request));
    eventually(SOON, "the acknowledgement in the log", async || {
        let log = bridge.log();
        let sending = log.lines().find(|line| line.contains("\"sending\"") && line.contains(id))?;
        let number = serde_json::from_str::<Value>(sending).unwrap()["log.no"].clone();
        let is_acknowledged = |line: &Value| line["message"] == "acknowledged" && line["log.no"] == number;
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .any(|line| is_acknowledged(&line))
            .then_some(())
    })
    .await;
    let rows = get(bridge.admin(), "/api/v1/requests", &[]).await.json();
    let row =
        rows["requests"].as_array().unwrap().iter().find(|row| row["id"] == request).expect("it is listed");
    assert_eq!(row["alarms"], serde_json::json!([id]));
    let page = get(bridge.admin(), &format!("/requests/{}", row["no"]), &[]).await.text();
    assert!(page.contains(request) && page.contains(id), "the page shows both");
    let ids: BTreeMap<&str, &Value> =
        lines.iter().map(|line| (line["request.id"].as_str().unwrap(), line)).collect();
    assert_eq!(ids.len(), lines.len(), "each has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_repeat_themselves_are_counted_and_hide_no_camera() {
    let mut bridge = Bridge::start("[log]\nformat = \"json\"\n[limits]\nstrangers_per_second = 30").await;
    let camera = bridge.camera();
    for _ in 0..60 {
        get(bridge.ingest(), "/wrong", &[]).await;
    }
    assert_eq!(camera.json(&report(1, "PEOPLE")).await.status, 200);
    eventually(SOON, "the camera's line", async || bridge.log().contains("alarms committed").then_some(()))
        .await;
    let written = lines(&bridge.log()).iter().filter(|line| line["outcome"] != "alarms").count();
    // Ten, and those in which a finding is logged for the first and the tenth time.
    assert!((10..=12).contains(&written), "{}", bridge.log());
    bridge.signal(rustix::process::Signal::TERM);
    // The last lines are printed at the end of the period.
    let told = eventually(SOON, "the count of what was left out", async || {
        let log = bridge.log();
        let mut objects = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects.find(|line| line["requests.left_out"].is_u64())
    })
    .await;
    assert_eq!(told["requests.left_out"], 50, "{told}");
    assert!(told["message"].as_str().unwrap().contains("127.0.0.1 50"), "{told}");
    assert!(bridge.ended().await.success());
}

/// No secret is in the log, at any level, in both formats.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log() {
    for format in ["text", "json"] {
        let config = format!(
            "[admin]\nbind = \"0.0.0.0:0\"\npassword = \"pa55word-of-the-page\"\ntoken = \"t0ken-of-the-api\"\n\
             [log]\nlevel = \"trace\"\nformat = \"{format}\"\n[broker]\nuser = \"u\"\npassword = \"pa55word-of-the-broker\""
        );
        let bridge = Bridge::start(&config).await;
        let camera = bridge.camera();
        one_of_each(&camera).await;
        get(bridge.admin(), "/metrics", &["Authorization: Bearer t0ken-of-the-api"]).await;
        get(bridge.admin(), "/metrics", &["Authorization: Bearer t0ken-of-the-wrong"]).await;
        let login =
            crate::support::web::ask(bridge.admin(), "POST /login", &[], "password=pa55word-of-the-page")
                .await;
        let cookie = login
            .header("set-cookie")
            .unwrap_or_default()
            .split(['=', ';'])
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let secret = camera.path.rsplit('/').next().unwrap().to_owned();
        let log =
            eventually(SOON, "all lines", async || Some(bridge.log()).filter(|log| log.contains("favicon")))
                .await;
        let cut = without_end(&secret);
        for hidden in [secret.as_str(), cut, &secret.to_uppercase(), "pa55word", "t0ken", "hunter2", &cookie]
        {
            // At the first start the URL is printed for the user; that is not a line of the log.
            let is_log = |line: &&str| line.starts_with("20") || line.starts_with('{');
            let shown = log.lines().filter(is_log).find(|line| !hidden.is_empty() && line.contains(hidden));
            assert!(shown.is_none(), "{hidden} is in the log: {shown:?}");
        }
        assert!(!log.contains("\\xff\\xd8") && !log.contains("UUUUUUUUUUUU"), "a picture is in the log");
    }
}
