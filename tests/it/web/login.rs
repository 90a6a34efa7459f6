//! Login and logout with a browser, by form and button, over HTTP and HTTPS.

use super::{open, send_person};
use crate::support::browser::PATIENCE;
use crate::support::tls::write_certificate;
use crate::support::{Bridge, Browser, eventually};

const PASSWORD: &str = "correct horse";

/// A bridge with a password, over HTTP.
async fn plain() -> Bridge {
    Bridge::start(&format!("[admin]\npassword = \"{PASSWORD}\"\n")).await
}

/// A bridge with a password, over HTTPS with a self-signed certificate.
async fn secure(folder: &tempfile::TempDir) -> Bridge {
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    write_certificate(&cert, &key);
    let files = format!("cert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    Bridge::start(&format!("[admin]\npassword = \"{PASSWORD}\"\n{files}")).await
}

/// Path of the open page.
async fn path(browser: &Browser) -> String {
    browser.run("return location.pathname;").await.as_str().unwrap_or_default().to_owned()
}

async fn wait_for_path(browser: &Browser, wanted: &str) {
    let there = async || (path(browser).await == wanted).then_some(());
    eventually(PATIENCE, &format!("the page {wanted}"), there).await;
}

/// Types a password, and sends the form.
async fn log_in(browser: &Browser, password: &str) {
    browser.fill("input[type=password]", password).await;
    browser.click("form[action='/login'] button.first").await;
}

async fn check(browser: &Browser, bridge: &Bridge) {
    open(browser, bridge, "/devices").await;
    wait_for_path(browser, "/login").await;
    browser.click("#show-password").await;
    assert_eq!(browser.run("return document.getElementById('password').type;").await, "text");
    browser.click("#show-password").await;
    log_in(browser, "wrong").await;
    browser.wait_for("[role=alert]", "Wrong password").await;
    log_in(browser, PASSWORD).await;
    wait_for_path(browser, "/").await;
    browser.wait_for("h1", "Live").await;
    browser.wait_for("#link", "Live").await;
    leave(browser, bridge).await;
}

/// Every page has the logout button, also an error page.
async fn leave(browser: &Browser, bridge: &Bridge) {
    for page in super::PAGES {
        open(browser, bridge, page).await;
        browser.wait_for("form[action='/logout'] button", "Log out").await;
    }
    open(browser, bridge, "/nothing").await;
    browser.click("form[action='/logout'] button").await;
    wait_for_path(browser, "/login").await;
    open(browser, bridge, "/health").await;
    wait_for_path(browser, "/login").await;
}

#[tokio::test]
async fn chromium_logs_in_and_out() {
    let folder = tempfile::TempDir::new().unwrap();
    let browser = Browser::start().await;
    check(&browser, &plain().await).await;
    check(&browser, &secure(&folder).await).await;
}

#[tokio::test]
async fn firefox_logs_in_and_out() {
    let folder = tempfile::TempDir::new().unwrap();
    let browser = Browser::firefox().await;
    check(&browser, &plain().await).await;
    check(&browser, &secure(&folder).await).await;
}

/// A page that stays open after the end of its session goes to the login page by itself, also when its form is sent.
#[tokio::test]
async fn when_the_session_ends_the_page_asks_for_the_password() {
    let bridge = plain().await;
    send_person(&bridge).await;
    let browser = Browser::start().await;
    open(&browser, &bridge, "/login").await;
    log_in(&browser, PASSWORD).await;
    browser.wait_for("h1", "Live").await;
    browser.run("fetch('/logout', {method: 'POST'});").await;
    send_person(&bridge).await;
    wait_for_path(&browser, "/login").await;
}

/// A refusal is a page for a browser, and a problem document for a program.
#[tokio::test]
async fn a_refusal_is_a_page_to_a_browser() {
    use crate::support::web::ask;
    let bridge = plain().await;
    let html = "Accept: text/html,application/xhtml+xml";
    let foreign = ["Origin: http://evil.example", html];
    let answer = ask(bridge.admin(), "POST /login", &foreign, "password=x").await;
    assert_eq!((answer.status, answer.header("content-type")), (403, Some("text/html; charset=utf-8")));
    assert!(answer.text().contains("comes from another site") && answer.text().contains("admin.public_url"));
    let logged = async || bridge.log().contains("comes from another site").then_some(());
    eventually(PATIENCE, "a line in the log", logged).await;
    let program = ask(bridge.admin(), "POST /login", &foreign[..1], "password=x").await;
    assert_eq!(program.header("content-type"), Some("application/problem+json"));
    let changed = ask(bridge.admin(), "POST /devices/021a2b3c4d5e/remove", &[html], "").await;
    assert_eq!(changed.status, 401);
    assert!(changed.text().contains("no longer logged in") && changed.text().contains("type=\"password\""));
    let mut answer = changed;
    for _ in 0..20 {
        answer = ask(bridge.admin(), "POST /login", &[html], "password=wrong").await;
        if answer.status == 429 {
            break;
        }
    }
    assert!(answer.status == 429 && answer.text().contains("Wait a minute"), "{}", answer.text());
    let open = Bridge::start("").await;
    let proxied = ask(open.admin(), "GET /", &["X-Forwarded-For: 192.0.2.7", html], "").await;
    assert_eq!(proxied.status, 403);
    assert!(proxied.text().contains("set admin.password"), "{}", proxied.text());
}
