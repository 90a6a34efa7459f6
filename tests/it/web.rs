//! The admin pages: the real binary, watched through a real browser.

mod access;
mod devices;
mod forms;
mod journey;
mod languages;
mod live;
mod login;
mod mapping;
mod mistakes;
mod numbers;
mod past;
mod requests;
mod secrets;
mod settings;
mod setup;
mod shots;
mod speed;
mod state;
mod words;

use serde_json::{Value, json};

use crate::support::{Bridge, Browser, Camera};

/// Every page, by its path.
const PAGES: [&str; 8] = ["/", "/history", "/devices", "/requests", "/setup", "/health", "/settings", "/log"];

/// A camera's report of one person in a picture, with "Enhanced Alarm Message Service" on.
fn person() -> Value {
    json!({
        "ip": "192.0.2.101", "mac": "02-1a-2b-3c-4d-5e", "protocol": "HTTP", "device_name": "Front door",
        "event_list": [{"camera": "1", "event_type": "PEOPLE", "extra_text": [{
            "region_id": [1], "obj_num": 2, "obj_rect_info": [
                {"x": 2109, "y": 4722, "height": 5278, "width": 1797},
                {"x": 6062, "y": 305, "height": 2167, "width": 1875},
            ],
        }]}],
    })
}

/// A grey picture.
fn picture(width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels = vec![0x70; usize::from(width) * usize::from(height)];
    let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
    encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Luma).expect("it can be encoded");
    jpeg
}

/// Sends one person with a picture, and gives the alarm's id.
async fn send_person(bridge: &Bridge) -> String {
    let answer = bridge.camera().multipart(&person(), &picture(640, 360)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["ids"][0].as_str().expect("an id").to_owned()
}

/// The port of the embedded broker.
fn broker_port(bridge: &Bridge) -> u16 {
    let url = bridge.mqtt().expect("the embedded broker runs");
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// A page as sent over HTTP.
async fn page(bridge: &Bridge, path: &str) -> String {
    let answer = Camera::new(&format!("{}{path}", bridge.admin())).get().await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    String::from_utf8(answer.body).expect("pages are text")
}

/// Opens a page of the bridge.
async fn open(browser: &Browser, bridge: &Bridge, path: &str) {
    browser.open(&format!("{}{path}", bridge.admin())).await;
}

/// Marks the page; the mark disappears when the page is loaded again.
async fn mark(browser: &Browser) {
    browser.run("window.untouched = true;").await;
}

/// Checks that the page was not loaded again since it was marked, and had no errors.
async fn assert_untouched(browser: &Browser) {
    assert_eq!(browser.run("return window.untouched;").await, true, "the page was loaded again");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}
