//! The table of devices and the page of one: search, order, changes, mutes.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{open, page, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, eventually};

/// The source of the camera of `person`.
const SOURCE: &str = "021a2b3c4d5e";

/// Saves a picture of the window in the folder `ALARMBUS_LOOK`, for inspection.
pub(super) async fn look(browser: &Browser, name: &str) {
    let Ok(folder) = std::env::var("ALARMBUS_LOOK") else { return };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let full = json!({"format": "png", "captureBeyondViewport": true});
    let shot = browser.devtools("Page.captureScreenshot", &full).await;
    let bytes = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        shot["data"].as_str().expect("the picture is text"),
    );
    std::fs::write(folder.join(format!("{name}.png")), bytes.expect("it is base64"))
        .expect("it can be written");
}

/// The names in the table, in order.
async fn names(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('.who a')].map((link) => link.innerText);";
    let names = browser.run(names).await;
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_of_five_hundred_devices_is_found_and_they_are_sorted() {
    let bridge = Bridge::start("[limits]\nnew_sources_per_hour = 2000\n").await;
    let camera = bridge.camera();
    for number in 0..500 {
        let kinds = if number == 321 {
            json!([{"event_type": "TAMPER"}])
        } else {
            json!([{"event_type": "RINGBELL"}])
        };
        let report = json!({"mac": format!("02-00-00-00-{:02x}-{:02x}", number / 256, number % 256),
            "device_name": format!("Camera {number:03}"), "event_list": kinds});
        assert_eq!(camera.json(&report).await.status, 200);
    }
    bridge.alarms(500).await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/devices").await;
    browser.wait_for("main", "501 devices").await;
    assert_eq!(names(&browser).await[0], "Camera 000");
    look(&browser, "devices-500").await;
    super::mark(&browser).await;
    browser.fill("#q", "camera 32").await;
    browser.wait_for("main", " of 501 devices").await;
    browser.click("th a[href*='sort=health']").await;
    browser.wait_for("tbody tr:first-child .who", "Camera 321").await;
    browser.wait_for("tbody tr:first-child .fit", "Fault").await;
    let address = browser.run("return location.search;").await;
    assert_eq!(address, "?q=camera+32&sort=health&dir=down");
    browser.click("th a[href*='sort=name']").await;
    browser.wait_for("tbody tr:first-child .who", "Camera 032").await;
    browser.run("history.back();").await;
    browser.wait_for("tbody tr:first-child .who", "Camera 321").await;
    super::assert_untouched(&browser).await;
    back_and_forward(&browser, &bridge).await;
    let last = page(&bridge, "/devices?sort=last").await;
    let first = last.find("<tbody>").unwrap();
    assert!(last.get(first..).unwrap().split("</tr>").next().unwrap().contains("Front door"), "{last}");
    assert!(page(&bridge, "/devices?q=nobody").await.contains("No device matches"));
}

/// Waits until the table says this and the fields of its form hold this; gives the query of the address.
async fn shown(browser: &Browser, summary: &str, fields: &str) -> serde_json::Value {
    browser.wait_for("#devices", summary).await;
    let read = "return document.getElementById('q').value + '|' + document.getElementById('sort').value;";
    let wanted = async || (browser.run(read).await == fields).then_some(());
    eventually(PATIENCE, &format!("{fields} in the fields"), wanted).await;
    browser.run("return location.search;").await
}

/// Search, order and page of the table follow the browser's history, in the table and in the fields.
async fn back_and_forward(browser: &Browser, bridge: &Bridge) {
    open(browser, bridge, "/devices?q=front").await;
    shown(browser, "1 of 501 devices", "front|name").await;
    super::mark(browser).await;
    search_sort_and_turn(browser).await;
    step_through(browser).await;
    // A search keeps the order that the head of the table set.
    browser.fill("#q", "front").await;
    assert_eq!(shown(browser, "1 of 501 devices", "front|last").await, "?q=front&sort=last&dir=down");
    super::assert_untouched(browser).await;
}

/// Searches, sorts and goes to the second page.
async fn search_sort_and_turn(browser: &Browser) {
    browser.fill("#q", "camera").await;
    shown(browser, "500 of 501 devices", "camera|name").await;
    browser.click("th a[href*='sort=last']").await;
    shown(browser, "500 of 501 devices", "camera|last").await;
    browser.click("nav a[rel=next]").await;
    browser.wait_for("nav a[rel=prev]", "Previous").await;
    let here = shown(browser, "500 of 501 devices", "camera|last").await;
    assert_eq!(here, "?q=camera&sort=last&dir=down&page=2");
}

/// Goes back and forward through the searches of [`back_and_forward`].
async fn step_through(browser: &Browser) {
    // The field that was typed into still has the focus: it is set all the same.
    for (step, summary, fields, address) in [
        ("back", "500 of", "camera|last", "?q=camera&sort=last&dir=down"),
        ("back", "500 of", "camera|name", "?q=camera&sort=name"),
        ("back", "1 of", "front|name", "?q=front"),
        ("forward", "500 of", "camera|name", "?q=camera&sort=name"),
        ("forward", "500 of", "camera|last", "?q=camera&sort=last&dir=down"),
    ] {
        browser.run(&format!("document.getElementById('q').focus(); history.{step}();")).await;
        assert_eq!(shown(browser, summary, fields).await, address);
    }
}

/// The table works without a script, by its form and links.
#[tokio::test]
async fn the_table_works_without_a_script() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    browser.without_scripts().await;
    open(&browser, &bridge, "/devices").await;
    browser.press("th a[href*='sort=today']").await;
    browser.press("form.filter button").await;
    eventually(PATIENCE, "the device", async || {
        browser.read_out().await.contains("Front door").then_some(())
    })
    .await;
    browser.press(".who a").await;
    eventually(PATIENCE, "its page", async || {
        browser.read_out().await.contains("Settings in force").then_some(())
    })
    .await;
    browser.press("form[action$='/mute'] button").await;
    eventually(PATIENCE, "the mute", async || browser.read_out().await.contains("Unmute").then_some(()))
        .await;
}

#[tokio::test]
async fn a_device_page_shows_settings_with_their_origin_and_changes_them() {
    let config = format!("[devices.\"{SOURCE}\"]\narea = \"Yard\"\n");
    let bridge = Bridge::start(&config).await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, &format!("/devices/{SOURCE}")).await;
    let settings = "section[aria-labelledby=settings-title]";
    browser.wait_for(settings, "Yard").await;
    let text = browser.text(settings).await.unwrap();
    assert!(text.contains("activity.hold_seconds, default") && text.contains("line "), "{text}");
    look(&browser, "device").await;
    browser.fill("#hold", "45").await;
    browser.click("form[action$='/hold'] button").await;
    browser.wait_for(".notice", "saved").await;
    browser.wait_for(settings, "45").await;
    browser.wait_for(settings, "set on this page").await;
    let list = bridge.api(&format!("/devices/{SOURCE}/settings")).await;
    let hold = list["settings"].as_array().unwrap().iter().find(|one| one["key"] == "hold_seconds");
    assert_eq!(hold.map(|hold| hold["value"].clone()), Some(json!("45")));
    browser.fill("#area", "Garden").await;
    browser.click("form[action$='/area'] button").await;
    browser.wait_for(".notice", "saved").await;
    let row: Value = bridge.api(&format!("/devices/{SOURCE}")).await;
    assert_eq!((row["area"].as_str(), row["hold_seconds"].as_u64()), (Some("Garden"), Some(45)));
    browser.wait_for(settings, "Yard").await;
}

#[tokio::test]
async fn a_device_is_muted_on_its_page_and_by_command() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, &format!("/devices/{SOURCE}")).await;
    browser.click("form[action$='/mute'] button").await;
    browser.wait_for(".notice", "Muted").await;
    browser.wait_for("#mutes", "All alarms until").await;
    look(&browser, "device-muted").await;
    let id = send_person(&bridge).await;
    assert_eq!(bridge.api(&format!("/alarms/{id}")).await["alarm"]["muted"], true);
    browser.click("form[action$='/unmute'] button").await;
    browser.wait_for(".notice", "lifted").await;
    let mutes = async || bridge.api(&format!("/devices/{SOURCE}")).await["mutes"].clone();
    assert_eq!(mutes().await, json!([]));
    let command = async |arguments: &[&str]| bridge.command(&[&["devices"], arguments].concat()).await;
    let (status, output) = command(&["mute", SOURCE, "motion", "--for", "15m"]).await;
    assert!(status.success(), "{output}");
    assert_eq!(
        (mutes().await[0]["event"].as_str(), mutes().await[0]["until"].is_string()),
        (Some("motion"), true)
    );
    let (status, output) = command(&["unmute", SOURCE, "person"]).await;
    assert!(!status.success() && output.contains("mute"), "{output}");
    let (status, output) = command(&["unmute", SOURCE]).await;
    assert!(status.success(), "{output}");
}

/// Pictures of the pages of devices in all widths and colours, saved if `ALARMBUS_LOOK` is set.
#[tokio::test]
async fn pictures_of_the_pages_of_devices() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let word = "w".repeat(200);
    let odd =
        json!({"mac": "02-1a-2b-3c-4d-ff", "device_name": word, "event_list": [{"event_type": "TAMPER"}]});
    assert_eq!(bridge.camera().json(&odd).await.status, 200);
    let browser = Browser::start().await;
    for (width, dark) in [(1_280, false), (1_280, true), (390, false), (320, true), (1_920, false)] {
        browser.resize(width, 900, width < 1_000).await;
        browser.prefer_dark(dark).await;
        for (name, path) in [("list", "/devices".to_owned()), ("one", format!("/devices/{SOURCE}"))] {
            open(&browser, &bridge, &path).await;
            look(&browser, &format!("{name}-{width}")).await;
        }
    }
}
