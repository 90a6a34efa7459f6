//! Settings and log: theme and language without a flash, notifications, settings in force with their origin, the latest
//! lines of the log.

use serde_json::json;

use super::{assert_untouched, mark, open, page, send_person};
use crate::support::browser::PATIENCE;
use crate::support::web::get;
use crate::support::{Bridge, Browser, Camera, eventually};

#[tokio::test]
async fn the_theme_is_remembered_and_right_from_the_first_byte() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    browser.prefer_dark(false).await;
    open(&browser, &bridge, "/settings").await;
    let ground = "return getComputedStyle(document.body).backgroundColor;";
    assert_eq!(browser.run(ground).await, "rgb(244, 246, 248)");
    browser.run("document.querySelector('select[name=theme]').value = 'dark';").await;
    browser.click("#preferences button").await;
    browser.wait_for(".notice", "The setting was saved").await;
    assert_eq!(browser.run(ground).await, "rgb(15, 19, 24)");
    open(&browser, &bridge, "/").await;
    assert_eq!(browser.run(ground).await, "rgb(15, 19, 24)");
    browser.prefer_dark(true).await;
    let live = get(bridge.admin(), "/", &["Cookie: alarmbus_theme=light"]).await.text();
    assert!(live.contains("media=\"not all\"") && live.contains("content=\"light\""), "{live}");
}

#[tokio::test]
async fn pages_speak_the_language_that_was_chosen_or_that_the_browser_accepts() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    for (accepted, words) in
        [("de-AT, en", "Türklingel|Letzte Alarme"), ("it", "Allarmi recenti"), ("es", "Alarmas recientes")]
    {
        let live = get(bridge.admin(), "/", &[&format!("Accept-Language: {accepted}")]).await.text();
        assert!(words.split('|').any(|words| live.contains(words)), "{accepted}: {live}");
        let code = accepted.get(..2).unwrap();
        assert!(live.contains(&format!("<html lang=\"{code}\"")), "{live}");
    }
    let api = get(bridge.admin(), "/api/v1/setup", &["Accept-Language: de"]).await.text();
    assert!(api.contains("Alarm recognized"), "programs get English: {api}");
    let browser = Browser::start().await;
    open(&browser, &bridge, "/settings").await;
    browser.run("document.querySelector('select[name=language]').value = 'de';").await;
    browser.click("#preferences button").await;
    browser.wait_for("h1", "Einstellungen").await;
    open(&browser, &bridge, "/").await;
    browser.wait_for("#latest-title", "Person").await;
    browser.wait_for(".latest .facts", "Empfangen").await;
    browser.wait_for("#link", "Live").await;
    for path in [
        "/history",
        "/devices",
        "/devices/021a2b3c4d5e",
        "/requests",
        "/requests/1",
        "/setup",
        "/health",
        "/log",
    ] {
        let text = get(bridge.admin(), path, &["Cookie: alarmbus_language=es"]).await.text();
        assert!(text.contains("<html lang=\"es\"") && text.contains(">Ajustes</a>"), "{path}: {text}");
    }
    let missing =
        get(bridge.admin(), "/nothing", &["Cookie: alarmbus_language=es", "Accept: text/html"]).await;
    assert!(missing.text().contains("Qué hacer:"), "{}", missing.text());
}

#[tokio::test]
async fn the_pages_can_be_installed() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/").await;
    let manifest = browser.devtools("Page.getAppManifest", &json!({})).await;
    assert_eq!(manifest["errors"], json!([]), "{manifest}");
    let data: serde_json::Value = serde_json::from_str(manifest["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["display"], "standalone");
    for icon in data["icons"].as_array().unwrap() {
        let name = icon["src"].as_str().unwrap().trim_start_matches("./");
        let answer = get(bridge.admin(), &format!("/assets/{name}"), &[]).await;
        assert_eq!(answer.status, 200, "{name}");
    }
    let favicon = get(bridge.admin(), "/favicon.ico", &[]).await;
    assert!(favicon.status == 200 && favicon.body.starts_with(b"\x89PNG"));
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The button asks the browser; what the browser would show is caught.
#[tokio::test]
async fn an_alarm_that_is_not_muted_is_notified_of_while_the_tab_is_not_in_front() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    let grant = json!({"origin": bridge.admin(), "permissions": ["notifications"]});
    browser.devtools("Browser.grantPermissions", &grant).await;
    open(&browser, &bridge, "/settings").await;
    browser.wait_for("#notify-state", "Off").await;
    browser.click("#notify-button").await;
    browser.wait_for("#notify-state", "On").await;
    open(&browser, &bridge, "/").await;
    browser
        .run(
            "window.notices = []; document.hasFocus = () => false;
            window.Notification = class { static permission = 'granted';
                constructor(title, options) { window.notices.push(`${title} ${options.body}`); } close() {} };",
        )
        .await;
    browser.wait_for("#link", "Live").await;
    send_person(&bridge).await;
    let notices = async |count: usize| {
        eventually(PATIENCE, "notifications", async || {
            let notices = browser.run("return window.notices;").await;
            (notices.as_array().unwrap().len() == count).then_some(notices)
        })
        .await
    };
    assert_eq!(notices(1).await, json!(["Person Front door"]));
    let mute = Camera::new(&format!("{}/api/v1/devices/021a2b3c4d5e/mute", bridge.admin()));
    let answer = mute.within(PATIENCE, &mute.request("application/json", b"{}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    send_person(&bridge).await;
    let other =
        json!({"mac": "02-1a-2b-3c-4d-5f", "device_name": "Yard", "event_list": [{"event_type": "TAMPER"}]});
    assert_eq!(bridge.camera().json(&other).await.status, 200);
    assert_eq!(notices(2).await[1], "Tamper Yard", "the muted one is left out");
}

#[tokio::test]
async fn settings_in_force_say_where_they_come_from_and_show_no_secret() {
    let config = "[admin]\ntoken = \"s3cret-token-of-the-test\"\n[activity]\nhold_seconds = 33\n";
    let bridge = Bridge::start(config).await;
    let token = ["Authorization: Bearer s3cret-token-of-the-test"];
    let text = get(bridge.admin(), "/settings", &token).await.text();
    assert!(text.contains("activity.hold_seconds") && text.contains("<code>33</code>"), "{text}");
    let line = text.split("activity.hold_seconds").last().unwrap();
    assert!(line.split("</tr>").next().unwrap().contains("line "), "{line}");
    assert!(!text.contains("limits.body_bytes"), "a default is not shown at first: {text}");
    let all = get(bridge.admin(), "/settings?all=1", &token).await.text();
    assert!(all.contains("limits.body_bytes") && all.contains(">default<"), "{all}");
    let found = get(bridge.admin(), "/settings?q=TOKEN", &token).await.text();
    assert!(found.contains("admin.token") && !found.contains("activity.hold_seconds"), "{found}");
    for text in [text, all, found] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn the_log_is_shown_by_level_and_text_and_goes_on_by_itself() {
    let bridge = Bridge::start("").await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/log").await;
    browser.wait_for("#lines", "alarmbus").await;
    mark(&browser).await;
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    assert_eq!(wrong.json(&super::person()).await.status, 404);
    browser.wait_for("#lines", "wrong_path").await;
    assert_untouched(&browser).await;
    browser.run("const field = document.getElementById('level'); field.value = 'warn'; field.dispatchEvent(new Event('input', {bubbles: true}));").await;
    let levels = "return [...document.querySelectorAll('#lines .chip')].map((chip) => chip.textContent);";
    eventually(PATIENCE, "only warnings", async || {
        let levels = browser.run(levels).await;
        let levels = levels.as_array().unwrap().clone();
        (!levels.is_empty() && levels.iter().all(|level| level == "warn" || level == "error")).then_some(())
    })
    .await;
    let text = page(&bridge, "/log?level=trace&q=nothing-like-this").await;
    assert!(text.contains("No line matches."), "{text}");
    let secret = bridge.camera().path;
    assert!(!page(&bridge, "/log?level=trace").await.contains(&secret), "the path is a secret");
    let api = bridge.api("/log?level=warn&text=path").await;
    assert!(api["lines"].as_array().is_some_and(|lines| !lines.is_empty()), "{api}");
}
