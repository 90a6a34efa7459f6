//! Overall state: the same in header, Setup page, API and `alarmbus doctor`, and unknown on a page that lost its
//! connection. Content of memory is shown while the storage folder cannot be used.

use rustix::process::Signal;

use super::{broker_port, open, page, person, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, SOON, Subscriber, eventually};

/// Text and colour of a chip.
async fn chip(browser: &Browser, selector: &str) -> (String, String) {
    let body = format!("const e = document.querySelector({selector:?}); return [e.innerText, e.className];");
    let found = browser.run(&body).await;
    (found[0].as_str().unwrap_or_default().into(), found[1].as_str().unwrap_or_default().trim().into())
}

/// Checks that header, Setup page, API and doctor agree.
async fn agree(browser: &Browser, bridge: &Bridge, state: &str, words: &str, class: &str) {
    let overall = eventually(SOON, words, async || {
        let overall = bridge.api("/setup").await["overall"].clone();
        (overall["words"] == words).then_some(overall)
    })
    .await;
    assert_eq!(overall["state"], state);
    open(browser, bridge, "/setup").await;
    let expected = (words.to_owned(), class.to_owned());
    assert_eq!(chip(browser, "#mood").await, expected);
    assert_eq!(chip(browser, "#chain .chip").await, expected);
    let (status, output) = bridge.command(&["doctor"]).await;
    assert_eq!(status.code(), Some(i32::from(state != "well")), "{output}");
}

#[tokio::test]
async fn header_setup_and_doctor_agree() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    agree(&browser, &bridge, "waiting", "Waiting for an alarm", "chip").await;
    send_person(&bridge).await;
    agree(&browser, &bridge, "warning", "Blocked at step 7", "chip warn").await;
    let severity = |list: &serde_json::Value| {
        let found = list["findings"].as_array().unwrap().iter().find(|one| one["code"] == "nobody_listens");
        found.map(|one| one["severity"].clone())
    };
    assert_eq!(severity(&bridge.api("/findings").await), Some("warning".into()));
    let step = bridge.api("/setup").await["chain"][6].clone();
    assert_eq!((step["state"].as_str(), step["severity"].as_str()), (Some("failed"), Some("warning")));
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    send_person(&bridge).await;
    agree(&browser, &bridge, "well", "Everything works", "chip ok").await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    assert_eq!(wrong.json(&person()).await.status, 404);
    agree(&browser, &bridge, "warning", "1 warning", "chip warn").await;
    drop(subscriber);
}

/// A finding of severity `info` blocks no step: the page waits for the next step and says what to do.
#[tokio::test]
async fn what_is_only_good_to_know_blocks_nothing() {
    let bridge = Bridge::start("").await;
    bridge.camera().test_button().await;
    let step = eventually(SOON, "the connection", async || {
        let step = bridge.api("/setup").await["chain"][1].clone();
        step["remedy"].as_str().is_some_and(|remedy| remedy.contains("Test button")).then_some(step)
    })
    .await;
    assert_eq!(step["state"], "waiting");
    assert_eq!(bridge.api("/setup").await["overall"]["state"], "waiting");
}

#[tokio::test]
async fn a_page_without_a_connection_claims_nothing_and_recovers() {
    let mut bridge = Bridge::start("").await;
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    let is = async |words: &str, class: &str| {
        let expected = (words.to_owned(), class.to_owned());
        eventually(PATIENCE, words, async || (chip(&browser, "#mood").await == expected).then_some(())).await;
    };
    is("Everything works", "chip ok").await;
    browser.wait_for("#link", "Live").await;
    // The stopped bridge keeps the connection open, and sends nothing.
    bridge.signal(Signal::STOP);
    is("No connection to alarmbus", "chip").await;
    browser.wait_for("#link", "Reconnecting").await;
    bridge.signal(Signal::CONT);
    is("Everything works", "chip ok").await;
    browser.wait_for("#link", "Live").await;
    bridge.kill();
    is("No connection to alarmbus", "chip").await;
    drop(subscriber);
}

#[tokio::test]
async fn without_a_storage_folder_live_shows_the_alarms_in_memory() {
    let bridge = Bridge::start("[storage]\npath = \"/proc/alarmbus\"\n").await;
    assert!(bridge.log().contains("the URL for the cameras changes at each start"), "{}", bridge.log());
    let id = send_person(&bridge).await;
    let live = page(&bridge, "/").await;
    for words in ["Person", "Front door", &id, "Front door, the last hour: Person 1"] {
        assert!(live.contains(words), "{words} is missing in {live}");
    }
    assert!(page(&bridge, &format!("/?alarm={id}")).await.contains("Front door"));
    assert!(page(&bridge, "/devices").await.contains("Devices cannot be listed"));
    assert!(page(&bridge, "/requests").await.contains("Requests cannot be listed"));
    assert!(page(&bridge, "/setup").await.contains("Delivery check"));
    let health = page(&bridge, "/health").await;
    for words in ["links to pictures sent before a restart", "appears as another bridge", "[[webhooks]] path"]
    {
        assert!(health.contains(words), "{words} is missing in {health}");
    }
}
