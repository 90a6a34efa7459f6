//! The Live page: alarms appear without a reload, with picture and boxes.

use serde_json::Value;

use super::{assert_untouched, mark, open, page, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, eventually};

#[tokio::test]
async fn an_alarm_arrives_without_a_reload_with_boxes_where_they_belong() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    mark(&browser).await;
    browser.wait_for("main", "No alarm yet").await;
    browser.wait_for("#link", "Live").await;
    send_person(&bridge).await;
    browser.wait_for("#latest-title", "Person").await;
    browser.wait_for(".latest .where", "Front door").await;
    browser.wait_for(".latest .when", "now").await;
    let said = browser.run("return document.getElementById('said').textContent;").await;
    assert_eq!(said, "Person at Front door");
    let loaded = "const p = document.getElementById('picture'); return p && p.complete && p.naturalWidth;";
    eventually(PATIENCE, "the picture", async || (browser.run(loaded).await == 640).then_some(())).await;
    assert_boxes(&browser).await;
    browser.resize(390, 844, true).await;
    assert_boxes(&browser).await;
    assert_untouched(&browser).await;
}

/// Checks that both boxes of the report lie over the picture at their fractions, to half a pixel.
async fn assert_boxes(browser: &Browser) {
    let placed = browser
        .run(
            "const picture = document.getElementById('picture').getBoundingClientRect();
            return [...document.querySelectorAll('.latest .boxes .over')].map((box) => {
                const at = box.getBoundingClientRect();
                return [(at.x - picture.x) / picture.width, (at.y - picture.y) / picture.height,
                    at.width / picture.width, at.height / picture.height, picture.width];
            });",
        )
        .await;
    let expected = [[0.2109, 0.4722, 0.1797, 0.5278], [0.6062, 0.0305, 0.1875, 0.2167]];
    let boxes = placed.as_array().unwrap();
    assert_eq!(boxes.len(), 2, "{placed}");
    for (found, expected) in boxes.iter().zip(expected) {
        let found: Vec<f64> = found.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        let tolerance = 0.5 / found[4].min(200.0) * 2.0;
        for (value, wanted) in found.iter().zip(expected) {
            assert!((value - wanted).abs() < tolerance, "{found:?} is not {expected:?}");
        }
    }
}

#[tokio::test]
async fn repeats_are_one_row_and_an_alarm_without_picture_says_so() {
    let bridge = Bridge::start("").await;
    for _ in 0..3 {
        send_person(&bridge).await;
    }
    let doorbell =
        serde_json::json!({"mac": "02-1a-2b-3c-4d-5e", "event_list": [{"event_type": "RINGBELL"}]});
    assert_eq!(bridge.camera().json(&doorbell).await.status, 200);
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    let rows =
        "return [...document.querySelectorAll('.alarm')].map((row) => row.innerText.replaceAll('\\n', ' '));";
    let rows = browser.run(rows).await;
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert!(rows[0].as_str().unwrap().contains("No picture sent"), "{rows}");
    assert!(rows[1].as_str().unwrap().contains("3 alarms"), "{rows}");
    assert!(rows[1].as_str().unwrap().contains("Active"), "{rows}");
    browser.click(".alarm:nth-child(2) a").await;
    browser.wait_for("#large-title", "Person at Front door").await;
    browser.click("#large-open").await;
    browser.wait_for("h1", "Person at Front door").await;
    browser.wait_for("#latest-title", "Person").await;
}

#[tokio::test]
async fn what_stands_there_is_readable_without_a_script_and_comes_with_a_strict_policy() {
    let bridge = Bridge::start("").await;
    assert!(page(&bridge, "/").await.contains("No alarm yet"));
    assert!(page(&bridge, "/devices").await.contains("No device yet"));
    assert!(page(&bridge, "/requests").await.contains("No request yet"));
    let id = send_person(&bridge).await;
    let live = page(&bridge, "/").await;
    for expected in
        ["Person", "Front door", &format!("/snapshots/{id}.jpg"), "<rect class=\"over\" x=\"0.2109\""]
    {
        assert!(live.contains(expected), "{expected} is missing in {live}");
    }
    assert!(page(&bridge, "/devices").await.contains("Front door"));
    assert!(page(&bridge, "/requests").await.contains("Understood: person"));
    let answer = Camera::new(&format!("{}/", bridge.admin())).get().await;
    assert!(answer.head.contains("script-src 'self'; style-src 'self'"), "{}", answer.head);
    assert!(!live.contains(" style=") && !live.contains("<style") && !live.contains("onclick"), "{live}");
}

/// Without scripts the browser shows the same content, and forms and links work.
#[tokio::test]
async fn with_scripts_switched_off_the_pages_say_and_do_the_same() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    wrong.json(&super::person()).await;
    let browser = Browser::start().await;
    browser.without_scripts().await;
    let shows = async |words: &[&str]| {
        eventually(PATIENCE, &format!("{words:?}"), async || {
            let text = browser.read_out().await;
            words.iter().all(|word| text.contains(word)).then_some(text)
        })
        .await
    };
    open(&browser, &bridge, "/").await;
    let text = shows(&["Live", "Person", "Front door", "just now", "UTC", "Replay", "Devices"]).await;
    assert!(!text.contains("Copy"), "a button that needs a script shows: {text}");
    for (path, words) in [
        ("/devices", ["Front door", "Last alarm", "Person", "Today"]),
        ("/devices/021a2b3c4d5e", ["Last heard", "Settings in force", "Person", "02:1a:2b:3c:4d:5e"]),
        ("/requests", ["Understood: person", "404 Refused", "127.0.0.1", "200 Accepted"]),
        ("/requests/1", ["Received", "PEOPLE", "Published", "Replay"]),
        ("/setup", ["Type this into the camera", "/alarm/\u{2022}\u{2022}", "Camera connected", "Done"]),
        ("/health", ["Right port, wrong path", "What to do:", "Sinks", "Connected"]),
    ] {
        open(&browser, &bridge, path).await;
        shows(&words).await;
    }
    open(&browser, &bridge, "/setup").await;
    browser.press("form[action='/setup'] button").await;
    shows(&[&bridge.camera().path]).await;
    open(&browser, &bridge, "/").await;
    browser.press("form[action$=replay] button").await;
    shows(&["It was sent again to every sink"]).await;
}
