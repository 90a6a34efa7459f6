//! Accessibility of the pages: on a phone, by keyboard, with a screen reader, in light and dark.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{PAGES, send_person};
use crate::support::{Bridge, Browser, Camera};

/// Impact of axe findings that fail the test.
const SERIOUS: [&str; 2] = ["serious", "critical"];

/// Bridges with content on every page and without any, and values that must stay alive.
async fn filled() -> ([Bridge; 2], Vec<String>) {
    let (bridge, empty) = tokio::join!(Bridge::start(""), Bridge::start(""));
    let id = send_person(&bridge).await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    wrong.json(&super::person()).await;
    long_words(&bridge).await;
    let more = [
        "/devices/021a2b3c4dff".into(),
        "/devices/021a2b3c4d5e".into(),
        "/devices?q=nothing".into(),
        format!("/?alarm={id}"),
        "/?before=9&span=7d".into(),
        "/requests/1".into(),
        "/requests?outcome=refused".into(),
        "/requests?q=nothing".into(),
        "/nothing".into(),
    ];
    let full =
        PAGES.iter().map(ToString::to_string).chain(more).map(|path| format!("{}{path}", bridge.admin()));
    let bare = PAGES.iter().map(|path| format!("{}{path}", empty.admin()));
    let pages = full.chain(bare).collect();
    ([bridge, empty], pages)
}

/// Sends long words without blanks in every field that a page shows.
async fn long_words(bridge: &Bridge) {
    let camera = bridge.camera();
    let word = "w".repeat(200);
    let odd = json!({"mac": "02-1a-2b-3c-4d-ff", "device_name": word, "event_list": [
        {"event_type": word, "dateTime": word}, {"event_type": "TAMPER"},
    ]});
    assert_eq!(camera.json(&odd).await.status, 200);
    let zeros = camera.request("application/octet-stream", &[1; 5_000]);
    assert_eq!(camera.raw(&zeros).await.status, 400);
}

#[tokio::test]
async fn nothing_is_wider_than_a_telephone() {
    let (_bridges, pages) = filled().await;
    let browser = Browser::start().await;
    for width in [320, 390, 1_280, 1_920] {
        browser.resize(width, 800, width < 1_000).await;
        for path in &pages {
            browser.open(path).await;
            let wide = "const d = document.documentElement; return [d.scrollWidth, innerWidth,
                [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
                    && !e.closest('.raw, svg, .unseen, .thumb')).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))];";
            let found = browser.run(wide).await;
            // A phone would shrink a page that is too wide.
            assert_eq!(found[1], width, "{path}: {found:#}");
            assert_eq!(found[0], found[1], "{path} at {width}: {found:#}");
            assert_eq!(found[2].as_array().map(Vec::len), Some(0), "{path} at {width}: {found:#}");
        }
    }
}

/// Checks without axe, so that they always run: names, landmarks, headings, contrast of text.
#[tokio::test]
async fn everything_has_a_name_and_can_be_read() {
    let (_bridges, pages) = filled().await;
    let browser = Browser::start().await;
    for dark in [false, true] {
        browser.prefer_dark(dark).await;
        for path in &pages {
            browser.open(path).await;
            let faults = browser.run(include_str!("access.js")).await;
            assert_eq!(faults.as_array().map(Vec::len), Some(0), "{path}, dark {dark}: {faults:#}");
        }
    }
}

#[tokio::test]
async fn the_keyboard_gets_everywhere_and_its_place_is_seen() {
    let (_bridges, pages) = filled().await;
    let browser = Browser::start().await;
    browser.open(&pages[0]).await;
    let tab =
        serde_json::json!({"type": "rawKeyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
    let mut stops = Vec::new();
    for _ in 0..10 {
        browser.devtools("Input.dispatchKeyEvent", &tab).await;
        let stop = "const at = document.activeElement; const style = getComputedStyle(at);
            return [at.innerText.trim(), style.outlineStyle !== 'none' || at.matches('.skip')];";
        stops.push(browser.run(stop).await);
    }
    let texts: Vec<&str> = stops.iter().map(|stop| stop[0].as_str().unwrap()).collect();
    let expected = [
        "Skip to the content",
        "alarmbus",
        "Live",
        "History",
        "Devices",
        "Requests",
        "Setup",
        "Health",
        "Settings",
        "Blocked at step 7",
    ];
    assert_eq!(texts, expected);
    assert!(stops.iter().all(|stop| stop[1] == true), "{stops:?}");
}

/// Checks by axe, wide and on a phone.
#[tokio::test]
async fn axe_finds_nothing_serious() {
    let Some(axe) = axe() else {
        eprintln!("\n!!! axe-core could not be fetched: ONLY OUR OWN CHECKS RAN !!!\n");
        return;
    };
    let (_bridges, mut pages) = filled().await;
    let locked = Bridge::start("[admin]\npassword = \"p4ssword\"\n").await;
    pages.push(format!("{}/login", locked.admin()));
    let browser = Browser::start().await;
    let found = "const found = await axe.run(document);
        return found.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary)]);";
    let sizes = [320, 390, 1_280, 1_920];
    for (dark, width) in sizes.into_iter().flat_map(|width| [(false, width), (true, width)]) {
        browser.prefer_dark(dark).await;
        browser.resize(width, 900, width < 1_000).await;
        for path in &pages {
            browser.open(path).await;
            browser.run(&axe).await;
            let found = browser.run_async(found).await;
            let violations = found.as_array().unwrap_or_else(|| panic!("axe failed: {found}"));
            let serious = |violation: &&Value| SERIOUS.contains(&violation[0].as_str().unwrap_or_default());
            let serious: Vec<_> = violations.iter().filter(serious).collect();
            assert!(serious.is_empty(), "{path}, dark {dark}, {width} wide: {serious:#?}");
            println!("axe, {path}, dark {dark}, {width} wide: {} lesser findings {found}", violations.len());
        }
    }
}

/// Source of axe-core, which `tests/run` downloads; `None` if it reported that it could not.
fn axe() -> Option<String> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe/package/axe.min.js");
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(_) if std::env::var_os("TESTS_WITHOUT_AXE").is_some() => None,
        Err(error) => panic!("{}: {error}; tests/run fetches it, once", file.display()),
    }
}
