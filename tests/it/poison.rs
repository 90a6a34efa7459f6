//! Messages that a broker refuses for good: they are parked with a reason, and other messages are not held up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::load::{picture, report};
use crate::support::mosquitto::Settings;
use crate::support::{Bridge, Mosquitto, SOON, Subscriber, eventually};

/// Maximum delay of other messages, in addition to their usual time on this machine.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Number of connection losses needed to identify the offending message if the broker gives no reason; each costs the
/// time of an alarm.
const CUTS: u32 = 5;

const POISONED: &str = "02-00-00-00-00-01";
const HEALTHY: &str = "02-00-00-00-00-02";
const FLOWING: &str = "02-00-00-00-00-03";

/// A stream of small alarms of another device, ten a second, with the time of each to a subscriber.
struct Flow {
    stop: CancellationToken,
    /// Number of alarms that came.
    came: watch::Receiver<usize>,
    task: JoinHandle<Vec<(Instant, Duration)>>,
}

impl Flow {
    /// Starts it, and returns when it flows.
    async fn start(broker: &Mosquitto, bridge: &Bridge) -> Self {
        let (mut subscriber, camera, stop) =
            (reader(broker).await, bridge.camera(), CancellationToken::new());
        let stopped = stop.clone();
        let mut sent: Vec<Instant> = Vec::new();
        let mut took: Vec<(Instant, Duration)> = Vec::new();
        let (flows, mut came) = watch::channel(0);
        let task = tokio::spawn(async move {
            let topic = format!("alarmbus/{}/event/motion", FLOWING.replace('-', ""));
            while !stopped.is_cancelled() || took.len() < sent.len() {
                if !stopped.is_cancelled() {
                    let number = u64::try_from(sent.len()).expect("it fits");
                    sent.push(Instant::now());
                    assert_eq!(camera.json(&report(FLOWING, "MOTION", number, 1)).await.status, 200);
                }
                for _ in 0..20 {
                    let events = subscriber.drain().into_iter().filter(|message| message.topic == topic);
                    let numbers = events.filter_map(|event| event.json()["extra"]["number"].as_u64());
                    for number in numbers.map(|number| usize::try_from(number).expect("it fits")) {
                        took.push((sent[number], sent[number].elapsed()));
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                flows.send_replace(took.len());
            }
            took
        });
        came.wait_for(|took| 10 <= *took).await.expect("it flows");
        Self { stop, came, task }
    }

    /// Ends it; no alarm may have taken a second longer than those before the offending message, multiplied by
    /// `cuts`.
    async fn held_up_at_most(mut self, cuts: u32, poisoned: Instant) {
        // The last of the damage shows with the next ones.
        let now = *self.came.borrow();
        self.came.wait_for(|came| now + 10 <= *came).await.expect("it flows");
        self.stop.cancel();
        let took =
            tokio::time::timeout(SOON, self.task).await.expect("all come").expect("the flow ends well");
        let longest = |when: &dyn Fn(Instant) -> bool| {
            took.iter().filter(|(sent, _)| when(*sent)).map(|(_, took)| *took).max().unwrap_or_default()
        };
        let (before, after) = (longest(&|sent| sent < poisoned), longest(&|sent| poisoned <= sent));
        println!("{} small alarms: {before:?} at most before the poison, {after:?} after", took.len());
        assert!(after <= before * cuts + AT_ONCE, "{after:?} after the poison, {before:?} before");
    }
}

fn config(port: u16, more: &str) -> String {
    format!(
        "[mqtt]\nserver = \"mqtt://127.0.0.1:{port}\"\nuser = \"bridge\"\npassword = \"b\"\n{more}\n\
         [homeassistant]\nenabled = false\n"
    )
}

fn users() -> Settings {
    Settings { users: vec![("bridge", "b"), ("reader", "r")], ..Settings::default() }
}

async fn reader(broker: &Mosquitto) -> Subscriber {
    let login = crate::support::mqtt_client::Login { user: Some(("reader", "r")), session: None };
    Subscriber::login(broker.port(), "alarmbus/#", login).await
}

/// Parked messages: code and topic of each.
fn parked(bridge: &Bridge) -> Vec<(String, String, String)> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(bridge.storage().join("outbox.db"), flags).unwrap();
    let mut statement = database.prepare("SELECT code, topic, reason FROM parked ORDER BY no").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The event of a source's kind that carries a number.
async fn event(subscriber: &mut Subscriber, mac: &str, kind: &str, number: u64) -> Value {
    let topic = format!("alarmbus/{}/event/{kind}", mac.replace('-', ""));
    let wanted = |message: &crate::support::mqtt_client::Received| {
        message.topic == topic && message.json()["extra"]["number"] == number
    };
    subscriber.wait_for(SOON, wanted).await.json()
}

/// The event of the affected device with a number, once it says that its picture is over the limit.
async fn over_limit(subscriber: &mut Subscriber, number: u64) -> Value {
    let topic = format!("alarmbus/{}/event/person", POISONED.replace('-', ""));
    let wanted = |message: &crate::support::mqtt_client::Received| {
        message.topic == topic && {
            let event = message.json();
            event["extra"]["number"] == number && event["snapshot"]["problem"] == "over_broker_limit"
        }
    };
    subscriber.wait_for(SOON, wanted).await.json()
}

/// Alarms before and after a refused picture, of the same device and of another: all arrive at once, and so does the
/// event of the refused picture.
async fn a_picture_is_poison(broker: &Mosquitto, bridge: &Bridge, bytes: usize, cuts: u32) {
    let mut subscriber = reader(broker).await;
    let camera = bridge.camera();
    camera.json(&report(POISONED, "PEOPLE", 1, 1)).await;
    event(&mut subscriber, POISONED, "person", 1).await;
    let flow = Flow::start(broker, bridge).await;
    let sent = Instant::now();
    camera.multipart(&report(POISONED, "PEOPLE", 2, 1), &picture(2, bytes)).await;
    camera.json(&report(POISONED, "MOTION", 3, 1)).await;
    camera.multipart(&report(HEALTHY, "PEOPLE", 4, 1), &picture(4, 2_000)).await;
    event(&mut subscriber, HEALTHY, "person", 4).await;
    // A broker that does not announce its limit may receive the event before it refuses the picture; then the event
    // is sent again.
    let poisoned = over_limit(&mut subscriber, 2).await;
    event(&mut subscriber, POISONED, "motion", 3).await;
    println!("the rest and the event of the picture came after {:?}", sent.elapsed());
    flow.held_up_at_most(cuts, sent).await;
    assert_eq!(poisoned["snapshot"]["topic"], Value::Null, "{poisoned}");
    the_rest_is_well(&mut subscriber, bridge, bytes).await;
}

/// Pictures that fit are published, nothing is parked, and the next refused size causes no connection loss.
async fn the_rest_is_well(subscriber: &mut Subscriber, bridge: &Bridge, bytes: usize) {
    let camera = bridge.camera();
    let healthy = format!("alarmbus/{}/snapshot", HEALTHY.replace('-', ""));
    subscriber.wait_for(SOON, |message| message.topic == healthy && message.payload.len() == 2_000).await;
    eventually(SOON, "the finding", async || bridge.log().contains("picture_too_large").then_some(())).await;
    assert_eq!(parked(bridge), [], "a picture is not parked, its event went out");
    let cuts = bridge.log().matches("closed the connection").count();
    camera.multipart(&report(POISONED, "PEOPLE", 5, 1), &picture(5, bytes)).await;
    let next = event(subscriber, POISONED, "person", 5).await;
    assert_eq!(next["snapshot"]["problem"], "over_broker_limit", "{next}");
    assert_eq!(bridge.log().matches("closed the connection").count(), cuts, "the link holds");
}

#[tokio::test]
async fn a_picture_over_the_largest_packet_costs_only_itself() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(2_000_000), ..users() }).await;
    let bridge = Bridge::start(&config(broker.port(), "")).await;
    a_picture_is_poison(&broker, &bridge, 2_100_000, 1).await;
}

#[tokio::test]
async fn a_picture_over_the_message_limit_costs_only_itself() {
    let broker = Mosquitto::with(Settings { extra: "message_size_limit 100000", ..users() }).await;
    let bridge = Bridge::start(&config(broker.port(), "")).await;
    a_picture_is_poison(&broker, &bridge, 150_000, 1).await;
}

#[tokio::test]
async fn a_picture_the_link_is_cut_for_costs_only_itself() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(100_000), ..users() }).await;
    let bridge = Bridge::start(&config(broker.port(), "version = \"3.1.1\"")).await;
    a_picture_is_poison(&broker, &bridge, 150_000, CUTS).await;
}

#[tokio::test]
async fn each_picture_the_link_is_cut_for_costs_only_itself() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(100_000), ..users() }).await;
    let more = "version = \"3.1.1\"\n[snapshots]\nlatest = false\neach = true";
    let bridge = Bridge::start(&config(broker.port(), more)).await;
    let mut subscriber = reader(&broker).await;
    let camera = bridge.camera();
    camera.multipart(&report(POISONED, "PEOPLE", 1, 1), &picture(1, 150_000)).await;
    camera.multipart(&report(HEALTHY, "PEOPLE", 2, 1), &picture(2, 2_000)).await;
    let healthy = event(&mut subscriber, HEALTHY, "person", 2).await;
    assert!(healthy["snapshot"]["topic"].is_string(), "{healthy}");
    over_limit(&mut subscriber, 1).await;
}

#[tokio::test]
async fn a_document_the_link_is_cut_for_is_parked_and_the_rest_flows_on() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(6_000), ..users() }).await;
    let bridge = Bridge::start(&config(broker.port(), "version = \"3.1.1\"")).await;
    let mut subscriber = reader(&broker).await;
    let camera = bridge.camera();
    let mut poison = report(POISONED, "PEOPLE", 1, 1);
    poison["event_list"][0]["note"] = json!("x".repeat(8_000));
    let flow = Flow::start(&broker, &bridge).await;
    let sent = Instant::now();
    assert_eq!(camera.json(&poison).await.status, 200);
    camera.json(&report(POISONED, "MOTION", 2, 1)).await;
    camera.json(&report(HEALTHY, "PEOPLE", 3, 1)).await;
    event(&mut subscriber, HEALTHY, "person", 3).await;
    event(&mut subscriber, POISONED, "motion", 2).await;
    println!("the rest came after {:?}", sent.elapsed());
    flow.held_up_at_most(CUTS, sent).await;
    let topic = format!("alarmbus/{}/event/person", POISONED.replace('-', ""));
    eventually(SOON, "the parked event", async || {
        parked(&bridge).iter().any(|(code, at, _)| code == "cuts_link" && *at == topic).then_some(())
    })
    .await;
    let topic = format!("alarmbus/{}/last", POISONED.replace('-', ""));
    let last = subscriber.wait_for(SOON, |message| message.topic == topic).await.json();
    assert_eq!(last["event"], "motion", "what is current came, too");
}

#[tokio::test]
async fn a_refused_topic_is_parked_and_the_rest_flows_on() {
    let acl =
        "user bridge\ntopic deny alarmbus/+/event/vehicle\ntopic readwrite #\nuser reader\ntopic read #\n";
    let broker = Mosquitto::with(Settings { acl: Some(acl), ..users() }).await;
    let bridge = Bridge::start(&config(broker.port(), "")).await;
    let mut subscriber = reader(&broker).await;
    let camera = bridge.camera();
    camera.json(&report(POISONED, "PEOPLE", 1, 1)).await;
    event(&mut subscriber, POISONED, "person", 1).await;
    let flow = Flow::start(&broker, &bridge).await;
    let sent = Instant::now();
    for number in 2..5 {
        camera.json(&report(POISONED, "VEHICLE", number, 1)).await;
    }
    camera.json(&report(POISONED, "PEOPLE", 6, 1)).await;
    event(&mut subscriber, POISONED, "person", 6).await;
    flow.held_up_at_most(1, sent).await;
    let rows = eventually(SOON, "three parked events", async || {
        Some(parked(&bridge)).filter(|rows| rows.len() == 3)
    })
    .await;
    for (code, topic, reason) in rows {
        assert_eq!(
            (code.as_str(), topic),
            ("permission", format!("alarmbus/{}/event/vehicle", POISONED.replace('-', "")))
        );
        assert!(reason.contains("0x87") && reason.contains("permit"), "{reason}");
    }
}

#[tokio::test]
async fn a_user_who_may_publish_nothing_blocks_the_sink_and_loses_nothing() {
    let acl = "user bridge\ntopic read alarmbus/#\nuser reader\ntopic read #\n";
    let mut broker = Mosquitto::with(Settings { acl: Some(acl), ..users() }).await;
    let mut bridge = Bridge::start(&config(broker.port(), "")).await;
    let camera = bridge.camera();
    for number in 0..9 {
        camera.json(&report(POISONED, "PEOPLE", number, 1)).await;
    }
    eventually(SOON, "the finding", async || bridge.log().contains("sink_blocked").then_some(())).await;
    assert_eq!(parked(&bridge), [], "nothing is parked while everything is refused");
    broker.permit("user bridge\ntopic readwrite alarmbus/#\nuser reader\ntopic read #\n");
    broker.restart().await;
    let mut subscriber = reader(&broker).await;
    bridge.restart().await;
    for number in 0..9 {
        event(&mut subscriber, POISONED, "person", number).await;
    }
}
