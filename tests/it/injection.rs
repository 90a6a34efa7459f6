//! Text of peers and users is always shown as text: markup in every field creates no element, runs no script, and
//! breaks no page, in a real browser.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::alarms::jpeg;
use crate::support::browser::PATIENCE;
use crate::support::web::{ask, get};
use crate::support::{Bridge, Browser, Camera, SOON, eventually};

/// Markup that would break out of every context, with a mark of its origin. Not longer than a name may be, so that it
/// is not cut.
fn planted(mark: &str) -> String {
    let text = format!(
        "{mark}'\"></textarea></pre><x-planted><svg onload=planted=1><script>planted=1</script><a href=javascript:planted=1>"
    );
    assert!(text.len() <= 128, "{}", text.len());
    text
}

/// Fields of a report, each of which gets a mark.
const FIELDS: [&str; 8] =
    ["device_name", "ip", "mac", "device_id", "protocol", "dateTime", "event_type", "unheard_of"];

/// Script that lists elements and attributes in the open page that are not the project's.
const FAULTS: &str = "
    const faults = [], all = [...document.querySelectorAll('*')];
    if (window.planted) faults.push('a script ran');
    for (const e of all) {
        const text = e.outerHTML.slice(0, 200);
        if (e.localName === 'x-planted') faults.push('an element: ' + text);
        if (e.localName === 'script' && (!/^[/]assets[/][a-z]+[.]js$/.test(new URL(e.src, location).pathname) || e.textContent)) faults.push('a script: ' + text);
        if ([...e.attributes].some((a) => a.name.startsWith('on') || a.name.includes('\"'))) faults.push('an attribute: ' + text);
        if (['href', 'src', 'action', 'formaction'].some((n) => (e.getAttribute(n) || '').trim().toLowerCase().startsWith('javascript:'))) faults.push('a link: ' + text);
        if (['iframe', 'object', 'embed', 'base'].includes(e.localName)) faults.push('a frame: ' + text);
    }
    const values = [...document.querySelectorAll('input, textarea')].map((e) => e.value);
    const titles = all.flatMap((e) => ['title', 'alt', 'aria-label'].map((n) => e.getAttribute(n) || ''));
    return [faults, [document.documentElement.textContent, ...values, ...titles].join(' ')];";

/// Sends the markup in all fields; returns the marks.
async fn plant(bridge: &Bridge) -> BTreeSet<String> {
    let camera = bridge.camera();
    let mut marks = BTreeSet::new();
    let mut mark = |name: &str| {
        let mark = format!("m-{}-", name.replace('_', "-"));
        marks.insert(mark.clone());
        planted(&mark)
    };
    for field in FIELDS {
        let mut body = json!({"ip": "10.0.0.5", "mac": "98:ba:5f:8b:10:03", "device_name": "Door",
            "event_list": [{"dateTime": "20261005162531", "event_type": ["MOTION"]}]});
        body[field] = json!(mark(field));
        body["event_list"][0][field] = body[field].clone();
        let answer = camera.multipart(&body, &jpeg(300)).await;
        assert_eq!(answer.status, 200, "{field}");
    }
    let mut keys = json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"event_type": ["MOTION"]}]});
    keys["event_list"][0][mark("key")] = json!({mark("key_inside"): [mark("value_inside")]});
    camera.json(&keys).await;
    let body = String::from_utf8(camera.multipart_request(&keys, b"no picture")).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1.replace("20261005150501", &mark("part_name"));
    let body = body.replace("image/jpeg", &mark("part_type"));
    let kind = format!("multipart/form-data; boundary=ReportEventBoundary; x={}", mark("content_type"));
    camera.raw(&camera.request(&kind, body.as_bytes())).await;
    let mut head = |line: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nX-Anything: {}\r\nContent-Length: 4\r\n\r\n",
            mark("host"),
            mark("user_agent"),
            mark("header")
        )
    };
    let mut heads = vec![head(&format!("POST {}", camera.path))];
    heads.push(format!(
        "POST {}?{} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n",
        camera.path, "<x-planted>'\"><script>window.planted=1</script>"
    ));
    heads.push("POST /<x-planted>'\"><script>window.planted=1</script> HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n".to_owned());
    for head in heads {
        let answer = camera.try_raw(format!("{head}<b>x").as_bytes()).await;
        assert!(answer.is_ok_and(|answer| (400..500).contains(&answer.status)), "{head}");
    }
    let garbage = format!("<x-planted>{}", planted("m-garbage-"));
    marks.insert("m-garbage-".into());
    camera.raw(&camera.request("text/plain", garbage.as_bytes())).await;
    rename(bridge, &mut marks).await;
    marks
}

/// Plants markup in text that users write.
async fn rename(bridge: &Bridge, marks: &mut BTreeSet<String>) {
    let name = planted("m-renamed-");
    let answer = bridge.post("/devices/98ba5f8b1003/rename", &json!({"name": name})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    marks.insert("m-renamed-".into());
}

/// All pages, with markup in their parameters.
async fn pages(bridge: &Bridge) -> Vec<String> {
    let rows = bridge.api("/requests?limit=500").await;
    let rows = rows["requests"].as_array().cloned().unwrap();
    let alarms = bridge.api("/alarms?limit=1").await;
    let evil: String = url::form_urlencoded::byte_serialize(planted("m-query-").as_bytes()).collect();
    let mut pages: Vec<String> = rows.iter().map(|row| format!("/requests/{}", row["no"])).collect();
    pages.push(format!(
        "/?alarm={}",
        alarms["alarms"][0]["alarm"]["id"].as_str().or(alarms["alarms"][0]["id"].as_str()).unwrap()
    ));
    for page in ["/", "/devices", "/requests", "/setup", "/health"] {
        pages.push(page.into());
        pages.push(format!("{page}?done={evil}&alarm={evil}&source={evil}&event={evil}&before={evil}"));
    }
    pages.push(format!("/requests/{evil}"));
    pages
}

/// Checks the open page; returns its text.
async fn assert_plain(browser: &Browser, path: &str) -> String {
    let found = browser.run(FAULTS).await;
    assert_eq!(found[0], json!([]), "{path}: {:#}", found[0]);
    let refused: Vec<String> = browser.complaints().await;
    let refused: Vec<&String> = refused.iter().filter(|line| line.contains("Security")).collect();
    assert!(refused.is_empty(), "{path}: the policy had to step in: {refused:#?}");
    found[1].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_planted_becomes_markup_on_any_page() {
    let bridge = Bridge::start("[limits]\nstrangers_per_second = 1000").await;
    let browser = Browser::start().await;
    // One page stays open meanwhile: live updates use another path than page loads.
    browser.open(&format!("{}/", bridge.admin())).await;
    browser.wait_for("#link", "Live").await;
    let marks = plant(&bridge).await;
    eventually(PATIENCE, "the alarms on the open page", async || {
        let found = browser.run(FAULTS).await;
        let text = found[1].as_str().unwrap_or_default();
        marks.iter().any(|mark| text.contains(mark.as_str())).then_some(())
    })
    .await;
    let mut seen = assert_plain(&browser, "the page that was open").await;
    for path in pages(&bridge).await {
        browser.open(&format!("{}{path}", bridge.admin())).await;
        seen += &assert_plain(&browser, &path).await;
    }
    let camera = bridge.camera();
    browser.open(&format!("http://{}{}", camera.authority, camera.path)).await;
    assert_plain(&browser, "the page of a webhook").await;
    let unseen: Vec<&String> = marks.iter().filter(|mark| !seen.contains(*mark)).collect();
    // These are not shown, or only as slugs; all others must be shown, or the test proves nothing.
    assert_eq!(unseen, Vec::<&String>::new(), "these were never shown");
}

/// Every page has a content security policy that forbids what escaping prevents.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_a_strict_policy() {
    let open = Bridge::start("").await;
    let locked = Bridge::start("[admin]\nbind = \"0.0.0.0:0\"\npassword = \"p4ssword\"").await;
    open.camera().json(&json!({"event_list": [{"event_type": ["MOTION"]}]})).await;
    eventually(SOON, "the request", async || {
        let rows = open.api("/requests").await;
        (rows["requests"] != Value::Array(Vec::new())).then_some(())
    })
    .await;
    let camera = open.camera();
    let mut answers =
        vec![("a webhook", camera.get().await), ("login", get(locked.admin(), "/login", &[]).await)];
    let wrong =
        ask(locked.admin(), "POST /login", &[&format!("Origin: {}", locked.admin())], "password=x").await;
    answers.push(("a wrong password", wrong));
    for path in [
        "/",
        "/devices",
        "/requests",
        "/requests/1",
        "/setup",
        "/health",
        "/requests/99",
        "/nowhere",
        "/?alarm=x",
    ] {
        answers.push((path, Camera::new(&format!("{}{path}", open.admin())).get().await));
    }
    let mut pages = 0;
    for (what, answer) in answers {
        if !answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            continue;
        }
        pages += 1;
        let policy =
            answer.header("content-security-policy").unwrap_or_else(|| panic!("{what} has no policy"));
        assert!(policy.contains("default-src 'none'"), "{what}: {policy}");
        let scripts =
            policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap_or_default();
        assert!(!scripts.contains("unsafe") && !scripts.contains('*'), "{what}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'") || policy.contains("frame-ancestors 'self'"),
            "{what}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    }
    assert!(9 <= pages, "{pages}");
}
