//! The Live page: alarms arrive by themselves, with their picture and the boxes where they belong.

use serde_json::Value;

use super::{assert_untouched, mark, open, page, picture, send_person};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, eventually};

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

/// Both boxes of the report lie over the picture where the fractions say, to half a pixel.
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
    assert!(rows[0].as_str().unwrap().contains("None came with it"), "{rows}");
    assert!(rows[1].as_str().unwrap().contains("3 alarms"), "{rows}");
    assert!(rows[1].as_str().unwrap().contains("Going on"), "{rows}");
    browser.click(".alarm:nth-child(2) a").await;
    browser.wait_for("h1", "One alarm").await;
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
    let answer = crate::support::Camera::new(&format!("{}/", bridge.admin())).get().await;
    assert!(answer.head.contains("script-src 'self'; style-src 'self'"), "{}", answer.head);
    assert!(!live.contains(" style=") && !live.contains("<style") && !live.contains("onclick"), "{live}");
    let browser = Browser::start().await;
    browser.without_scripts().await;
    open(&browser, &bridge, "/").await;
    let shot = browser.screenshot().await;
    assert!(shot.len() > picture(64, 36).len(), "a page without scripts is drawn");
}
