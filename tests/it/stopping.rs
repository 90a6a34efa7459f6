//! Stopping under load: answered alarms are delivered or kept, `offline` is published, and the stop ends in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::alarms::{Arrived, Sent, report};
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually};

const LONG: Duration = Duration::from_secs(60);

fn config(broker: &Mosquitto) -> String {
    format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url())
}

/// Cameras that send continuously until they are stopped or the bridge no longer answers.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    cameras: JoinSet<Vec<Sent>>,
}

impl Load {
    pub(crate) fn start(camera: &Camera) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut cameras = JoinSet::new();
        for n in 0..8 {
            let (camera, stop) = (camera.clone(), Arc::clone(&stop));
            cameras.spawn(async move {
                let body = report(n, "PEOPLE").to_string();
                let mut sent = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = camera.request("application/json", body.as_bytes());
                    let Ok(answer) = camera.try_raw(&request).await else { break };
                    if answer.status != 200 {
                        break;
                    }
                    let json = answer.json();
                    let id = json["ids"][0].as_str().expect("an id").to_owned();
                    sent.push(Sent { id, durable: json["durable"] == true });
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                sent
            });
        }
        Self { stop, cameras }
    }

    /// Stops; returns the alarms answered 200.
    pub(crate) async fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.cameras.join_all().await.into_iter().flatten().collect()
    }
}

/// Waits until the bridge has taken so many alarms.
async fn taken(bridge: &Bridge, count: u64) {
    eventually(SOON, "the load", async || {
        let devices = bridge.api("/devices").await;
        let alarms = devices["devices"].as_array()?.iter().filter_map(|device| device["alarms"].as_u64());
        (count <= alarms.sum()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_and_says_offline() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let mut bridge = Bridge::start(&config(&broker)).await;
    subscriber.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    let load = Load::start(&bridge.camera());
    taken(&bridge, 100).await;
    let asked = Instant::now();
    assert!(bridge.terminate().await.success());
    let took = asked.elapsed();
    println!("a clean stop under load took {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let sent = load.stop().await;
    assert!(sent.len() > 20, "{}", sent.len());
    subscriber.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "offline").await;
    bridge.restart().await;
    let mut arrived = Arrived::default();
    arrived.all(&mut subscriber, &sent, LONG).await;
    arrived.in_order();
}

#[tokio::test]
async fn a_stop_with_a_broker_that_hangs_keeps_what_is_left() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker)).await;
    broker.freeze();
    let load = Load::start(&bridge.camera());
    taken(&bridge, 100).await;
    let asked = Instant::now();
    assert!(bridge.terminate().await.success());
    let took = asked.elapsed();
    println!("a stop with a broker that hangs took {took:?}");
    assert!(took < Duration::from_secs(7), "{took:?}");
    let sent = load.stop().await;
    broker.thaw();
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    bridge.restart().await;
    Arrived::default().all(&mut subscriber, &sent, LONG).await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&format!("{}[shutdown]\nseconds = 60\n", config(&broker))).await;
    broker.freeze();
    let load = Load::start(&bridge.camera());
    taken(&bridge, 50).await;
    bridge.signal(Signal::TERM);
    eventually(SOON, "the stop to begin", async || {
        bridge.log().contains("a second signal stops at once").then_some(())
    })
    .await;
    let asked = Instant::now();
    bridge.signal(Signal::INT);
    bridge.ended().await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let sent = load.stop().await;
    broker.thaw();
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    bridge.restart().await;
    Arrived::default().all(&mut subscriber, &sent, LONG).await;
}
