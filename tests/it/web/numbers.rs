//! Extreme numbers and times in addresses: each page and each operation of the API answers them with a result or with
//! an explanation.

use serde_json::{Value, json};

use super::{PAGES, send_person};
use crate::support::Bridge;
use crate::support::web::{ask, get};

/// Extreme numbers and times: bounds of integers and beyond, bounds of the calendar, lengths of time.
const EXTREMES: [&str; 20] = [
    "0",
    "1",
    "-1",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "1e400",
    "NaN",
    "",
    "-009999-01-01",
    "-009999-01-02T01:59:59Z",
    "9999-12-31",
    "9999-12-30T22:00:00.999999999Z",
    "9999-12",
    "-009999-01",
    "99999999999999y",
    "P9998Y",
];

/// Names of numbers and times in the addresses of pages.
const NAMES: [&str; 14] = [
    "page", "offset", "limit", "since", "until", "before", "after", "id", "cursor", "back", "month", "alarm",
    "hours", "span",
];

/// Checks that an answer is a result or explains a mistake.
fn is_explained(path: &str, status: u16, text: &str) {
    assert!(matches!(status, 200 | 400 | 404), "{path}: {status} {text}");
    if status != 200 {
        let document = path.starts_with("/api").then(|| serde_json::from_str::<Value>(text).unwrap());
        let explained = document.map_or(text.contains("What to do:"), |it| it["remedy"].is_string());
        assert!(explained, "{path}: {text}");
    }
}

/// Checks that no request failed inside.
fn nothing_panicked(bridge: &Bridge) {
    let log = bridge.log();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[tokio::test]
async fn every_page_explains_extreme_numbers() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    for (page, name) in PAGES.iter().flat_map(|page| NAMES.map(|name| (page, name))) {
        for value in EXTREMES {
            let path = format!("{page}?{name}={value}");
            let answer = get(bridge.admin(), &path, &["Accept: text/html"]).await;
            is_explained(&path, answer.status, &answer.text());
        }
    }
    for value in EXTREMES.iter().filter(|value| !value.is_empty()) {
        for path in
            ["requests/{}", "requests/{}/body", "requests/{}/capture", "requests/{}/mapping", "devices/{}"]
        {
            let path = format!("/{}", path.replace("{}", value));
            let answer = get(bridge.admin(), &path, &["Accept: text/html"]).await;
            is_explained(&path, answer.status, &answer.text());
        }
        for (path, body) in [
            ("devices/021a2b3c4d5e/hold", format!("hold={value}")),
            ("devices/021a2b3c4d5e/mute", format!("seconds={value}")),
            (&*format!("parked/{value}/retry"), String::new()),
            (&*format!("parked/{value}/drop"), String::new()),
            (&*format!("requests/{value}/replay"), String::new()),
        ] {
            let answer = ask(bridge.admin(), &format!("POST /{path}"), &["Accept: text/html"], &body).await;
            assert!(matches!(answer.status, 303 | 400 | 404), "{path} {body}: {answer:?}");
        }
    }
    nothing_panicked(&bridge);
}

#[tokio::test]
async fn every_operation_of_the_api_explains_extreme_numbers() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let document = bridge.api("/openapi.json").await;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap();
            for value in EXTREMES.iter().filter(|value| !value.is_empty()) {
                let address = match parameter["in"] == "path" {
                    true => path.replace(&format!("{{{name}}}"), value),
                    // A stream has no end: it is asked for with a number that is none.
                    false if path.ends_with("/events") && value.parse::<i64>().is_ok() => continue,
                    false => format!("{path}?{name}={value}"),
                };
                let answer = get(bridge.admin(), &address, &[]).await;
                is_explained(&address, answer.status, &answer.text());
                tried += 1;
            }
        }
    }
    assert!(500 < tried, "only {tried} addresses were tried");
    for number in ["-1", "0", "31536001", "9223372036854775807", "18446744073709551615", "1e300", "\"x\""] {
        let number: Value = serde_json::from_str(number).unwrap();
        for (path, body) in [
            ("/devices/021a2b3c4d5e/mute", json!({"seconds": number})),
            ("/devices/021a2b3c4d5e/hold", json!({"seconds": number})),
            ("/sinks/mqtt/rewind", json!({"since": number})),
        ] {
            let answer = bridge.post(path, &body).await;
            assert!((200..500).contains(&answer.status), "{path} {body}: {answer:?}");
        }
    }
    nothing_panicked(&bridge);
}

#[tokio::test]
async fn a_page_past_the_last_one_is_the_last_one() {
    let bridge = Bridge::start("").await;
    send_person(&bridge).await;
    let far = super::page(&bridge, "/devices?page=4000000000").await;
    assert!(far.contains("Front door") && !far.contains("No device matches"), "{far}");
    let wrong = get(bridge.admin(), "/devices?page=18446744073709551615", &[]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("the value of <code>page</code>"), "{}", wrong.text());
}
