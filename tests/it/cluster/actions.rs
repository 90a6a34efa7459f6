//! Actions that are asked of one instance and made at all: devices, replays, rewinds, parked messages, availability.

use serde_json::{Value, json};

use super::members::{PATIENCE, ROOMY};
use super::report;
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Received;
use crate::support::nats::Nats;
use crate::support::{Bridge, Mosquitto, Subscriber, eventually};

const SOURCE: &str = "020000000001";

/// Two instances beside one server and one broker.
struct Pair {
    _server: Nats,
    broker: Mosquitto,
    subscriber: Subscriber,
    owner: Bridge,
    other: Bridge,
}

impl Pair {
    async fn start(acl: Option<&'static str>, more: &str) -> Self {
        let server = Nats::one("2.11.11").await;
        let broker = Mosquitto::with(Settings { acl, extra: ROOMY, ..Settings::default() }).await;
        let subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        // A lease that a busy machine does not lose.
        let config = |name: &str| {
            format!(
                "instance = \"{name}\"\n[cluster]\nservers = [\"{}\"]\nreplicas = 1\nlease_seconds = 15\n\
                 [mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n{more}",
                server.url(),
                broker.url()
            )
        };
        let owner = Bridge::start(&config("a")).await;
        let owns = async || (owner.api("/cluster").await["partitions"][0]["owner"] == "a").then_some(());
        eventually(PATIENCE, "an owner", owns).await;
        let other = Bridge::start(&config("b")).await;
        Self { _server: server, broker, subscriber, owner, other }
    }

    /// Waits until both instances answer the same.
    async fn both<T>(&self, what: &str, mut probe: impl AsyncFnMut(&Bridge) -> Option<T>) {
        for bridge in [&self.owner, &self.other] {
            eventually(PATIENCE, what, async || probe(bridge).await).await;
        }
    }

    /// The next event of a kind.
    async fn event(&mut self, kind: &str) -> Value {
        let is = |message: &Received| message.topic.ends_with(&format!("/event/{kind}"));
        self.subscriber.wait_for(PATIENCE, is).await.json()
    }
}

/// Runs a command that must succeed.
async fn well(bridge: &Bridge, arguments: &[&str]) -> String {
    let (status, output) = bridge.command(arguments).await;
    assert!(status.success(), "{arguments:?}: {output}");
    output
}

/// An alarm of a kind.
fn alarm(kind: &str, text: &str) -> Value {
    let mut alarm = report(1, 1);
    alarm["event_list"][0]["event_type"] = kind.into();
    alarm["event_list"][0]["text"] = text.into();
    alarm
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_own_renames_replays_and_rewinds() {
    let mut pair = Pair::start(None, "").await;
    assert_eq!(pair.owner.camera().json(&report(1, 1)).await.status, 200);
    let event = pair.event("doorbell").await;
    let id = event["id"].as_str().unwrap();
    let has =
        async |bridge: &Bridge| (bridge.api("/alarms").await["alarms"][0]["alarm"]["id"] == id).then_some(());
    pair.both("the alarm", has).await;

    well(&pair.other, &["devices", "rename", SOURCE, "Gate"]).await;
    let devices = pair.other.api("/devices").await;
    assert_eq!(devices["devices"][0]["name"], "Gate", "the command waits for the change");
    let (status, output) = pair.other.command(&["devices", "rename", "02000000000f", "Gate"]).await;
    assert!(!status.success(), "there is no such device: {output}");

    well(&pair.other, &["replay", id]).await;
    let again = pair.event("doorbell").await;
    assert_eq!((&again["id"], &again["replayed"]), (&event["id"], &json!(true)));

    let output = well(&pair.other, &["outbox", "rewind", "mqtt", "--since", "1h"]).await;
    assert!(output.contains("2 entries of the log are sent again"), "{output}");
    for _ in 0..2 {
        assert_eq!(pair.event("doorbell").await["id"], event["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_does_not_own_shows_parked_messages_and_sends_them_again() {
    let acl = "topic deny alarmbus/+/event/vehicle\ntopic readwrite #\n";
    let mut pair = Pair::start(Some(acl), "").await;
    assert_eq!(pair.owner.camera().json(&alarm("PEOPLE", "first")).await.status, 200);
    pair.event("person").await;
    for text in ["dropped", "sent"] {
        assert_eq!(pair.owner.camera().json(&alarm("VEHICLE", text)).await.status, 200);
    }
    let parked = async |bridge: &Bridge| bridge.api("/parked").await["parked"].as_array().cloned();
    pair.both("two parked messages", async |bridge| parked(bridge).await.filter(|rows| rows.len() == 2))
        .await;
    pair.broker.permit("topic readwrite #\n");
    pair.broker.restart().await;
    pair.subscriber = Subscriber::connect(pair.broker.port(), "alarmbus/#").await;
    // The latest is the first.
    let numbers: Vec<String> =
        parked(&pair.other).await.unwrap().iter().map(|row| row["no"].to_string()).collect();
    well(&pair.other, &["outbox", "drop", &numbers[1]]).await;
    well(&pair.other, &["outbox", "retry", &numbers[0]]).await;
    assert_eq!(pair.event("vehicle").await["extra"]["text"], "sent");
    pair.both("no parked message", async |bridge| parked(bridge).await.filter(Vec::is_empty)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn availability_is_decided_by_the_owner_and_shown_by_all() {
    let more = format!("[devices.\"{SOURCE}\"]\nexpected_every_seconds = 2\n");
    let mut pair = Pair::start(None, &more).await;
    let is = async |bridge: &Bridge, available: bool| {
        (bridge.api("/devices").await["devices"][0]["available"] == available).then_some(())
    };
    // An alarm that is decided after it became unavailable does not bring back what was before.
    for round in 0..2 {
        assert_eq!(pair.other.camera().json(&alarm("DOORBELL", &format!("{round}"))).await.status, 200);
        pair.event("doorbell").await;
        pair.both("an available device", async |bridge| is(bridge, true).await).await;
        pair.both("an unavailable device", async |bridge| is(bridge, false).await).await;
    }
    pair.owner.kill();
    // The first one waits for the take-over, so that it is too old to count.
    for text in ["first", "second"] {
        assert_eq!(pair.other.camera().json(&alarm("DOORBELL", text)).await.status, 200);
        pair.event("doorbell").await;
    }
    let available = async || is(&pair.other, true).await;
    eventually(PATIENCE, "a device that the next owner finds available", available).await;
    let unavailable = async || is(&pair.other, false).await;
    eventually(PATIENCE, "a device that the next owner finds unavailable", unavailable).await;
}
