//! Form actions: replay, rename, set to off, and the way from a request to its alarms.

use serde_json::Value;

use super::{broker_port, open, send_person};
use crate::support::{Bridge, Browser, Camera, SOON, Subscriber};

#[tokio::test]
async fn a_request_is_explained_and_replayed() {
    let bridge = Bridge::start("").await;
    let mut subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    let id = send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/requests").await;
    browser.click("td a").await;
    browser.wait_for("#verdict-title", "Understood: person").await;
    browser.wait_for("section[aria-labelledby=raw-title] .raw", "POST /alarm/***").await;
    let text = browser.text("main").await.unwrap();
    for expected in [
        "Part 1",
        "Part 2",
        "PEOPLE",
        "image/jpeg",
        "ff d8 ff",
        "alarmbus/021a2b3c4d5e/event/person",
        &id,
        "State topics",
    ] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    let secret = bridge.camera().path.replace("/alarm/", "");
    assert!(!text.contains(&secret), "the secret path shows");
    browser.click("summary[aria-label^='State topics']").await;
    for topic in ["snapshot_info/person", "snapshot/person", "last", "state/person", "count/person"] {
        browser.wait_for("main", &format!("alarmbus/021a2b3c4d5e/{topic}")).await;
    }
    browser.click("form[action$=replay] button").await;
    browser.wait_for(".notice", "sent again").await;
    let again = subscriber.wait_for(SOON, |message| message.json()["replayed"] == true).await.json();
    assert_eq!(again["id"], Value::from(id));
    let no = browser.run("return location.pathname;").await;
    let capture = Camera::new(&format!("{}{}/capture", bridge.admin(), no.as_str().unwrap())).get().await;
    assert!(capture.head.contains("attachment"), "{}", capture.head);
    let capture = String::from_utf8_lossy(&capture.body).into_owned();
    assert!(capture.starts_with("POST /alarm/*** HTTP/1.1") && !capture.contains(&secret), "{capture}");
}

#[tokio::test]
async fn a_device_is_renamed_and_its_state_cleared() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/devices").await;
    browser.wait_for(".who a", "Front door").await;
    browser.click(".who a").await;
    browser.wait_for("h1", "Front door").await;
    browser.fill("input[name=name]", "Back <b>door</b>").await;
    browser.click("form[action$=rename] button").await;
    browser.wait_for(".notice", "renamed").await;
    browser.wait_for("h1", "Back <b>door</b>").await;
    browser.wait_for("tr[data-key=person] .chip", "on").await;
    browser.click("form[action$=clear] button").await;
    browser.wait_for(".notice", "set to off").await;
    browser.wait_for("tr[data-key=person] .chip", "off").await;
}

#[tokio::test]
async fn another_site_can_do_nothing() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let admin = Camera::new(&format!("{}/devices/021a2b3c4d5e/remove", bridge.admin()));
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        admin.path, admin.authority
    );
    assert_eq!(admin.raw(request.as_bytes()).await.status, 403);
    assert!(super::page(&bridge, "/devices").await.contains("Front door"));
}
