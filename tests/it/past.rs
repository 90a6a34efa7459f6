//! Search, counts and export of stored alarms: by the API and by `alarmbus alarms`.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::Bridge;
use crate::support::api::{picture, report};

/// Cameras of two makers, one with a plate and a picture.
async fn visited() -> Bridge {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    assert_eq!(camera.json(&report("98:ba:5f:8b:10:03", &["PEOPLE", "MOTION"])).await.status, 200);
    let mut other = report("98:ba:5f:8b:10:04", &["RINGBELL"]);
    other["device_name"] = "=Yard, \"north\"".into();
    assert_eq!(camera.multipart(&other, &picture(64)).await.status, 200);
    bridge.alarms(3).await;
    bridge
}

#[tokio::test]
async fn alarms_are_found_by_text_picture_maker_and_time_and_counted_by_day() {
    let bridge = visited().await;
    let count = async |query: &str| bridge.api(query).await["alarms"].as_array().unwrap().len();
    for (query, expected) in [
        ("text=front+door", 2),
        ("text=yard", 1),
        ("text=NORTH+ringbell", 1),
        ("text=door+north+person", 0),
        ("text=peop", 1),
        ("picture=yes", 1),
        ("picture=no", 2),
        ("maker=vigi&event=motion", 1),
        ("maker=hikvision", 0),
        ("device=98ba5f8b1003&text=person", 1),
        ("device=&event=&text=&since=&until=&picture=", 3),
        ("since=1h", 3),
        ("until=1h", 0),
        ("since=2020-01-01&until=2020-01-02", 0),
    ] {
        assert_eq!(count(&format!("/alarms?{query}")).await, expected, "{query}");
    }
    for wrong in ["since=yesterday", "picture=maybe", "zone=Nowhere", "cursor=x", "color=red"] {
        let answer = bridge.page(&format!("/api/v1/alarms?{wrong}")).get().await;
        assert_eq!(answer.status, 400, "{wrong}");
        let name = wrong.split('=').next().unwrap();
        assert!(answer.json()["detail"].as_str().unwrap().contains(name), "{wrong}: {}", answer.json());
    }
    let days = bridge.api("/alarms-by-day?zone=UTC").await;
    let days = days["days"].as_array().unwrap();
    let counts: Vec<u64> = days.iter().filter_map(|day| day["alarms"].as_u64()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (31, 3), "{days:?}");
    let people = bridge.api("/alarms-by-day?zone=UTC&text=person").await;
    let people = people["days"].as_array().unwrap().iter().filter_map(|day| day["alarms"].as_u64());
    assert_eq!(people.sum::<u64>(), 1);
}

/// The head of an export and its body.
async fn export(bridge: &Bridge, path: &str) -> (String, Vec<u8>) {
    let answer = bridge.page(&format!("/api/v1/export/{path}")).get().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.head);
    assert!(answer.is_chunked(), "it is not streamed: {}", answer.head);
    let body = answer.whole();
    (answer.head, body)
}

#[tokio::test]
async fn what_a_filter_takes_is_exported_as_json_csv_and_pictures() {
    let bridge = visited().await;
    let (_, rows) = export(&bridge, "alarms.json?event=person").await;
    let rows: Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["alarm"]["event"]), (1, &json!("person")));
    let (_, none) = export(&bridge, "alarms.json?text=nothing").await;
    assert_eq!(serde_json::from_slice::<Value>(&none).unwrap(), json!([]));
    let (head, text) = export(&bridge, "alarms.csv").await;
    assert!(head.contains("attachment; filename=\"alarms.csv\""), "{head}");
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("received_at,time,source,device,maker,event"), "{text}");
    assert!(lines[1].contains(r#""'=Yard, ""north""",vigi,ringbell"#), "{text}");
    let (head, archive) = export(&bridge, "pictures.zip?text=yard").await;
    assert!(head.contains("application/zip"), "{head}");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut file = archive.by_index(0).unwrap();
    let mut jpeg = Vec::new();
    file.read_to_end(&mut jpeg).unwrap();
    let name = file.name().unwrap();
    assert!(name.contains("98ba5f8b1004_ringbell"), "{name}");
    assert_eq!(jpeg, picture(64));
}

#[tokio::test]
async fn the_command_lists_and_exports_them() {
    let bridge = visited().await;
    let alarms = async |arguments: &[&str]| {
        let (status, output) = bridge.command(&[&["alarms"], arguments].concat()).await;
        (status.success(), output)
    };
    let (done, table) = alarms(&[]).await;
    assert!(done && table.starts_with("RECEIVED") && table.lines().count() == 4, "{table}");
    let (_, one) = alarms(&["--text", "yard", "--since", "1h", "--json"]).await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((one.as_array().unwrap().len(), &one[0]["event"]), (1, &json!("ringbell")));
    let (_, csv) = alarms(&["--device", "98ba5f8b1003", "--csv"]).await;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let (done, none) = alarms(&["--event", "tamper"]).await;
    assert!(done && none.contains("No alarm matches"), "{none}");
    let (_, none) = alarms(&["--event", "tamper", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&none).unwrap(), json!([]));
    let (done, wrong) = alarms(&["--since", "yesterday"]).await;
    assert!(!done && wrong.contains("`since`"), "{wrong}");
}
