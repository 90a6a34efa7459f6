//! Buttons and links: parked messages, removal, paging, downloads, wrong addresses.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{broker_port, open, page, person, picture, send_person};
use crate::support::browser::PATIENCE;
use crate::support::mosquitto::Settings;
use crate::support::{Bridge, Browser, Camera, Mosquitto, SOON, Subscriber, eventually};

/// The source of [`person`]'s camera.
const SOURCE: &str = "021a2b3c4d5e";

/// Sends one kind, and expects it to be accepted.
async fn send(camera: &Camera, kind: &str) {
    let mut report = person();
    report["event_list"] = json!([{"event_type": kind}]);
    assert_eq!(camera.json(&report).await.status, 200);
}

#[tokio::test]
async fn what_is_parked_is_dropped_or_tried_again() {
    let acl = "topic read #\ntopic readwrite alarmbus/bridge/#\ntopic readwrite homeassistant/#\n\
               pattern write alarmbus/+/device\npattern write alarmbus/+/last\npattern write alarmbus/+/state/+\n\
               pattern write alarmbus/+/event/person\npattern write alarmbus/+/activity/+\n";
    let mut broker = Mosquitto::with(Settings { acl: Some(acl), ..Settings::default() }).await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n", broker.url())).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    send(&bridge.camera(), "PEOPLE").await;
    subscriber.topic(&format!("alarmbus/{SOURCE}/event/person")).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/health").await;
    send(&bridge.camera(), "TAMPER").await;
    send(&bridge.camera(), "VEHICLE").await;
    let button =
        |verb: &str, kind: &str| format!("button[aria-label='{verb} alarmbus/{SOURCE}/event/{kind}']");
    let parked = "section[aria-labelledby=parked-title]";
    browser.wait_for(parked, "event/tamper").await;
    browser.wait_for(parked, "event/vehicle").await;
    browser.click(&button("Drop", "vehicle")).await;
    browser.wait_for(".notice", "was dropped").await;
    let left = browser.text(parked).await.unwrap();
    assert!(left.contains("event/tamper") && !left.contains("event/vehicle"), "{left}");

    broker.permit("topic readwrite #\n");
    broker.restart().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    browser.click(&button("Retry", "tamper")).await;
    browser.wait_for(".notice", "tried again").await;
    let again = subscriber.topic(&format!("alarmbus/{SOURCE}/event/tamper")).await.json();
    assert_eq!(again["replayed"], true);
    browser.wait_for(parked, "Nothing is parked").await;
}

#[tokio::test]
async fn a_device_is_removed_with_its_retained_topics() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let topic = format!("alarmbus/{SOURCE}/last");
    let mut subscriber = Subscriber::connect(broker_port(&bridge), &topic).await;
    assert!(!subscriber.topic(&topic).await.payload.is_empty());
    let browser = Browser::start().await;
    open(&browser, &bridge, &format!("/devices/{SOURCE}")).await;
    browser.click("summary[aria-label^=Remove]").await;
    browser.click("form[action$=remove] button").await;
    browser.wait_for(".notice", "was removed").await;
    browser.wait_for("main", "No device yet").await;
    subscriber.wait_for(SOON, |message| message.topic == topic && message.payload.is_empty()).await;
}

/// All keys of a list, page by page, by the link to the next one.
async fn keys(browser: &Browser, list: &str, next: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    loop {
        let keys = format!(
            "return [...document.querySelectorAll({})].map((item) => item.dataset.key);",
            json!(list)
        );
        pages.push(browser.run(&keys).await);
        let more = format!("return document.querySelector({}) !== null;", json!(next));
        if browser.run(&more).await == false {
            return pages;
        }
        let before = browser.run("return location.href;").await;
        browser.click(next).await;
        let moved = async || {
            let there = browser.run("return location.href;").await != before;
            (there && pages.last() != Some(&browser.run(&keys).await)).then_some(())
        };
        eventually(PATIENCE, "the next page", moved).await;
    }
}

#[tokio::test]
async fn lists_are_turned_page_by_page_and_nothing_is_shown_twice_or_left_out() {
    const ALL: usize = 65;
    let bridge = Bridge::start("").await;
    for number in 0..ALL {
        let report = json!({"mac": format!("02-00-00-00-00-{number:02x}"), "device_name": format!("Camera {number}"),
            "event_list": [{"event_type": "RINGBELL"}]});
        assert_eq!(bridge.camera().json(&report).await.status, 200);
    }
    bridge.alarms(ALL).await;
    eventually(SOON, "all requests", async || {
        let kept = bridge.api("/requests?limit=500").await;
        (kept["requests"].as_array()?.len() == ALL).then_some(())
    })
    .await;
    let browser = Browser::start().await;
    for (path, list, next, first) in [
        ("/", ".alarm", "a.button[href*='before=']", 24),
        ("/requests", "tbody tr", "a.button[href*='before=']", 50),
        ("/devices", "tbody tr", "a.button[rel=next]", 50),
    ] {
        open(&browser, &bridge, path).await;
        let pages = keys(&browser, list, next).await;
        let all: Vec<&Value> = pages.iter().flat_map(|page| page.as_array().unwrap()).collect();
        assert_eq!(pages[0].as_array().unwrap().len(), first, "{path}: {pages:?}");
        let different: HashSet<&str> = all.iter().map(|key| key.as_str().unwrap()).collect();
        assert_eq!((all.len(), different.len()), (ALL, ALL), "{path}: {pages:?}");
    }
}

/// Bytes of a file, once it is complete.
async fn downloaded(folder: &Path, ending: &str) -> Vec<u8> {
    eventually(PATIENCE, &format!("a file {ending}"), async || {
        let mut files = std::fs::read_dir(folder).expect("the folder is there");
        let file = files.find_map(|file| {
            let path = file.expect("it can be read").path();
            path.to_string_lossy().ends_with(ending).then_some(path)
        })?;
        std::fs::read(file).ok().filter(|bytes| !bytes.is_empty())
    })
    .await
}

#[tokio::test]
async fn picture_and_capture_are_saved_as_files() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let folder = TempDir::new().unwrap();
    let browser = Browser::start().await;
    let allow = json!({"behavior": "allow", "downloadPath": folder.path()});
    browser.devtools("Browser.setDownloadBehavior", &allow).await;
    open(&browser, &bridge, "/").await;
    browser.click("a[download]").await;
    assert_eq!(downloaded(folder.path(), &format!("{SOURCE}-person.jpg")).await, picture(640, 360));
    browser.click("a[href^='/requests/']").await;
    browser.wait_for("#verdict-title", "Understood: person").await;
    browser.click("a[href$=capture]").await;
    let capture = downloaded(folder.path(), "alarmbus-request-1.http").await;
    let text = String::from_utf8_lossy(&capture);
    assert!(text.starts_with("POST /alarm/*** HTTP/1.1\r\n") && text.contains("\"PEOPLE\""), "{text}");
    assert!(!text.contains(&bridge.camera().path.replace("/alarm/", "")), "the secret is in the capture");
}

#[tokio::test]
async fn a_wrong_address_says_so_and_leads_back() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    for (path, status, words) in [
        ("/nothing/here", 404, "There is nothing at this address"),
        ("/requests/999", 404, "There is no request of this number"),
        ("/requests/abc", 400, "cannot be read"),
        ("/?alarm=x", 400, "alarm"),
        ("/?alarm=019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10", 404, "There is no alarm of this id"),
        ("/devices/021a2b3c4d5e/rename", 405, "only takes what the form"),
    ] {
        let answer = bridge.page(path).get().await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{path}");
        open(&browser, &bridge, path).await;
        browser.wait_for("main", words).await;
        browser.wait_for("main", "What to do:").await;
    }
    browser.click("main a.button").await;
    browser.wait_for("h1", "Live").await;
    for path in ["/api", "/api/v1/nothing", "/api/v2/alarms"] {
        let answer = bridge.page(path).get().await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (404, json!(404)), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    assert!(page(&bridge, "/").await.contains("No alarm yet"));
}
