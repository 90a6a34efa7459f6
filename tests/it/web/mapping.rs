//! A mapping file made from an unknown request, by clicks.

use serde_json::json;

use super::{open, page};
use crate::support::{Bridge, Browser};

#[tokio::test]
async fn an_unknown_report_becomes_a_mapping_by_clicks() {
    let bridge = Bridge::start("").await;
    let report = json!({"zz": {"q": "PERSON_SEEN", "w": "gate-7"}, "moment": "2026-11-28 12:20:05", "token": "hunter2"});
    assert_eq!(bridge.camera().json(&report).await.status, 200);
    let browser = Browser::start().await;
    open(&browser, &bridge, "/requests").await;
    browser.click("tbody a").await;
    browser.wait_for("#mapping", "Say what its values are").await;
    browser.click("#mapping").await;
    browser.wait_for("#values", "PERSON_SEEN").await;
    let click = async |pointer: &str, role: &str| {
        let row = format!("tr[data-pointer='{pointer}']");
        browser.click(&format!("{row} summary")).await;
        browser.click(&format!("{row} button[data-role={role}]")).await;
    };
    click("/zz/q", "kind").await;
    browser.wait_for("tr[data-pointer='/zz/q'] .chip", "kind of event").await;
    browser.wait_for("#tried", "person").await;
    click("/zz/w", "id").await;
    browser.wait_for("#tried .facts", "gate-7").await;
    click("/moment", "time").await;
    browser.wait_for("#tried .facts", "2026-11-28 12:20:05").await;
    browser.fill("#name", "acme").await;
    browser.click("#save").await;
    browser.wait_for("#line", "mappings/acme.toml").await;
    browser.wait_for("#command", "alarmbus webhook add acme --mapping").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");

    let file = bridge.storage().join("mappings/acme.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("kind = \"/zz/q\"") && !text.contains("hunter2"), "{text}");
    let (status, path) =
        bridge.command(&["webhook", "add", "acme", "--mapping", file.to_str().unwrap()]).await;
    assert!(status.success(), "{path}");
    let camera = crate::support::Camera { path: path.trim().to_owned(), ..bridge.camera() };
    assert_eq!(camera.json(&report).await.json()["alarms"], 1);
    let devices = page(&bridge, "/devices").await;
    assert!(devices.contains("gate-7") || devices.contains("gate_7"), "{devices}");
}

#[tokio::test]
async fn a_mapping_is_made_without_a_script() {
    let bridge = Bridge::start("").await;
    assert_eq!(bridge.camera().json(&json!({"odd": "glass_break", "x": 1})).await.status, 200);
    let browser = Browser::start().await;
    browser.without_scripts().await;
    open(&browser, &bridge, "/requests/1/mapping").await;
    browser.press("tr[data-pointer='/odd'] summary").await;
    browser.press("tr[data-pointer='/odd'] button[data-role=kind]").await;
    let read = browser.read_out().await;
    assert!(read.contains("Glass break"), "{read}");
}
