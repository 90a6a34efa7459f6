//! Metrics as a scraper sees them; dashboard and alert rules use existing ones only.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::web::{ask, get};
use crate::support::{Bridge, SOON, eventually};

fn docker(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docker").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let bridge = Bridge::start("[limits]\nstrangers_per_second = 3").await;
    let alarm = json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"dateTime": "20261005162531", "event_type": ["MOTION", "PEOPLE"]}]});
    assert_eq!(bridge.camera().json(&alarm).await.status, 200);
    bridge.camera().raw(&bridge.camera().request("text/plain", b"garbage")).await;
    bridge.camera().get().await;
    for _ in 0..6 {
        get(bridge.ingest(), "/wrong", &[]).await;
    }
    let text = eventually(SOON, "the alarms to be delivered", async || {
        let text = get(bridge.admin(), "/metrics", &[]).await.text();
        text.contains("alarmbus_sink_backlog_messages{sink=\"mqtt\"} 0.0").then_some(text)
    })
    .await;
    for expected in [
        "alarmbus_requests_total{outcome=\"alarms\"} 1",
        "alarmbus_requests_total{outcome=\"not_understood\"} 1",
        "alarmbus_requests_total{outcome=\"page\"} 1",
        "alarmbus_alarms_total{source=\"98ba5f8b1003\",event=\"motion\"} 1",
        "alarmbus_alarms_total{source=\"98ba5f8b1003\",event=\"person\"} 1",
        "alarmbus_decode_problems_total{code=\"not_understood\"} 1",
        "alarmbus_sink_connected{sink=\"mqtt\"} 1",
        "alarmbus_durable 1",
        "alarmbus_ready 1",
        "alarmbus_devices 1",
        concat!("alarmbus_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|line| line.starts_with(expected)), "{expected} is missing in\n{text}");
    }
    for outcome in ["refused", "limited"] {
        let line = format!("alarmbus_requests_total{{outcome=\"{outcome}\"}} 0");
        assert!(!text.contains(&line), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let secret = bridge.webhook().rsplit('/').next().unwrap();
    assert!(!text.contains(secret));
    assert_eq!(ask(bridge.admin(), "POST /metrics", &[], "x=y").await.status, 405);
}

/// Metric names in a text: `alarmbus_` and the rest.
fn used(text: &str) -> BTreeSet<String> {
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let mut names = BTreeSet::new();
    for rest in text.split("alarmbus_").skip(1) {
        let end = rest.find(|sign| !is_name(sign)).unwrap_or(rest.len());
        names.insert(format!("alarmbus_{}", rest.get(..end).unwrap_or_default()));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_rules_name_metrics_that_exist() {
    let bridge = Bridge::start("").await;
    // Labelled counters exist after the first event.
    let camera = bridge.camera();
    camera.raw(&camera.request("text/plain", b"garbage")).await;
    camera.json(&json!({"mac": "98:ba:5f:8b:10:03", "event_list": [{"event_type": ["MOTION"]}]})).await;
    let text = get(bridge.admin(), "/metrics", &[]).await.text();
    let mut exist = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let ends: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        exist.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    let dashboard = fs::read_to_string(docker("grafana/alarmbus.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("the dashboard is JSON");
    let rules = fs::read_to_string(docker("prometheus/alarmbus.rules.yml")).unwrap();
    let used: BTreeSet<String> = used(&dashboard).union(&used(&rules)).cloned().collect();
    assert!(20 < used.len(), "{used:?}");
    // Those of a cluster are there in a cluster only: see the tests of its commands and metrics.
    let missing: Vec<&String> =
        used.difference(&exist).filter(|name| !name.starts_with("alarmbus_cluster_")).collect();
    assert!(missing.is_empty(), "no such metric: {missing:?}\n{exist:?}");
    let unused: Vec<&String> = exist
        .iter()
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count") && !used.contains(*name))
        .collect();
    assert!(unused.is_empty(), "nobody looks at {unused:?}");
}

#[test]
fn the_rules_are_right_and_fire_as_they_should() {
    let promtool = |arguments: &[&str], file: &str| {
        let output = Command::new("promtool")
            .args(arguments)
            .arg(file)
            .current_dir(docker("prometheus"))
            .output()
            .expect("promtool is installed (tests/run sees to it)");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
    };
    promtool(&["check", "rules"], "alarmbus.rules.yml");
    promtool(&["test", "rules"], "alarmbus.rules.test.yml");
    promtool(&["check", "config"], "prometheus.yml");
    // Its token file exists in a container only.
    promtool(&["check", "config", "--syntax-only"], "compose.yml");
}

/// Every scrape is valid for promtool.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_help_and_right_names() {
    let bridge = Bridge::start("").await;
    let text = get(bridge.admin(), "/metrics", &[]).await.text();
    let helped: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(helped.contains(name) && name.starts_with("alarmbus_"), "{line}");
    }
}
