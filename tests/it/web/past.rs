//! The History page: filter in the address, days, enlarged pictures, keyboard.

use serde_json::json;

use super::{open, page, picture, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, eventually};

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
async fn a_bar_of_the_history_narrows_its_time_and_keeps_the_filter() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/history?text=yard").await;
    browser.wait_for("#line .name", "2 alarms").await;
    let ticks = "return document.querySelectorAll('.ticks text').length;";
    assert!(3 <= browser.run(ticks).await.as_u64().unwrap(), "hours are marked");
    browser.click("#line svg a rect").await;
    browser.wait_for("#found-title", "Alarms found").await;
    assert_eq!(cards(&browser).await, ["Person, Motion"]);
    let address = browser.run("return location.search;").await;
    let address = address.as_str().unwrap();
    assert!(
        address.contains("text=yard") && address.contains("since=") && address.contains("until="),
        "{address}"
    );
    open(&browser, &bridge, "/history?since=2001-01-01").await;
    assert_eq!(browser.text("#line").await, None, "it is too long for a time line");
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
    let code = match key {
        "ArrowLeft" => 37,
        "ArrowRight" => 39,
        "Enter" => 13,
        letter => u32::from(letter.to_ascii_uppercase().as_bytes()[0]),
    };
    let text = if key == "Enter" { "\r" } else { "" };
    let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
    let event = json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
    browser.devtools("Input.dispatchKeyEvent", &event).await;
}

/// The title in the large view after each press of a key.
async fn titles_by(browser: &Browser, key: &str, presses: usize) -> Vec<String> {
    let mut titles = Vec::new();
    for _ in 0..presses {
        press(browser, key).await;
        titles.push(browser.text("#large-title").await.unwrap());
    }
    titles
}

/// Sends a person with a picture from a camera of this number.
async fn send_from(bridge: &Bridge, number: u8) {
    let report = json!({"mac": format!("02-00-00-00-00-{number:02x}"), "device_name": format!("Camera {number}"),
        "event_list": [{"event_type": "PEOPLE"}]});
    assert_eq!(bridge.camera().multipart(&report, &picture(64, 48)).await.status, 200);
}

#[tokio::test]
async fn keys_reach_every_card_of_the_live_page_also_after_new_ones_came() {
    let bridge = Bridge::start("").await;
    for number in 1..=3 {
        send_from(&bridge, number).await;
    }
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    browser.click(".latest a.fit").await;
    browser.wait_for("#large-title", "Camera 3").await;
    let expected = ["Person at Camera 2", "Person at Camera 1", "Person at Camera 3"];
    assert_eq!(titles_by(&browser, "ArrowRight", 3).await, expected);
    assert_eq!(titles_by(&browser, "j", 3).await, expected);
    press(&browser, "ArrowRight").await;
    // While Camera 2 is shown, it reports again and a new one does: its card has another alarm, and moved.
    send_from(&bridge, 2).await;
    send_from(&bridge, 4).await;
    let came = "return document.getElementById('alarms').innerText.includes('Camera 4');";
    eventually(PATIENCE, "the new card", async || (browser.run(came).await == true).then_some(())).await;
    let expected = ["Person at Camera 3", "Person at Camera 1", "Person at Camera 4", "Person at Camera 2"];
    assert_eq!(titles_by(&browser, "ArrowRight", 4).await, expected);
    browser.click("#large-close").await;
    browser.run("document.activeElement.blur();").await;
    let mut focused = Vec::new();
    for _ in 0..4 {
        press(&browser, "j").await;
        let at = "return document.activeElement.closest('[data-key]').innerText.match(/Camera \\d/)[0];";
        focused.push(browser.run(at).await);
    }
    assert_eq!(focused, ["Camera 4", "Camera 2", "Camera 3", "Camera 1"]);
    press(&browser, "Enter").await;
    browser.wait_for("#large-title", "Camera 1").await;
}

#[tokio::test]
async fn a_mark_shows_on_the_live_page_at_once_and_in_other_windows() {
    let bridge = Bridge::start("").await;
    for number in 1..=2 {
        send_from(&bridge, number).await;
    }
    let (browser, other) = tokio::join!(Browser::start(), Browser::start());
    open(&browser, &bridge, "/").await;
    open(&other, &bridge, "/").await;
    other.wait_for("#link", "Live").await;
    super::mark(&other).await;
    browser.click("#alarms li:nth-child(2) a").await;
    browser.wait_for("#large-title", "Camera 1").await;
    browser.click("#large-review").await;
    browser.wait_for("#large-review[aria-pressed=true]", "Reviewed").await;
    press(&browser, "ArrowLeft").await;
    browser.wait_for("#large-review[aria-pressed=false]", "Reviewed").await;
    browser.click("#large-review").await;
    browser.wait_for("#large-review[aria-pressed=true]", "Reviewed").await;
    browser.click("#large-close").await;
    for window in [&browser, &other] {
        for card in [
            ".latest .chip.reviewed",
            "#alarms li:nth-child(1) .reviewed",
            "#alarms li:nth-child(2) .reviewed",
        ] {
            window.wait_for(card, "Reviewed").await;
        }
        window.wait_for("#review", "Mark as not reviewed").await;
    }
    super::assert_untouched(&other).await;
    send_from(&bridge, 3).await;
    browser.wait_for(".latest", "Camera 3").await;
    assert_eq!(browser.text(".latest .chip.reviewed").await, None, "a new alarm is not reviewed");
}

#[tokio::test]
async fn back_and_forward_restore_the_filter_of_the_history() {
    let bridge = visited().await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/history").await;
    browser.wait_for("#found-title", "All alarms").await;
    browser.run("document.querySelector('select[name=device]').value = '021a2b3c4d5f';").await;
    browser.fill("input[name=text]", "yard").await;
    browser.click("#filter button").await;
    browser.wait_for("#found-title", "Alarms found").await;
    let filter = "return [document.querySelector('select[name=device]').value, document.querySelector('input[name=text]').value].join('|');";
    assert_eq!(browser.run(filter).await, "021a2b3c4d5f|yard");
    browser.run("history.back();").await;
    browser.wait_for("#found-title", "All alarms").await;
    assert_eq!(browser.run(filter).await, "|");
    assert_eq!(cards(&browser).await.len(), 2);
    browser.run("history.forward();").await;
    browser.wait_for("#found-title", "Alarms found").await;
    assert_eq!(browser.run(filter).await, "021a2b3c4d5f|yard");
    assert_eq!(cards(&browser).await, ["Person, Motion"]);
}
