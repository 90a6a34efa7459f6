//! Languages: on every page no visible text, name or title stays English in another language.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{PAGES, open, send_person};
use crate::support::{Bridge, Browser, Camera};

/// Texts of a page: visible ones, and those of attributes that are read out or shown. Code, addresses and lines of the
/// log are left out, and what devices say.
const TEXTS: &str = r#"
    const found = new Set([document.title.replace(/ · alarmbus$/, "")]);
    const add = (text) => { if (/\p{L}{2}/u.test(text)) found.add(text.trim().replace(/\s+/g, " ")); };
    const data = "code, pre, .mono, [lang]:not(html), .who, .where, .sender, #line .name, .finding p, td.wide, #chain .more, #v0-path, .number, .beside a, option[value]:not([value='']), option:not([value])";
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        if (!walker.currentNode.parentElement.closest(data)) add(walker.currentNode.nodeValue);
    }
    for (const element of document.querySelectorAll("*")) {
        for (const name of ["title", "aria-label", "alt", "placeholder", "data-say", "data-title", "data-what"]) {
            if (!element.matches(data)) add(element.getAttribute(name) || "");
        }
    }
    return [...found];
"#;

/// Words that are the same in every language: names of products, formats, units and labels of cameras.
const NAMES: &[&str] = &[
    "alarmbus",
    "CSV",
    "JSON",
    "HTTP",
    "GiB",
    "vigi",
    "mqtt",
    "Test",
    "Send to Alarm Server",
    "Front door",
    "Yard",
    "OK",
    "MAC",
    "bytes",
    "auto",
    "true",
];

/// The texts of a file of texts that are the same as the English ones.
fn equal(language: &str) -> BTreeSet<String> {
    let path = format!("{}/src/web/texts/{language}.toml", env!("CARGO_MANIFEST_DIR"));
    let texts: BTreeMap<String, String> =
        toml_edit::de::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    texts.into_iter().filter(|(english, own)| english == own).map(|(english, _)| english).collect()
}

async fn texts(browser: &Browser) -> BTreeSet<String> {
    let found = browser.run(TEXTS).await;
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Chooses a language for the pages of a bridge.
async fn choose(browser: &Browser, bridge: &Bridge, language: &str) {
    open(browser, bridge, "/").await;
    browser.run(&format!("document.cookie = 'alarmbus_language={language}; path=/';")).await;
}

/// Texts of all pages in a language.
async fn texts_in(browser: &Browser, pages: &[(&Bridge, String)], language: &str) -> Vec<BTreeSet<String>> {
    let mut all = Vec::new();
    for (bridge, path) in pages {
        if path == "/" {
            choose(browser, bridge, language).await;
        }
        open(browser, bridge, path).await;
        all.push(texts(browser).await);
    }
    all
}

#[tokio::test]
async fn no_text_of_a_page_stays_english() {
    let (bridge, empty) = tokio::join!(Bridge::start(""), Bridge::start(""));
    let id = send_person(&bridge).await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    wrong.json(&super::person()).await;
    bridge.post("/devices/021a2b3c4d5e/mute", &json!({"seconds": 3_600})).await;
    let more = [
        format!("/?alarm={id}"),
        "/?before=9&span=7d".into(),
        "/history?text=nothing".into(),
        "/devices?q=nothing".into(),
        "/devices/021a2b3c4d5e".into(),
        "/requests?q=nothing".into(),
        "/requests/1".into(),
        "/requests/1/mapping".into(),
        "/settings?q=nothing".into(),
        "/nothing".into(),
        "/?before=x".into(),
    ];
    let full = PAGES.iter().map(ToString::to_string).chain(more).map(|path| (&bridge, path));
    let pages: Vec<_> = full.chain(PAGES.map(|path| (&empty, path.to_owned()))).collect();
    let browser = Browser::start().await;
    let english = texts_in(&browser, &pages, "en").await;
    let mut left = BTreeSet::new();
    for language in ["de", "it", "es"] {
        let equal = equal(language);
        let is_own = |text: &&String| {
            let word = text.trim_matches(|sign: char| !sign.is_alphabetic());
            // A value as JSON is what a device said.
            !text.starts_with(['{', '"'])
                && !equal.contains(*text)
                && !equal.contains(word)
                && !NAMES.contains(&word)
        };
        let found = texts_in(&browser, &pages, language).await;
        for ((found, english), (_, path)) in found.iter().zip(&english).zip(&pages) {
            left.extend(
                found.intersection(english).filter(is_own).map(|text| format!("{language} {path}: {text}")),
            );
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}
