//! Instances of a cluster, what they work with, cameras that push to two of them, and what must hold of what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::mosquitto::Settings;
use crate::support::nats::Nats;
use crate::support::proxy::Proxy;
use crate::support::{Bridge, Camera, Mosquitto, Subscriber};

/// Lease of the tests.
pub(super) const LEASE: u64 = 5;
/// Longest time until everything has arrived.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Settings of a broker whose subscribers receive everything, whatever their pace.
pub(super) const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";

/// Names of the instances.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

/// Instances and what they work with.
pub(super) struct Members {
    pub(super) servers: Vec<Nats>,
    pub(super) bridges: Vec<Bridge>,
    pub(super) subscriber: Subscriber,
    /// The links of each instance to the NATS servers.
    pub(super) links: Vec<Vec<Proxy>>,
    /// The link of each instance to the broker.
    pub(super) broker_links: Vec<Proxy>,
    pub(super) broker: Mosquitto,
}

impl Members {
    /// Starts so many instances; `cluster` are more lines of the section, `more` other sections.
    pub(super) async fn start(version: &str, count: usize, cluster: &str, more: &str) -> Self {
        let servers = Nats::three(version).await;
        let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
        let subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        let mut this = Self {
            servers,
            bridges: Vec::new(),
            subscriber,
            links: Vec::new(),
            broker_links: Vec::new(),
            broker,
        };
        for name in NAMES.iter().take(count) {
            this.add(name, cluster, more).await;
        }
        this
    }

    async fn add(&mut self, name: &str, cluster: &str, more: &str) {
        let mut links = Vec::new();
        for server in &self.servers {
            links.push(Proxy::start(server.port()).await);
        }
        let broker = Proxy::start(self.broker.port()).await;
        let urls: Vec<String> =
            links.iter().map(|link| format!("\"nats://127.0.0.1:{}\"", link.port())).collect();
        let own = if cluster.contains("lease_seconds") {
            String::new()
        } else {
            format!("lease_seconds = {LEASE}")
        };
        let config = format!(
            "instance = \"{name}\"\n[cluster]\nservers = [{}]\n{own}\n{cluster}\n\
             [mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n\
             [homeassistant]\nenabled = false\n[activity]\nhold_seconds = 3\n{more}",
            urls.join(", "),
            broker.port()
        );
        self.bridges.push(Bridge::start(&config).await);
        self.links.push(links);
        self.broker_links.push(broker);
    }

    /// Two instances that a camera pushes to.
    pub(super) fn targets(&self, first: usize) -> [Camera; 2] {
        let camera = |index: usize| self.bridges[index % self.bridges.len()].camera();
        [camera(first), camera(first + 1)]
    }
}

/// Cameras that push each alarm to two instances.
pub(super) struct Push {
    targets: Targets,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<BTreeMap<String, u64>>,
}

impl Push {
    pub(super) fn start(members: &Members) -> Self {
        let targets = Targets::default();
        let stop = CancellationToken::new();
        let task = tokio::spawn(push(Arc::clone(&targets), stop.clone()));
        let this = Self { targets, stop, task };
        this.aim(members);
        this
    }

    /// Takes up the addresses of instances that were started again.
    pub(super) fn aim(&self, members: &Members) {
        *self.targets.lock().unwrap() =
            (0..members.bridges.len()).map(|first| members.targets(first)).collect();
    }

    /// Identifiers of the alarms that were answered, with their numbers.
    pub(super) async fn stop(self) -> BTreeMap<String, u64> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

/// Instances that cameras push to, two of each.
type Targets = Arc<Mutex<Vec<[Camera; 2]>>>;

async fn push(targets: Targets, stop: CancellationToken) -> BTreeMap<String, u64> {
    let mut answered = BTreeMap::new();
    let mut number = 0_u64;
    while !stop.is_cancelled() {
        number += 1;
        let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let body = json!({"mac": format!("02-00-00-00-00-0{}", number % 4), "event_list":
            [{"dateTime": time, "event_type": if number % 12 < 8 { "PEOPLE" } else { "VEHICLE" }, "number": number}]});
        let cameras = {
            let targets = targets.lock().unwrap();
            let Some(first) = usize::try_from(number % 4).ok().and_then(|n| n.checked_rem(targets.len()))
            else {
                number -= 1;
                continue;
            };
            targets[first].clone()
        };
        let one = |camera: Camera| {
            let request = camera.request("application/json", body.to_string().as_bytes());
            async move { camera.within(Duration::from_secs(1), &request).await }
        };
        let [first, second] = cameras;
        let (first, second) = tokio::join!(one(first), one(second));
        let mut ids = BTreeSet::new();
        for answer in [first, second].into_iter().flatten().filter(|answer| answer.status == 200) {
            ids.insert(answer.json()["ids"][0].as_str().unwrap().to_owned());
        }
        assert!(ids.len() < 2, "the same alarm has the same identifier: {ids:?}");
        answered.extend(ids.into_iter().map(|id| (id, number)));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    answered
}

/// Events that arrived, by identifier, in the order of first arrival.
#[derive(Default)]
pub(super) struct Arrived {
    pub(super) alarms: Vec<Value>,
    pub(super) ids: BTreeSet<String>,
    pub(super) activities: BTreeMap<String, Value>,
    last: BTreeMap<String, Value>,
    state: BTreeMap<String, String>,
    pub(super) offline: u32,
}

impl Arrived {
    pub(super) fn take(&mut self, subscriber: &mut Subscriber) {
        for message in subscriber.drain() {
            let levels: Vec<&str> = message.topic.split('/').collect();
            match levels.as_slice() {
                [_, _, "event", _] => {
                    let event = message.json();
                    if self.ids.insert(event["id"].as_str().unwrap().to_owned()) {
                        self.alarms.push(event);
                    }
                }
                [_, _, "activity", _] => {
                    let activity = message.json();
                    self.activities.insert(activity["id"].as_str().unwrap().to_owned(), activity);
                }
                [_, source, "last"] => drop(self.last.insert((*source).to_owned(), message.json())),
                [_, source, "state", event] => {
                    self.state.insert(format!("{source}/{event}"), message.text().to_owned());
                }
                [_, "bridge", "state"] => self.offline += u32::from(message.text() == "offline"),
                _ => {}
            }
        }
    }

    /// Returns whether all answered alarms arrived, and each activity that began ended.
    pub(super) fn complete(&self, answered: &BTreeMap<String, u64>) -> bool {
        let open: i32 = self.activities.values().map(|of| if of["phase"] == "start" { 1 } else { -1 }).sum();
        open == 0 && answered.keys().all(|id| self.ids.contains(id))
    }

    /// Sets and order: no gap, no repeat, one start and one end of each activity, the last value is the last decision.
    pub(super) fn check(&self, answered: &BTreeMap<String, u64>) {
        let missing: Vec<_> = answered.iter().filter(|(id, _)| !self.ids.contains(*id)).collect();
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), answered.len());
        let mut sources: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        let mut starts: BTreeMap<&str, u32> = BTreeMap::new();
        for alarm in &self.alarms {
            sources.entry(alarm["source"].as_str().unwrap()).or_default().push(alarm);
            // One that arrived late, after its activity.
            let Some(activity) = alarm["activity_id"].as_str() else { continue };
            *starts.entry(activity).or_default() += u32::from(alarm["phase"] == "start");
        }
        for (source, alarms) in sources {
            let numbers: Vec<u64> = alarms.iter().map(|alarm| alarm["seq"].as_u64().unwrap()).collect();
            let dense: Vec<u64> = (numbers[0]..).take(numbers.len()).collect();
            assert_eq!(numbers, dense, "seq of {source}");
            assert_eq!(self.last[source]["id"], latest(&alarms)["id"], "last of {source}");
        }
        assert!(starts.values().all(|count| *count == 1), "one start of each: {starts:?}");
        for phase in ["start", "end"] {
            let of = self.activities.values().filter(|activity| activity["phase"] == phase);
            let ids: Vec<&str> = of.map(|activity| activity["activity_id"].as_str().unwrap()).collect();
            let set: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(ids.len(), set.len(), "one {phase} of each activity");
            assert_eq!(set, starts.keys().copied().collect(), "each activity has its {phase}");
        }
        let on: Vec<_> = self.state.iter().filter(|(_, state)| *state != "OFF").collect();
        assert!(on.is_empty(), "states after the end: {on:?}");
    }
}

/// The alarm that the latest value is of: the last one that was not received long before the one before it.
fn latest<'a>(alarms: &[&'a Value]) -> &'a Value {
    let received = |alarm: &Value| alarm["received_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let mut clock = received(alarms[0]);
    let mut latest = alarms[0];
    for alarm in alarms {
        if clock.duration_since(received(alarm)) <= jiff::SignedDuration::from_secs(2) {
            latest = alarm;
        }
        clock = clock.max(received(alarm));
    }
    latest
}
