//! Monitoring shows which of camera, bridge, disk, broker and subscriber is at fault: faults of real bridges, watched
//! by a real Prometheus with the project's rules and the dashboard's own queries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::alarms::{report, send};
use crate::support::faults::{ENOSPC, Faults, Wrong};
use crate::support::mosquitto::Settings;
use crate::support::prometheus::Prometheus;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

/// Maximum time until dashboard and alerts agree; the slowest alert takes fifteen of Prometheus's minutes.
const PATIENCE: Duration = Duration::from_secs(150);

const CAMERAS: &str = "Cameras: requests that are not alarms";
const SILENT: &str = "Cameras: silent";
const BRIDGE: &str = "Bridge";
const DISK: &str = "Disk";
const SESSION: &str = "Broker: session";
const ACCEPTS: &str = "Broker: accepts";
const SUBSCRIBERS: &str = "Subscribers: events nobody heard";

/// Requests sent during a scenario, about once a second.
#[derive(Debug, Clone, Copy)]
enum Traffic {
    Nothing,
    Alarms,
    Garbage,
}

/// A bridge and a fault around it.
struct Scenario {
    fault: &'static str,
    bridge: Bridge,
    /// Resources kept alive.
    broker: Mosquitto,
    _subscriber: Option<Subscriber>,
    traffic: Traffic,
    /// Alerts expected to fire; no others may.
    alerts: &'static [&'static str],
    /// Panels of the dashboard's first row that are expected to be not green; all others are green.
    panels: &'static [&'static str],
    /// Name of the target in Prometheus.
    instance: String,
}

impl Scenario {
    async fn new(fault: &'static str, traffic: Traffic, broker: Settings, config: &str) -> Self {
        Self::with(fault, traffic, Mosquitto::with(broker).await, Bridge::prepare(""), config).await
    }

    async fn with(
        fault: &'static str,
        traffic: Traffic,
        broker: Mosquitto,
        mut bridge: Bridge,
        config: &str,
    ) -> Self {
        let login = crate::support::mqtt_client::Login { user: Some(("reader", "r")), session: None };
        let subscriber = if fault == "nobody listens" {
            None
        } else {
            Some(Subscriber::login(broker.port(), "#", login).await)
        };
        let password = if fault == "the broker refuses the login" { "wrong" } else { "b" };
        bridge.configure(&format!(
            "[mqtt]\nserver = \"{}\"\nuser = \"bridge\"\npassword = \"{password}\"\n{config}",
            broker.url()
        ));
        bridge.restart().await;
        let instance = bridge.admin().strip_prefix("http://").expect("it is http").to_owned();
        Self { fault, bridge, broker, _subscriber: subscriber, traffic, alerts: &[], panels: &[], instance }
    }

    /// Sets the expected alerts and panels.
    fn shows(mut self, alerts: &'static [&'static str], panels: &'static [&'static str]) -> Self {
        (self.alerts, self.panels) = (alerts, panels);
        self
    }

    async fn poke(&self) {
        let camera = self.bridge.camera();
        match self.traffic {
            Traffic::Nothing => {}
            // A motion as well: one broker refuses that alone.
            Traffic::Alarms => {
                send(&camera, 1, "PEOPLE", None).await;
                send(&camera, 1, "MOTION", None).await;
            }
            Traffic::Garbage => {
                let answer = camera.raw(&camera.request("text/plain", b"no alarm at all")).await;
                assert_eq!(answer.status, 400);
            }
        }
    }
}

fn users() -> Settings {
    Settings { users: vec![("bridge", "b"), ("reader", "r")], quiet: true, ..Settings::default() }
}

/// All scenarios before their faults, except the wrong login.
async fn scenarios(faults: &Faults) -> Vec<Scenario> {
    use Traffic::{Alarms, Garbage, Nothing};
    let deny =
        "user bridge\ntopic deny alarmbus/+/event/motion\ntopic readwrite #\nuser reader\ntopic read #\n";
    let refusing = Settings { acl: Some(deny), ..users() };
    let mut on_bad_disk = Bridge::prepare("");
    on_bad_disk.environment(faults.environment(&on_bad_disk.storage()));
    let expected = "[devices.\"98:ba:5f:8b:10:01\"]\nexpected_every_seconds = 3\n";
    let disk = Mosquitto::with(users()).await;
    vec![
        Scenario::new("none", Alarms, users(), "").await,
        Scenario::new("the broker is down", Alarms, users(), "")
            .await
            .shows(&["AlarmbusBrokerDown", "AlarmbusBacklogOld"], &[SESSION]),
        Scenario::new("the broker refuses the login", Alarms, users(), "")
            .await
            .shows(&["AlarmbusBrokerDown", "AlarmbusBacklogOld"], &[SESSION]),
        Scenario::new("the broker refuses some messages", Alarms, refusing, "")
            .await
            .shows(&["AlarmbusBrokerRefuses"], &[ACCEPTS]),
        Scenario::new("nobody listens", Alarms, users(), "")
            .await
            .shows(&["AlarmbusNobodyListens"], &[SUBSCRIBERS]),
        Scenario::with("the disk is full", Alarms, disk, on_bad_disk, "")
            .await
            .shows(&["AlarmbusDiskRefusesWrites"], &[DISK]),
        Scenario::new("a camera sends what is not an alarm", Garbage, users(), "")
            .await
            .shows(&["AlarmbusRequestsNotUnderstood"], &[CAMERAS]),
        Scenario::new("a camera is silent", Nothing, users(), expected)
            .await
            .shows(&["AlarmbusCameraSilent"], &[SILENT]),
        Scenario::new("the bridge was killed", Nothing, users(), "")
            .await
            .shows(&["AlarmbusDown"], &[BRIDGE]),
    ]
}

/// The stat panels of the dashboard's first row.
fn panels() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/grafana/alarmbus.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().skip(1);
    panels.take_while(|panel| panel["type"] == "stat").cloned().collect()
}

/// Colour of a panel for a value.
fn colour(panel: &Value, value: f64) -> &str {
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
    let reached = steps.iter().rfind(|step| step["value"].as_f64().is_none_or(|from| from <= value));
    reached.and_then(|step| step["color"].as_str()).expect("every value has a colour")
}

/// Panels of one bridge that are not green. A panel without data is grey and does not count.
async fn blamed(prometheus: &Prometheus, panels: &[Value], instance: &str) -> BTreeSet<String> {
    let mut blamed = BTreeSet::new();
    for panel in panels {
        let query = panel["targets"][0]["expr"].as_str().unwrap().replace("$instance", instance);
        let samples = prometheus.query(&query).await;
        if samples.iter().any(|(_, value)| colour(panel, *value) != "green") {
            blamed.insert(panel["title"].as_str().unwrap().to_owned());
        }
    }
    blamed
}

/// The alerts that fire, by bridge.
async fn firing(prometheus: &Prometheus) -> BTreeMap<String, BTreeSet<String>> {
    let mut firing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (labels, _) in prometheus.query("ALERTS{alertstate=\"firing\"}").await {
        let text = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
        firing.entry(text("instance")).or_default().insert(text("alertname"));
    }
    firing
}

fn named(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Starts the fault of each scenario.
async fn break_all(scenarios: &mut [Scenario], faults: &Faults) {
    for scenario in scenarios {
        match scenario.fault {
            "the broker is down" => scenario.broker.kill(),
            "the bridge was killed" => scenario.bridge.kill(),
            "the disk is full" => faults.set(Wrong { error: Some(ENOSPC), ..Wrong::default() }),
            "a camera is silent" => {
                let answer = scenario.bridge.camera().json(&report(1, "PEOPLE")).await;
                assert_eq!(answer.status, 200);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_blames_who_is_at_fault_and_nobody_else() {
    let faults = Faults::none();
    let mut scenarios = scenarios(&faults).await;
    let panels = panels();
    assert_eq!(panels.len(), 7, "the dashboard's first row");
    for scenario in &scenarios {
        let connected = async || (scenario.bridge.health().await["status"] == "ok").then_some(());
        if scenario.fault != "the broker refuses the login" {
            eventually(SOON, scenario.fault, connected).await;
        }
    }
    let targets: Vec<String> = scenarios.iter().map(|scenario| scenario.instance.clone()).collect();
    let prometheus = Prometheus::start(&targets).await;
    eventually(SOON, "two scrapes of each", async || {
        let samples = prometheus.query("count_over_time(up{job=\"alarmbus\"}[1h]) > 1").await;
        (samples.len() == targets.len()).then_some(())
    })
    .await;
    break_all(&mut scenarios, &faults).await;
    let end = Instant::now() + PATIENCE;
    loop {
        for scenario in &scenarios {
            scenario.poke().await;
        }
        let (firing, mut waiting) = (firing(&prometheus).await, Vec::new());
        for scenario in &scenarios {
            let alerts = firing.get(&scenario.instance).cloned().unwrap_or_default();
            let (wanted, fault) = (named(scenario.alerts), scenario.fault);
            let wrong: Vec<&String> = alerts.difference(&wanted).collect();
            assert!(wrong.is_empty(), "{fault}: {wrong:?} fires, {wanted:?} should");
            let blamed = blamed(&prometheus, &panels, &scenario.instance).await;
            assert!(blamed.is_subset(&named(scenario.panels)), "{fault}: the dashboard blames {blamed:?}");
            if alerts != wanted || blamed != named(scenario.panels) {
                waiting.push(format!("{fault}: {alerts:?} fire, {blamed:?} are not green"));
            }
        }
        if waiting.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "not all is seen after {PATIENCE:?}: {waiting:#?}");
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
}
