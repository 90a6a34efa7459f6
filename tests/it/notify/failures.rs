//! Alarms that the receiver fails to take, and secrets that it repeats.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::config;
use crate::support::published::{jpeg, report, report_of};
use crate::support::receiver::{Notification, Receiver};
use crate::support::web::get;
use crate::support::{Bridge, SOON, eventually};

/// One alarm that the receiver never takes, whatever its answer: the others of the same camera go on, and it is parked.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_never_passes_is_parked_and_the_others_flow() {
    for (status, words) in [(500, "answered 500"), (0, "did not answer within 2 s"), (403, "answered 403")] {
        let receiver = Receiver::start().await;
        receiver.refuse("\"event\":\"vehicle\"", status);
        let lines = "format = \"json\"\nrepeats = true\ntimeout_seconds = 2";
        let bridge = Bridge::start(&config(&receiver, lines)).await;
        bridge.camera().json(&report("VEHICLE")).await;
        receiver.wait_for(1).await;
        let began = Instant::now();
        let mut sent = Vec::new();
        for _ in 0..5 {
            sent.push(bridge.camera().json(&report("PEOPLE")).await.json()["ids"][0].clone());
        }
        let passed = || -> Vec<Value> {
            let came = receiver.came();
            came.iter().map(Notification::json).filter(|json| json["event"] == "person").collect()
        };
        eventually(SOON, "the other alarms", async || (5 <= passed().len()).then_some(())).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{status}: {:?}", began.elapsed());
        let finding = bridge.finding("parked").await;
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.contains("http://127.0.0.1:"), "{finding}");
        eventually(SOON, "the parked message", async || {
            let (_, listed) = bridge.command(&["outbox", "ls"]).await;
            (listed.contains(words) && listed.contains("event/vehicle")).then_some(())
        })
        .await;
        let passed: Vec<Value> = passed().iter().map(|json| json["id"].clone()).collect();
        assert_eq!(passed, sent, "{status}: each passed once, in order");
        let findings = bridge.api("/findings").await.to_string();
        assert!(!findings.contains("broker_busy"), "the receiver works: {findings}");
        bridge.camera().json(&report("PET")).await;
        eventually(SOON, "an empty backlog", async || {
            (bridge.api("/sinks").await["sinks"][0]["backlog"] == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_left_out_ends_no_finding() {
    let receiver = Receiver::start().await;
    receiver.refuse("", 503);
    let lines = "format = \"json\"\nevents = [\"vehicle\"]";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    bridge.camera().json(&report("VEHICLE")).await;
    bridge.finding("broker_busy").await;
    for other in 4..9 {
        bridge
            .camera()
            .multipart(&report_of(&format!("98-ba-5f-8b-10-{other:02}"), "PEOPLE"), &jpeg(1))
            .await;
    }
    // The alarm and the start of its activity are left.
    eventually(SOON, "a backlog of one camera", async || {
        let sink = &bridge.api("/sinks").await["sinks"][0];
        assert_eq!(sink["delivered"], 0);
        (sink["backlog"].as_u64() <= Some(2)).then_some(())
    })
    .await;
    let findings = bridge.api("/findings").await.to_string();
    assert!(findings.contains("broker_busy"), "{findings}");
    let sink = &bridge.api("/sinks").await["sinks"][0];
    assert!(sink["trouble"].as_str().is_some_and(|trouble| trouble.contains("503")), "{sink}");
}

/// A server that repeats address, token and header in its answers.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_secret_is_shown_anywhere() {
    const SECRETS: [&str; 4] = ["p4thS3cret/part", "qu3ryS3cret", "t0kenS3cret", "h3aderS3cret"];
    let receiver = Receiver::start().await;
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let words: String = SECRETS
        .iter()
        .map(|secret| format!("no {secret} {} {} ", percent(secret), secret.replace('/', "\\/")))
        .collect();
    receiver.say(&words);
    let location = vec![("location", "http://other.example/p4thS3cret/part?key=qu3ryS3cret")];
    receiver.answer([(500, vec![]), (302, location), (400, vec![])]);
    let lines = format!(
        "[notify]\nurl = \"{}\"\ntoken = \"t0kenS3cret\"\nheaders.X-Key = \"h3aderS3cret\"\nformat = \"json\"\n\
        [log]\nlevel = \"trace\"\n",
        receiver.url("/hooks/p4thS3cret/part?key=qu3ryS3cret")
    );
    let bridge = Bridge::start(&lines).await;
    bridge.camera().json(&report("VEHICLE")).await;
    bridge.finding("parked").await;
    let mut shown = vec![bridge.log()];
    for page in ["/findings", "/sinks", "/parked", "/health", "/log", "/settings", "/alarms"] {
        shown.push(get(bridge.admin(), &format!("/api/v1{page}"), &[]).await.text());
    }
    for page in ["/", "/health", "/setup", "/log", "/settings", "/requests"] {
        shown.push(get(bridge.admin(), page, &[]).await.text());
    }
    for command in [&["check"][..], &["check", "--print"], &["doctor"], &["outbox", "ls"]] {
        shown.push(bridge.command(command).await.1);
    }
    let file = bridge.storage().join("../bundle.tar.gz");
    let (status, output) = bridge.command(&["bundle", "--output", file.to_str().unwrap()]).await;
    assert!(status.success(), "{output}");
    let mut archive = Vec::new();
    let packed = std::fs::File::open(&file).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut archive).unwrap();
    shown.push(String::from_utf8_lossy(&archive).into_owned());
    assert!(shown.iter().any(|text| text.contains("answered 400")));
    let set = alarmbus::model::mask::SecretSet::new(SECRETS);
    for text in &shown {
        assert!(!set.are_in(text.as_bytes()), "{}", set.replaced(text, "<<<SECRET>>>"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_out_empty_notifies_nothing() {
    let receiver = Receiver::start().await;
    let lines = "format = \"json\"\nbody = '{% if event == \"person\" %}{\"n\": {{ count }} }{% endif %}'";
    let bridge = Bridge::start(&config(&receiver, lines)).await;
    bridge.camera().multipart(&report("VEHICLE"), &jpeg(1)).await;
    bridge.camera().json(&report("PEOPLE")).await;
    assert_eq!(receiver.wait_for(1).await.remove(0).json(), json!({"n": 2}));
    eventually(SOON, "an empty backlog", async || {
        (bridge.api("/sinks").await["sinks"][0]["backlog"] == 0).then_some(())
    })
    .await;
    assert_eq!(receiver.came().len(), 1);
}
