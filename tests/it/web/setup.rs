//! From a fresh start to a green chain, and mistakes named with their remedy.

use super::{assert_untouched, broker_port, mark, open};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, Subscriber, eventually};

/// The links of the chain, in order.
const STEPS: [&str; 7] =
    ["tcp_seen", "request_seen", "understood", "committed", "published", "acknowledged", "somebody_listens"];

/// The steps that are done now.
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
    browser.wait_for("#chain", "All the way").await;
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
    browser.wait_for("main", "Nothing stands out").await;
    let wrong = Camera { path: bridge.camera().path.to_uppercase(), ..bridge.camera() };
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    browser.wait_for(".finding h3", "Right port, wrong path").await;
    browser.wait_for(".finding", "upper and lower case only").await;
    browser.wait_for(".finding .todo", "Type the path exactly").await;
    browser.wait_for("#mood", "1 warning").await;
    assert_untouched(&browser).await;
    open(&browser, &bridge, "/setup").await;
    browser.wait_for("#step-understood.wrong", "What to do").await;
    open(&browser, &bridge, "/requests").await;
    browser.wait_for("td .chip.bad", "404 Refused").await;
}
