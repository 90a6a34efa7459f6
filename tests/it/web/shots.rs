//! The pictures of the documentation: `ALARMBUS_SHOTS=docs/images tests/run shots` makes them anew. Without that
//! they are made all the same and thrown away, so that the way to them does not rot.

use std::path::PathBuf;

use super::{broker_port, open};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, Subscriber, eventually};

/// The most bytes of one picture.
const MOST: usize = 250_000;

#[tokio::test]
async fn the_pictures_of_the_documentation() {
    let bridge = Bridge::start("").await;
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    let browser = Browser::start().await;
    browser.resize(1_280, 1_000, false).await;
    open(&browser, &bridge, "/setup").await;
    bridge.camera().test_button().await;
    let scenes = [
        ("Garage", "02:1a:2b:00:00:03", "motion,vehicle", "11"),
        ("Back yard", "02:1a:2b:00:00:02", "pet", "5"),
        ("Front door", "02:1a:2b:00:00:01", "person", "3"),
    ];
    for (name, mac, event, seed) in scenes {
        let url = bridge.webhook().to_owned();
        let arguments =
            ["simulate", "--url", &url, "--count", "2", "--format", "enhanced-multipart", "--seed", seed];
        let device = ["--name", name, "--mac", mac, "--event", event];
        let (status, output) = bridge.command(&[&arguments[..], &device[..]].concat()).await;
        assert!(status.success(), "{output}");
    }
    for dark in [false, true] {
        browser.prefer_dark(dark).await;
        let mode = if dark { "dark" } else { "light" };
        open(&browser, &bridge, "/setup").await;
        browser.wait_for("#chain", "All the way").await;
        keep(&browser, &format!("setup-{mode}")).await;
        open(&browser, &bridge, "/").await;
        let loaded = "return [...document.images].every((image) => image.complete && image.naturalWidth);";
        eventually(PATIENCE, "the pictures", async || (browser.run(loaded).await == true).then_some(()))
            .await;
        browser.run_async("await Promise.all([...document.images].map((image) => image.decode()));").await;
        keep(&browser, &format!("live-{mode}")).await;
    }
    browser.prefer_dark(false).await;
    let wrong = Camera { path: bridge.camera().path.to_uppercase(), ..bridge.camera() };
    wrong.json(&super::person()).await;
    for name in ["devices", "requests", "health"] {
        open(&browser, &bridge, &format!("/{name}")).await;
        keep(&browser, name).await;
    }
    open(&browser, &bridge, "/requests/2").await;
    keep(&browser, "request").await;
    browser.resize(390, 844, true).await;
    open(&browser, &bridge, "/").await;
    keep(&browser, "live-phone").await;
    drop(subscriber);
}

/// Takes a picture, and keeps it if it is wanted.
async fn keep(browser: &Browser, name: &str) {
    browser.run("document.getElementById('link').dataset.state === 'live' || scrollTo(0, 0);").await;
    browser.wait_for("body", "alarmbus").await;
    let shot = browser.screenshot().await;
    println!("{name}.webp: {} bytes", shot.len());
    assert!(shot.starts_with(b"RIFF"));
    let Ok(folder) = std::env::var("ALARMBUS_SHOTS") else { return };
    assert!(shot.len() < MOST, "{name}.webp has {} bytes, at most {MOST}", shot.len());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    std::fs::write(folder.join(format!("{name}.webp")), shot).expect("the folder can be written");
}
