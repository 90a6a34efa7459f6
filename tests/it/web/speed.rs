//! Response times of pages and API with many alarms.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::PAGES;
use crate::support::history::{RARE, fill};
use crate::support::{Bridge, SOON, eventually};

/// Number of alarms in the store, unless `ALARMBUS_SPEED_ALARMS` says another one.
const ALARMS: i64 = 100_000;
/// Number of devices that sent them.
const DEVICES: usize = 40;
/// Desired response time of an optimized build; printed, and not asserted.
const WISHED: Duration = Duration::from_millis(50);
/// Maximum response time of a debug build on a busy machine.
const BOUND: Duration = Duration::from_secs(2);

/// Additional addresses: resources of pages, and the most expensive queries.
const MORE: [&str; 39] = [
    "/?span=7d",
    "/?span=24h",
    "/?before=50000",
    "/history?event=tamper",
    "/history?event=person",
    "/history?device=020000000007",
    "/history?device=020000000007&event=tamper",
    "/history?maker=vigi",
    "/history?picture=yes",
    "/history?picture=no&event=motion&device=020000000007",
    "/history?text=rare17",
    "/history?text=camera",
    "/history?text=camera&maker=vigi&picture=no&event=person&since=3d",
    "/history?since=2d&until=1d",
    "/history?reviewed=yes",
    "/history?reviewed=no",
    "/history?cursor=50000",
    "/devices?sort=today&dir=up",
    "/devices/020000000007",
    "/api/v1/alarms?text=rare17",
    "/api/v1/alarms?text=camera&picture=no",
    "/api/v1/alarms-by-day",
    "/api/v1/alarms-by-day?text=camera&device=020000000007",
    "/api/v1/export/alarms.csv?text=rare17",
    "/requests/1",
    "/api/v1/alarms?limit=20",
    "/api/v1/alarms?event=tamper",
    "/api/v1/alarms?source=020000000007&event=tamper",
    "/api/v1/alarms?source=020000000007&limit=20",
    "/api/v1/alarms?event=person&since=2020-01-01T00:00:00Z&limit=20",
    "/api/v1/alarms-by-hour",
    "/api/v1/alarms-by-hour?hours=744",
    "/api/v1/devices",
    "/api/v1/requests",
    "/api/v1/findings",
    "/api/v1/health",
    "/api/v1/sinks",
    "/api/v1/parked",
    "/api/v1/setup",
];

#[tokio::test]
async fn everything_answers_at_once_with_a_hundred_thousand_alarms() {
    let mut bridge = Bridge::start("").await;
    for number in 0..DEVICES {
        let report = json!({"mac": format!("02-00-00-00-00-{number:02x}"), "device_name": format!("Camera {number}"),
            "event_list": [{"event_type": "PEOPLE"}]});
        assert_eq!(bridge.camera().json(&report).await.status, 200);
    }
    bridge.alarms(DEVICES).await;
    bridge.terminate().await;
    let count = std::env::var("ALARMBUS_SPEED_ALARMS").map_or(ALARMS, |count| count.parse().unwrap());
    fill(&bridge, count);
    bridge.restart().await;
    // Requested at once: each minute ten more of them are older than a week.
    assert!(super::page(&bridge, "/?span=7d").await.contains("the latest 100,000 alarms are drawn"));
    if count != ALARMS {
        indexed(&bridge).await;
    }
    for path in PAGES.iter().chain(&MORE) {
        let mut took = Vec::new();
        eventually(SOON, &format!("{path} within {BOUND:?}"), async || {
            let start = Instant::now();
            let answer = bridge.page(path).get().await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            took.push(start.elapsed());
            (took.len() >= 5 && took.iter().min() < Some(&BOUND)).then_some(())
        })
        .await;
        took.sort();
        let verdict = if took[0] <= WISHED { "within" } else { "OVER" };
        println!("{path}: best {:?}, median {:?}: {verdict} {WISHED:?}", took[0], took[took.len() / 2]);
    }
    assert_eq!(bridge.api("/alarms?event=tamper").await["alarms"][0]["no"], RARE);
    let hours = bridge.api("/alarms-by-hour?hours=744").await;
    let counted = hours["hours"].as_array().unwrap().iter().map(|hour| hour["alarms"].as_i64().unwrap());
    let counted: i64 = counted.sum();
    // The oldest hour is left out of the count; more than 100,000 alarms are not counted.
    assert!((90_000..=ALARMS).contains(&counted), "{counted}");
}

/// Waits until the search index has every alarm.
async fn indexed(bridge: &Bridge) {
    eventually(SOON * 60, "the search index", async || {
        let database = rusqlite::Connection::open(bridge.storage().join("outbox.db")).ok()?;
        let behind = "SELECT (SELECT max(no) FROM entry) - coalesce((SELECT text FROM note WHERE key = 'searched'), 0)";
        let behind: i64 = database.query_row(behind, [], |row| row.get(0)).ok()?;
        (behind < 1_000).then_some(())
    })
    .await;
}
