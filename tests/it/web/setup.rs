//! The Setup page from a fresh start to all steps completed, and mistakes named with their remedy.

use super::{assert_untouched, broker_port, mark, open};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, Subscriber, eventually};

/// Titles of the steps, in order.
const STEPS: [&str; 7] =
    ["tcp_seen", "request_seen", "understood", "committed", "published", "acknowledged", "somebody_listens"];

/// Titles of the completed steps.
async fn done(browser: &Browser) -> Vec<String> {
    let ids =
        browser.run("return [...document.querySelectorAll('.chain .done')].map((step) => step.id);").await;
    ids.as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().trim_start_matches("step-").to_owned())
        .collect()
}

#[tokio::test]
async fn the_url_is_a_code_for_phones_only_where_its_path_is_shown() {
    let bridge = Bridge::start("[http]\nbind = \"0.0.0.0:0\"\n").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/setup").await;
    assert_eq!(browser.run("return document.querySelector('.code');").await, serde_json::Value::Null);
    browser.click("form[action='/setup'] button").await;
    browser.wait_for(".code", "This URL is right").await;
    let drawn = "const box = document.querySelector('.code svg path').getBBox(); return [box.x, box.width === box.height];";
    assert_eq!(browser.run(drawn).await, serde_json::json!([4, true]));
    super::devices::look(&browser, "setup-code").await;
    let local = Bridge::start("").await;
    open(&browser, &local, "/setup").await;
    browser.click("form[action='/setup'] button").await;
    browser.wait_for("#v0-path", &local.camera().path).await;
    let code = browser.run("return document.querySelector('.code');").await;
    assert_eq!(code, serde_json::Value::Null, "no phone reaches a loopback address");
}

#[tokio::test]
async fn from_a_fresh_start_to_a_green_chain() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/setup").await;
    let camera = bridge.camera();
    assert_eq!(
        browser.text("#v0-path").await.as_deref(),
        Some("/alarm/\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}")
    );
    browser.wait_for("main", "alarmbus webhook ls").await;
    browser.click("form[action='/setup'] button").await;
    eventually(PATIENCE, "the path", async || {
        browser.text("#v0-path").await.filter(|path| *path == camera.path)
    })
    .await;
    mark(&browser).await;
    assert_eq!(browser.text("#v0-port").await.as_deref(), camera.authority.rsplit(':').next());
    assert_eq!(browser.text("#v0-protocol").await.as_deref(), Some("HTTP"));
    assert!(browser.text("#v0-host").await.is_some_and(|host| !host.is_empty()));
    browser.click("[data-copy=v0-path]").await;
    browser.wait_for("[data-copy=v0-path]", "Copied").await;
    assert!(done(&browser).await.is_empty());
    camera.test_button().await;
    eventually(PATIENCE, "the first tick", async || (done(&browser).await == ["tcp_seen"]).then_some(()))
        .await;
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    let url = bridge.webhook().to_owned();
    let (status, output) =
        bridge.command(&["simulate", "--url", &url, "--count", "1", "--event", "person"]).await;
    assert!(status.success(), "{output}");
    let green = tokio::time::timeout(PATIENCE, async { while done(&browser).await != STEPS {} }).await;
    assert!(green.is_ok(), "the chain is not green: {}", browser.text("#chain").await.unwrap_or_default());
    browser.wait_for("#chain", "Everything works").await;
    assert_eq!(browser.text("#v0-path").await.as_deref(), Some(camera.path.as_str()), "it stays shown");
    assert_untouched(&browser).await;
    drop(subscriber);
}

#[tokio::test]
async fn a_mistake_is_named_with_its_remedy() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/health").await;
    mark(&browser).await;
    browser.wait_for("main", "No problems").await;
    let wrong = Camera { path: bridge.camera().path.to_uppercase(), ..bridge.camera() };
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    browser.wait_for(".finding h3", "Right port, wrong path").await;
    browser.wait_for(".finding", "upper and lower case only").await;
    browser.wait_for(".finding", "Type the path exactly").await;
    browser.wait_for("#mood", "Blocked at step 3").await;
    assert_untouched(&browser).await;
    open(&browser, &bridge, "/setup").await;
    browser.wait_for("#step-understood.doubtful", "What to do").await;
    open(&browser, &bridge, "/requests").await;
    browser.wait_for("td .chip.bad", "404 Refused").await;
}

/// The button sends a test alarm through the listener, with a picture; completed steps are folded.
#[tokio::test]
async fn the_button_sends_a_test_alarm_and_steps_done_are_folded() {
    let bridge = Bridge::start("").await;
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/setup").await;
    browser.wait_for(".notice.warn", "loopback address").await;
    browser.click("form[action='/setup/test'] button").await;
    browser.wait_for(".notice", "test alarm was sent").await;
    browser.wait_for("#chain", "Everything works").await;
    let folded = "return [...document.querySelectorAll('.chain .done')].every((step) => !step.querySelector('details')?.open);";
    assert_eq!(browser.run(folded).await, true);
    browser.click("#step-committed summary").await;
    browser.wait_for("#step-committed", "Simulated camera").await;
    super::devices::look(&browser, "setup").await;
    let alarm = bridge.api("/alarms").await["alarms"][0].clone();
    assert_eq!(
        (alarm["alarm"]["device"]["name"].as_str(), alarm["picture"].is_string()),
        (Some("Simulated camera"), true)
    );
    drop(subscriber);
}

#[tokio::test]
async fn findings_of_a_kind_are_one_and_a_dismissed_one_comes_back_when_it_is_seen_again() {
    let bridge = Bridge::start("").await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    for mac in ["02-1a-2b-3c-4d-01", "02-1a-2b-3c-4d-02"] {
        let mut report = super::person();
        report["mac"] = mac.into();
        assert_eq!(bridge.camera().multipart(&report, &super::picture(64, 36)).await.status, 200);
        assert_eq!(bridge.camera().json(&report).await.status, 200);
    }
    let browser = Browser::start().await;
    open(&browser, &bridge, "/health").await;
    let missing = ".finding[data-key=picture_missing]";
    browser.wait_for(missing, "(2)").await;
    super::devices::look(&browser, "health").await;
    browser.click(&format!("{missing} li button")).await;
    browser.wait_for(".notice", "Dismissed").await;
    browser.wait_for("#dismissed", "Dismissed: 1").await;
    browser.click(".finding[data-key=wrong_path] button").await;
    browser.wait_for("#dismissed", "Dismissed: 2").await;
    assert_eq!(browser.text("section > .finding[data-key=wrong_path]").await, None);
    eventually(PATIENCE, "the dismissal on disk", async || {
        let found = bridge.api("/findings").await["findings"].to_string();
        found.contains("\"dismissed\":true").then_some(())
    })
    .await;
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    browser.wait_for("section > .finding[data-key=wrong_path]", "Right port").await;
    browser.wait_for("#dismissed", "Dismissed: 1").await;
}
