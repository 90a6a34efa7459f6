//! Access to the admin listener.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::web::{ask, get};
use crate::support::{Bridge, Camera};

/// A bridge whose admin listener is bound to the network, as seen from this host.
async fn exposed(more: &str) -> Bridge {
    Bridge::start(&format!("[admin]\nbind = \"0.0.0.0:0\"\n{more}")).await
}

/// Logs in and returns the cookie.
async fn log_in(bridge: &Bridge, password: &str) -> String {
    let answer = ask(bridge.admin(), "POST /login", &[], &format!("password={password}")).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_network_a_password_is_made_and_needed() {
    let mut bridge = exposed("").await;
    let file = bridge.storage().join("admin.password");
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(bridge.log().contains(&password), "it is printed once");
    let page = get(bridge.admin(), "/metrics", &["Accept: text/html"]).await;
    assert_eq!((page.status, page.header("location")), (303, Some("/login")));
    let api = get(bridge.admin(), "/metrics", &[]).await;
    assert_eq!((api.status, api.header("www-authenticate")), (401, Some("Bearer")));
    let form = get(bridge.admin(), "/login", &[]).await;
    assert!(form.status == 200 && form.text().contains("type=\"password\""));
    assert!(form.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));

    let cookie = log_in(&bridge, &password).await;
    assert_eq!(get(bridge.admin(), "/metrics", &[&cookie]).await.status, 200);
    let elsewhere = ["Origin: http://evil.example", cookie.as_str()];
    assert_eq!(ask(bridge.admin(), "POST /logout", &elsewhere, "").await.status, 403, "CSRF");
    assert_eq!(ask(bridge.admin(), "POST /logout", &[&cookie], "").await.status, 303);
    assert_eq!(get(bridge.admin(), "/metrics", &[&cookie]).await.status, 401, "the session is over");

    bridge.restart().await;
    assert!(!bridge.log().contains(&password), "it is printed once only");
    log_in(&bridge, &password).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slow_and_leave_the_configured_password_alone() {
    let bridge = Bridge::start("[admin]\npassword = \"correct horse\"").await;
    assert!(!bridge.storage().join("admin.password").try_exists().unwrap());
    log_in(&bridge, "correct+horse").await;
    let mut last = 0;
    for _ in 0..100 {
        last = ask(bridge.admin(), "POST /login", &[], "password=wrong").await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    let right = ask(bridge.admin(), "POST /login", &[], "password=correct+horse").await;
    assert_eq!(right.status, 429, "a guess too many is not looked at");
    assert!(!bridge.log().contains("correct horse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_programs() {
    let bridge = exposed("token = \"0123456789abcdef0123456789abcdef\"").await;
    let right = "Authorization: Bearer 0123456789abcdef0123456789abcdef";
    let answer = get(bridge.admin(), "/metrics", &[right]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for wrong in [
        "Authorization: Bearer 0123456789abcdef0123456789abcdeF",
        "Authorization: Bearer ",
        "Authorization: Basic YTpi",
    ] {
        assert_eq!(get(bridge.admin(), "/metrics", &[wrong]).await.status, 401, "{wrong}");
    }
    let mut last = 0;
    for _ in 0..100 {
        last = get(bridge.admin(), "/metrics", &["Authorization: Bearer x"]).await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(
        get(bridge.admin(), "/metrics", &[right]).await.status,
        200,
        "who knows it is not slowed down"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ingress_headers_count_from_a_configured_proxy_only() {
    let ingress = ["X-Ingress-Path: /api/hassio_ingress/x", "X-Remote-User-Id: 5"];
    let trusting = exposed("password = \"p4ssword\"\nproxies = [\"127.0.0.1\"]").await;
    assert_eq!(get(trusting.admin(), "/metrics", &ingress).await.status, 200);
    assert_eq!(get(trusting.admin(), "/metrics", &ingress[..1]).await.status, 401, "no user");
    assert_eq!(get(trusting.admin(), "/metrics", &[]).await.status, 401);
    let secure =
        ask(trusting.admin(), "POST /login", &["X-Forwarded-Proto: https"], "password=p4ssword").await;
    assert!(secure.header("set-cookie").unwrap().contains("; Secure"));
    let other = exposed("password = \"p4ssword\"\nproxies = [\"192.0.2.1\"]").await;
    assert_eq!(get(other.admin(), "/metrics", &ingress).await.status, 401);
}

/// Addresses that a page refers to.
fn linked(page: &str) -> Vec<String> {
    let starts = ["href=\"/", "src=\"/"].into_iter();
    let ends = starts.flat_map(|start| page.split(start).skip(1));
    ends.filter_map(|rest| rest.split('"').next()).map(|path| format!("/{path}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_the_login_page_need_no_login_and_nothing_else_is_shown() {
    let bridge = exposed("password = \"p4ssword\"").await;
    let form = get(bridge.admin(), "/login", &[]).await.text();
    let files: Vec<String> = linked(&form).into_iter().filter(|path| path.starts_with("/assets/")).collect();
    assert!(files.len() >= 5, "{form}");
    for file in files.iter().map(String::as_str).chain(["/favicon.ico", "/assets/icon-512.png"]) {
        assert_eq!(get(bridge.admin(), file, &[]).await.status, 200, "{file}");
        assert_eq!(ask(bridge.admin(), &format!("POST {file}"), &[], "").await.status, 401, "{file}");
    }
    for path in ["/", "/assets/nothing", "/assets/script.js", "/assets/", "/favicon.ico/x", "/login/x"] {
        let answer = get(bridge.admin(), path, &["Accept: text/html"]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/login")), "{path}");
        assert_eq!(get(bridge.admin(), path, &[]).await.status, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_ingress_every_link_of_a_page_leads_below_its_path() {
    let prefix = "/api/hassio_ingress/x";
    let ingress = ["X-Ingress-Path: /api/hassio_ingress/x", "X-Remote-User-Id: 5"];
    let bridge = exposed("password = \"p4ssword\"\nproxies = [\"127.0.0.1\"]").await;
    let mut files = 0;
    for page in ["/", "/history", "/devices", "/requests", "/setup", "/health", "/settings", "/log"] {
        let text = get(bridge.admin(), page, &ingress).await.text();
        for link in linked(&text) {
            let path = link.strip_prefix(prefix).unwrap_or_else(|| panic!("{page} leads to {link}"));
            let answer = get(bridge.admin(), path, &ingress).await;
            assert_eq!(answer.status, 200, "{page} leads to {link}");
            files += usize::from(path.starts_with("/assets/"));
        }
    }
    assert!(files > 60, "{files}");
    assert_eq!(get(bridge.admin(), "/favicon.ico", &ingress).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_page_speaks_the_language_of_its_viewer() {
    let bridge = exposed("password = \"p4ssword\"").await;
    for (language, title, wrong) in [
        ("de-AT,de;q=0.9", ">Anmelden</h1>", "Falsches Passwort."),
        ("it", ">Accedi</h1>", "Password errata."),
        ("es", ">Iniciar sesión</h1>", "Contraseña incorrecta."),
        ("fr", ">Log in</h1>", "Wrong password."),
    ] {
        let accept = format!("Accept-Language: {language}");
        let form = get(bridge.admin(), "/login", &[&accept]).await.text();
        assert!(form.contains(title), "{language}: {form}");
        let again = ask(bridge.admin(), "POST /login", &[&accept], "password=x").await.text();
        assert!(again.contains(wrong), "{language}: {again}");
    }
    let dark =
        get(bridge.admin(), "/login", &["Cookie: alarmbus_theme=dark; alarmbus_language=de"]).await.text();
    assert!(dark.contains("lang=\"de\"") && dark.contains("content=\"dark\""), "{dark}");
}

/// DNS rebinding, CSRF, and a reverse proxy in front of a page without a login.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_only_this_host_by_its_own_name() {
    let bridge = Bridge::start("").await;
    assert_eq!(get(bridge.admin(), "/metrics", &[]).await.status, 200);
    for headers in [
        ["Host: evil.example", "X: y"],
        ["Host: evil.example:8090", "Origin: http://evil.example:8090"],
        ["X-Forwarded-For: 192.0.2.7", "X: y"],
        ["Forwarded: for=192.0.2.7", "X: y"],
        ["Via: 1.1 nginx", "X: y"],
        ["Origin: http://evil.example", "X: y"],
        ["Accept: text/event-stream", "Origin: null"],
    ] {
        let answer = get(bridge.admin(), "/metrics", &headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.json()["remedy"].is_string());
    }
    let absolute = ask(bridge.admin(), "GET http://evil.example/metrics", &[], "").await;
    assert_eq!(absolute.status, 403, "the target's host counts");
    let login = get(bridge.admin(), "/login", &[]).await;
    assert_eq!((login.status, login.header("location")), (303, Some("/")));
}

/// Health is public, its reasons are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_no_reasons_from_health() {
    let bridge = exposed("password = \"p4ssword\"\n[mqtt]\nserver = \"mqtt://127.0.0.1:1\"").await;
    let reasons = async |headers: &[&str]| {
        get(bridge.admin(), "/health/ready", headers).await.json()["problems"].clone()
    };
    crate::support::eventually(crate::support::SOON, "a problem", async || {
        (!reasons(&[]).await.as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(reasons(&["X-Forwarded-For: 192.0.2.7"]).await, serde_json::json!([]));
}

/// Only the owner can read the storage folder and its files.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_private() {
    let mut bridge = exposed("[https]\nbind = \"127.0.0.1:0\"").await;
    let wire = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire");
    let with_picture = fs::read_dir(wire).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name.starts_with("vigi-") && name.ends_with(".http")).then_some(path)
    });
    for file in with_picture.take(6) {
        bridge.camera().file(file).await;
    }
    check_modes(&bridge.storage());
    let mode = fs::metadata(bridge.storage()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    bridge.terminate().await;
    check_modes(&bridge.storage());
}

fn check_modes(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A temporary file may be renamed meanwhile.
        let Ok(about) = fs::metadata(&path) else { continue };
        let mode = about.permissions().mode() & 0o777;
        if about.is_dir() {
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
            check_modes(&path);
        } else {
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        }
    }
}

/// The listener of cameras serves no admin path, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn each_listener_has_its_own_paths() {
    let bridge = Bridge::start("").await;
    for path in ["/metrics", "/health/ready", "/login", "/"] {
        assert_eq!(get(bridge.ingest(), path, &[]).await.status, 404, "{path}");
    }
    let secret = Camera::new(bridge.webhook()).path;
    assert_eq!(get(bridge.admin(), &secret, &[]).await.status, 404);
}
