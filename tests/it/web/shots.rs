//! Pictures of the documentation: `ALARMBUS_SHOTS=docs/images tests/run shots` makes them. Otherwise they are made
//! and discarded, so that this code stays tested.

use std::path::PathBuf;

use alarmbus::simulate::device::{Wishes, fleet};
use alarmbus::simulate::past;

use super::{broker_port, open};
use crate::support::browser::PATIENCE;
use crate::support::{Bridge, Browser, Camera, Subscriber, eventually};

/// Maximum bytes of one picture.
const MOST: usize = 250_000;

/// The cameras, and what they report in the last minute.
const CAMERAS: [(&str, &str, &str); 4] = [
    ("Garage", "vehicle", "11"),
    ("Driveway", "motion,vehicle", "7"),
    ("Back garden", "pet", "5"),
    ("Front door", "person", "3"),
];

#[tokio::test]
async fn the_pictures_of_the_documentation() {
    let mut bridge = Bridge::prepare("");
    let history = ["simulate", "--history", "24h", "--devices", "4", "--picture-size", "640x360"];
    let (status, output) = bridge.command(&history).await;
    assert!(status.success(), "{output}");
    bridge.restart().await;
    let subscriber = Subscriber::connect(broker_port(&bridge), "alarmbus/+/event/+").await;
    let browser = Browser::start().await;
    browser.resize(1_280, 1_000, false).await;
    open(&browser, &bridge, "/setup").await;
    bridge.camera().test_button().await;
    send(&bridge).await;
    for dark in [false, true] {
        browser.prefer_dark(dark).await;
        let mode = if dark { "dark" } else { "light" };
        open(&browser, &bridge, "/setup").await;
        browser.wait_for("#chain", "Everything works").await;
        keep(&browser, &format!("setup-{mode}")).await;
        open(&browser, &bridge, "/?span=24h").await;
        pictures_loaded(&browser).await;
        keep(&browser, &format!("live-{mode}")).await;
    }
    browser.prefer_dark(false).await;
    let wrong = Camera { path: bridge.camera().path.to_uppercase(), ..bridge.camera() };
    wrong.json(&super::person()).await;
    for name in ["history", "devices", "requests", "health", "settings", "log"] {
        open(&browser, &bridge, &format!("/{name}")).await;
        if name == "history" {
            browser.wait_for("#found-title", "All alarms").await;
        }
        keep(&browser, name).await;
    }
    let latest = bridge.api("/requests?limit=2").await;
    open(&browser, &bridge, &format!("/requests/{}", latest["requests"][1]["no"])).await;
    keep(&browser, "request").await;
    browser.resize(390, 844, true).await;
    open(&browser, &bridge, "/?span=24h").await;
    pictures_loaded(&browser).await;
    keep(&browser, "live-phone").await;
    drop(subscriber);
}

/// Sends two alarms of each camera.
async fn send(bridge: &Bridge) {
    for (name, event, seed) in CAMERAS {
        let devices = fleet(&Wishes::default(), 4);
        let device = devices.iter().zip(0..).find(|(_, number)| past::name(*number) == name);
        let (device, _) = device.unwrap_or_else(|| panic!("{name} is no camera of the history"));
        let url = bridge.webhook().to_owned();
        let arguments =
            ["simulate", "--url", &url, "--count", "2", "--format", "enhanced-multipart", "--seed", seed];
        let device = ["--name", name, "--mac", &device.mac, "--event", event];
        let (status, output) = bridge.command(&[&arguments[..], &device[..]].concat()).await;
        assert!(status.success(), "{output}");
    }
}

/// Waits until the pictures in view are drawn.
async fn pictures_loaded(browser: &Browser) {
    let loaded = "return [...document.images].filter((image) => image.loading !== 'lazy')
        .every((image) => image.complete && image.naturalWidth);";
    eventually(PATIENCE, "the pictures", async || (browser.run(loaded).await == true).then_some(())).await;
    let decoded =
        "await Promise.all([...document.images].filter((image) => image.complete && image.naturalWidth)
        .map((image) => image.decode()));";
    browser.run_async(decoded).await;
}

/// Takes a picture, and saves it if wanted.
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
