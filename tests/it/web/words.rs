//! Texts of pages: titles, errors of wrong addresses, code in text, singular and plural.

use serde_json::json;

use super::{page, person, picture, send_person};
use crate::support::Bridge;
use crate::support::web::get;

#[tokio::test]
async fn tabs_and_bookmarks_can_be_told_apart() {
    let bridge = Bridge::start("").await;
    let id = send_person(&bridge).await;
    for (path, title) in [
        ("/".to_owned(), "Live"),
        (format!("/?alarm={id}"), "Person at Front door"),
        ("/?before=9".into(), "Older alarms"),
        ("/requests/1".into(), "Request 1"),
    ] {
        let text = page(&bridge, &path).await;
        assert!(text.contains(&format!("<title>{title} · alarmbus</title>")), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_value_in_an_address_is_named_in_plain_words() {
    let bridge = Bridge::start("").await;
    for (path, name) in [("/?alarm=xyz", "alarm"), ("/?before=x", "before"), ("/requests?before=x", "before")]
    {
        let answer = get(bridge.admin(), path, &[]).await;
        let text = answer.text();
        assert_eq!(answer.status, 400, "{path}");
        assert!(text.contains(&format!("the value of <code>{name}</code>")), "{path}: {text}");
        assert!(!text.contains("deserialize") && !text.contains("openapi"), "{path}: {text}");
        assert!(text.contains(">Waiting for an alarm</a>"), "the header says how the bridge is: {text}");
    }
    let api = get(bridge.admin(), "/api/v1/alarms?limit=x", &[]).await.json();
    assert!(api["detail"].as_str().unwrap().starts_with("the query string: limit"), "{api}");
}

#[tokio::test]
async fn texts_read_well() {
    let bridge = Bridge::start("").await;
    let setup = page(&bridge, "/setup").await;
    assert!(setup.contains("run <code>alarmbus simulate"), "{setup}");
    assert!(setup.contains("so a camera cannot reach it. Set http.bind"), "{setup}");
    let nameless = bridge.camera().json(&json!({"foo": 1})).await;
    assert_eq!(nameless.status, 200, "{nameless:?}");
    let live = page(&bridge, "/").await;
    assert!(!live.contains("sent as <code></code>"), "{live}");
    for number in 0..9 {
        let report =
            json!({"mac": format!("02-00-00-00-00-{number:02x}"), "event_list": [{"event_type": "PEOPLE"}]});
        assert_eq!(bridge.camera().json(&report).await.status, 200);
    }
    let live = page(&bridge, "/").await;
    assert!(live.contains("more devices</a>") || live.contains("1 more device</a>"), "{live}");
}

#[tokio::test]
async fn a_recorder_and_its_channel_are_described() {
    let bridge = Bridge::start("").await;
    let url = bridge.webhook().to_owned();
    let arguments = ["simulate", "--url", &url, "--count", "1", "--format", "nvr"];
    let (status, output) = bridge.command(&arguments).await;
    assert!(status.success(), "{output}");
    let text = page(&bridge, "/devices").await;
    assert!(text.contains(">Channel · channel 1 of VIGI NVR"), "{text}");
}

/// For a request that is too large and holds no alarm, no text claims that an alarm was kept.
#[tokio::test]
async fn what_is_said_of_a_large_request_is_true() {
    let bridge = Bridge::start("[limits]\nbody_bytes = \"60 kB\"\n").await;
    let camera = bridge.camera();
    let answer = camera.raw(&camera.request("application/octet-stream", &[0; 100_000])).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let found = bridge.api("/findings").await;
    let of = |list: &serde_json::Value| {
        let found = list["findings"].as_array().unwrap().iter().find(|one| one["code"] == "body_too_large");
        found.cloned().unwrap()
    };
    let detail = of(&found)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("it became no alarm"), "{detail}");
    assert_eq!(detail.matches("limits.body_bytes").count(), 1, "{detail}");
    assert!(detail.matches("\\x00").count() <= 16, "{detail}");
    let large = picture(1_200, 1_200);
    let noisy: Vec<u8> = large.iter().copied().chain(std::iter::repeat_n(7, 100_000)).collect();
    assert_eq!(camera.multipart(&person(), &noisy).await.status, 200);
    let detail = of(&bridge.api("/findings").await)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("kept without its picture"), "{detail}");
}
