//! Faults of the disk: full, read-only, broken, slow, damaged, gone.

mod damage;
mod refusal;

use std::time::Duration;

use crate::support::alarms::{Arrived, Sent, send_some};
use crate::support::{Bridge, Mosquitto, Subscriber, eventually};

/// Maximum time until a disk is tried again and a backlog is delivered.
const LONG: Duration = Duration::from_secs(60);

/// A configuration with the sink and more lines.
fn config(broker: &Mosquitto, more: &str) -> String {
    through(broker.port(), more)
}

/// A configuration with the sink behind a port of a broker or of a proxy, which can refuse the bridge while
/// subscribers stay.
fn through(port: u16, more: &str) -> String {
    format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{port}\"\n[homeassistant]\nenabled = false\n{more}")
}

/// Everything a bridge publishes about alarms.
async fn subscribe(broker: &Mosquitto) -> Subscriber {
    Subscriber::connect(broker.port(), "alarmbus/#").await
}

/// Sends alarms, one at a time, until one is (or is not) on the disk; returns all of them.
async fn send_until(bridge: &Bridge, durable: bool) -> Vec<Sent> {
    let mut all = Vec::new();
    eventually(LONG, &format!("an answer with durable: {durable}"), async || {
        let sent = send_some(&bridge.camera(), 1).await;
        let reached = sent[0].durable == durable;
        all.extend(sent);
        reached.then_some(())
    })
    .await;
    all
}

/// Kills the bridge, starts it and the broker again, and waits for everything that was sent.
async fn survives_a_kill(bridge: &mut Bridge, broker: &mut Mosquitto, sent: &[Sent], arrived: &mut Arrived) {
    bridge.kill();
    broker.restart().await;
    let mut subscriber = subscribe(broker).await;
    bridge.restart().await;
    arrived.all(&mut subscriber, sent, LONG).await;
    arrived.in_order();
}
