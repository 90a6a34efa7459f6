//! The History page: filter in the address, days, enlarged pictures, keyboard.

use serde_json::json;

use super::{open, page, picture, send_person};
use crate::support::{Bridge, Browser};

/// A person with a picture, and one report of two kinds from another device.
async fn visited() -> Bridge {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let two = json!({"mac": "02-1a-2b-3c-4d-5f", "device_name": "Yard",
        "event_list": [{"event_type": ["PEOPLE", "MOTION"]}]});
    assert_eq!(bridge.camera().multipart(&two, &picture(64, 48)).await.status, 200);
    bridge.alarms(3).await;
    bridge
}

async fn cards(browser: &Browser) -> Vec<String> {
    let rows = "return [...document.querySelectorAll('#cards b')].map((title) => title.textContent);";
    let rows = browser.run(rows).await;
    rows.as_array().unwrap().iter().map(|title| title.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_alarm_is_found_by_text_device_and_day_and_the_address_says_so() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    browser.click("a[href='/history']").await;
    browser.wait_for("h1", "History").await;
    assert_eq!(cards(&browser).await, ["Person, Motion", "Person"], "one report is one card");
    browser.fill("input[name=text]", "front").await;
    browser.click("#filter button").await;
    browser.wait_for("#found-title", "Alarms found").await;
    assert_eq!(cards(&browser).await, ["Person"]);
    let address = browser.run("return location.search;").await;
    assert!(address.as_str().unwrap().contains("text=front"), "{address}");
    browser.run("document.querySelector('select[name=device]').value = '021a2b3c4d5f';").await;
    browser.click("#filter button").await;
    browser.wait_for("main", "No alarm matches this filter").await;
    browser.click("#filter a.button").await;
    browser.wait_for("#found-title", "All alarms").await;
    let today = "return [...document.querySelectorAll('.month a')].find((day) => day.innerText.includes('\\n3')).getAttribute('href');";
    let today = browser.run(today).await;
    open(&browser, &bridge, today.as_str().unwrap()).await;
    assert_eq!(cards(&browser).await.len(), 2);
}

#[tokio::test]
async fn a_picture_enlarges_and_arrow_keys_move_on() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/history").await;
    browser.click("#cards li:nth-child(2) a").await;
    browser.wait_for("#large-title", "Person at Front door").await;
    let boxes = "return [...document.querySelectorAll('#large .boxes')].filter((e) => getComputedStyle(e).display !== 'none').length;";
    assert_eq!(browser.run(boxes).await, 1);
    browser.click("#large-boxes").await;
    assert_eq!(browser.run(boxes).await, 0);
    press(&browser, "ArrowLeft").await;
    browser.wait_for("#large-title", "Person, Motion at Yard").await;
    browser.click("#large-close").await;
    browser.wait_for("#cards a:focus", "Person, Motion").await;
    browser.click("#cards li:nth-child(2) a").await;
    browser.click("#large-open").await;
    browser.wait_for("#latest-title", "Person").await;
}

#[tokio::test]
async fn pages_turn_by_keyboard_and_by_links_without_a_script() {
    let bridge = Bridge::start("").await;
    for _ in 0..50 {
        assert_eq!(bridge.camera().json(&super::person()).await.status, 200);
    }
    bridge.alarms(50).await;
    let first = page(&bridge, "/history?text=front").await;
    assert!(first.contains("rel=\"next\"") && !first.contains("rel=\"prev\""), "{first}");
    let browser = Browser::start().await;
    open(&browser, &bridge, "/history?text=front").await;
    assert_eq!(cards(&browser).await.len(), 48);
    press(&browser, "ArrowRight").await;
    browser.wait_for("nav a[rel=prev]", "Newer").await;
    assert_eq!(cards(&browser).await.len(), 2);
    press(&browser, "ArrowLeft").await;
    browser.wait_for("nav a[rel=next]", "Older").await;
    assert_eq!(cards(&browser).await.len(), 48);
}

#[tokio::test]
async fn an_alarm_shows_its_topics_its_json_and_its_neighbours() {
    let bridge = Bridge::start("").await;
    let first = send_person(&bridge).await;
    let second = send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, &format!("/?alarm={first}")).await;
    browser.wait_for("main", "alarmbus/021a2b3c4d5e/event/person").await;
    assert_eq!(browser.text("a[rel=prev]").await, None, "it is the first one");
    browser.click("details summary").await;
    browser.wait_for("#json", &first).await;
    press(&browser, "ArrowRight").await;
    browser.wait_for("a[rel=prev]", "Earlier alarm").await;
    assert_eq!(browser.run("return location.search;").await, format!("?alarm={second}"));
}

#[tokio::test]
async fn an_alarm_is_marked_as_reviewed_and_the_filter_knows() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/history").await;
    browser.click("#cards li:nth-child(1) a").await;
    browser.wait_for("#large-title", "Person, Motion at Yard").await;
    browser.click("#large-review").await;
    browser.wait_for("#large-review[aria-pressed=true]", "Reviewed").await;
    browser.click("#large-close").await;
    browser.run("document.querySelector('select[name=reviewed]').value = 'no';").await;
    browser.click("#filter button").await;
    browser.wait_for("#found-title", "Alarms found").await;
    assert_eq!(cards(&browser).await, ["Person"]);
    let listed = bridge.api("/alarms?reviewed=yes").await;
    assert_eq!(listed["alarms"].as_array().unwrap().len(), 2, "both kinds of the report: {listed}");
    assert_eq!(listed["alarms"][0]["reviewed"], true);
    // The page of the alarm has the same as a form, which needs no script.
    browser.click("#cards li a").await;
    browser.click("#large-open").await;
    browser.wait_for("#review", "Mark as reviewed").await;
    browser.click("#review").await;
    browser.wait_for(".notice", "Marked as reviewed").await;
    browser.wait_for(".headline", "Reviewed").await;
    browser.click("#review").await;
    browser.wait_for(".notice", "The mark was lifted").await;
    open(&browser, &bridge, "/history?reviewed=yes&text=yard").await;
    assert_eq!(cards(&browser).await, ["Person, Motion"]);
}

#[tokio::test]
async fn every_mark_of_the_time_line_leads_to_its_alarms() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/?span=6h").await;
    browser.wait_for("#line", "now").await;
    let ticks = "return document.querySelectorAll('.ticks text').length;";
    assert!(4 <= browser.run(ticks).await.as_u64().unwrap(), "a tick an hour");
    let marks =
        "return [...document.querySelectorAll('#line svg a')].map((mark) => mark.textContent.trim());";
    let marks = browser.run(marks).await;
    assert_eq!(marks.as_array().unwrap().len(), 3, "{marks}");
    let link = "return [...document.querySelectorAll('#line svg a')].find((mark) => mark.textContent.includes('Motion')).getAttribute('href');";
    let link = browser.run(link).await;
    open(&browser, &bridge, link.as_str().unwrap()).await;
    assert_eq!(cards(&browser).await, ["Motion"]);
}

#[tokio::test]
async fn the_time_line_has_a_row_for_every_device() {
    let bridge = Bridge::start("").await;
    for number in 0..12 {
        let report =
            json!({"mac": format!("02-00-00-00-00-{number:02x}"), "event_list": [{"event_type": "PEOPLE"}]});
        assert_eq!(bridge.camera().json(&report).await.status, 200);
    }
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    let rows = "return document.querySelectorAll('#line .name').length;";
    assert_eq!(browser.run(rows).await, 8);
    browser.click("#line .scale a").await;
    browser.wait_for("#line", "now").await;
    assert_eq!(browser.run(rows).await, 12);
}

/// Presses a key as a user does.
async fn press(browser: &Browser, key: &str) {
    let code = if key == "ArrowLeft" { 37 } else { 39 };
    let event = json!({"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
    browser.devtools("Input.dispatchKeyEvent", &event).await;
}
