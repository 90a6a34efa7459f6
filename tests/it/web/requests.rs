//! The Requests page: filters, the list beside a request, the curl command.

use std::process::Command;

use serde_json::json;

use super::devices::look;
use super::{open, page, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, eventually};

async fn filled() -> Bridge {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let other = json!({"mac": "02-00-00-00-00-07", "device_name": "Garage", "event_list": [{"event_type": "VEHICLE"}]});
    assert_eq!(bridge.camera().json(&other).await.status, 200);
    assert_eq!(bridge.camera().json(&json!({"event_list": []})).await.status, 200);
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    let all = async || (bridge.api("/requests").await["requests"].as_array()?.len() == 4).then_some(());
    eventually(PATIENCE, "all requests", all).await;
    bridge
}

#[tokio::test]
async fn requests_are_filtered_by_device_outcome_and_words() {
    let bridge = filled().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/requests").await;
    super::mark(&browser).await;
    let rows = async |count: u64| {
        let rows = "return document.querySelectorAll('#requests tbody tr').length;";
        eventually(PATIENCE, &format!("{count} requests"), async || {
            (browser.run(rows).await == count).then_some(())
        })
        .await;
    };
    rows(4).await;
    look(&browser, "requests").await;
    let choose = async |field: &str, value: &str| {
        let body = format!(
            "const f = document.getElementById({field:?}); f.value = {value:?}; f.dispatchEvent(new Event('input', {{bubbles: true}}));"
        );
        browser.run(&body).await;
    };
    choose("device", "020000000007").await;
    rows(1).await;
    browser.wait_for("#requests tbody", "Garage").await;
    choose("device", "").await;
    choose("outcome", "refused").await;
    rows(1).await;
    browser.wait_for("#requests tbody", "404 Refused").await;
    choose("outcome", "no_alarm").await;
    browser.wait_for("#requests tbody", "200 No alarm").await;
    choose("outcome", "accepted").await;
    rows(2).await;
    browser.fill("#q", "vehicle").await;
    rows(1).await;
    super::assert_untouched(&browser).await;
    let none = page(&bridge, "/requests?device=020000000007&outcome=refused").await;
    assert!(none.contains("No request matches"), "{none}");
}

#[tokio::test]
async fn a_wide_screen_shows_the_list_beside_the_request() {
    let bridge = filled().await;
    let browser = Browser::start().await;
    browser.resize(1_600, 900, false).await;
    open(&browser, &bridge, "/requests/1?outcome=accepted").await;
    let others = "return [...document.querySelectorAll('#beside a')].map((a) => a.getAttribute('href'));";
    let expected = json!(["/requests/2?outcome=accepted", "/requests/1?outcome=accepted"]);
    assert_eq!(browser.run(others).await, expected);
    look(&browser, "request").await;
    browser.click("#beside a").await;
    browser.wait_for("h1", "Request 2").await;
    browser.wait_for("#beside a[aria-current]", "Garage").await;
    browser.resize(900, 900, false).await;
    assert_eq!(browser.text("#beside").await, None, "a narrow one shows the request alone");
}

/// The curl command, with the real path in place of the masked one, repeats the request.
#[tokio::test]
async fn the_command_for_curl_sends_the_same_with_the_secret_masked() {
    let bridge = filled().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/requests/2").await;
    browser.click("section details summary").await;
    let command = eventually(PATIENCE, "the command", async || browser.text("#curl").await).await;
    let secret = bridge.camera().path;
    assert!(command.starts_with("curl -X 'POST'") && !command.contains(&secret), "{command}");
    browser.click("[data-copy=curl]").await;
    browser.wait_for("[data-copy=curl]", "Copied").await;
    let command = command.replace("/alarm/***", &secret);
    let output =
        Command::new("bash").args(["-c", &format!("{command} --silent --show-error")]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(answer["alarms"], 1, "{output:?}");
    let body = Camera::new(&format!("{}/requests/1/body", bridge.admin())).get().await;
    assert!(body.header("content-disposition").unwrap().contains("alarmbus-request-1.body"));
}
