//! A long outage: the backlog is bounded, arrives in order, and does not delay new alarms.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::load::{self, Arrived, Sent, device, long, picture};
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Received;
use crate::support::{Bridge, Camera, Mode, Mosquitto, Proxy, SOON, Subscriber, eventually};

/// Settings of a broker whose subscribers receive everything, whatever their pace.
const ROOMY: &str = "max_inflight_messages 0\nmax_queued_messages 0";
/// Alarms of one report: the default bound.
const REPORT: usize = 256;
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum memory of a debug build in bytes.
const MEMORY: u64 = 150 << 20;

fn config(port: u16, more: &str) -> String {
    format!(
        "[mqtt]\nserver = \"mqtt://127.0.0.1:{port}\"\n[homeassistant]\nenabled = false\n\
         [time]\nreplay_after_seconds = 1\n{more}"
    )
}

/// Fills the backlog with whole reports of the sources in turn.
async fn fill(camera: &Camera, sources: usize, alarms: usize) -> Sent {
    let mut sent = Sent::default();
    for count in 0..alarms.div_ceil(REPORT) {
        let first = 1_000_000_000 + (count * REPORT) as u64;
        assert!(load::send(camera, count % sources, "PEOPLE", first, REPORT, None, &mut sent).await);
    }
    sent
}

/// The newest message of each retained topic.
fn newest(messages: &[Received]) -> HashMap<&str, &Received> {
    messages.iter().map(|message| (message.topic.as_str(), message)).collect()
}

#[tokio::test]
async fn a_backlog_drains_in_order_while_what_is_new_shows_at_once() {
    let (sources, alarms) = (50, if long() { 500_000 } else { 50_000 });
    let broker = Mosquitto::with(Settings { extra: ROOMY, quiet: true, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let mut values = Subscriber::connect(broker.port(), "alarmbus/+/+").await;
    let mut bridge = Bridge::start(&config(proxy.port(), "")).await;
    let camera = bridge.camera();
    let mut sent = fill(&camera, sources, alarms).await;
    // The current picture of each, beneath the backlog that is to come out around it.
    for number in 0..sources {
        let jpeg = picture(number as u64, 5_000);
        assert!(load::send(&camera, number, "MOTION", number as u64, 1, Some(&jpeg), &mut sent).await);
    }
    assert!(bridge.resident() < MEMORY, "{} bytes while the broker is down", bridge.resident());
    // Longer than the delay after which an alarm is `replayed`.
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    proxy.set(Mode::Pass);
    let mut arrived = Arrived::default();
    eventually(SOON, "the first event", async || {
        arrived.take(&mut events);
        (!arrived.alarms.is_empty()).then_some(())
    })
    .await;
    let started = Instant::now();

    // Current values and pictures are correct long before the backlog is delivered.
    let mut seen: Vec<Received> = Vec::new();
    eventually(PATIENCE, "the pictures of all sources", async || {
        seen.extend(values.drain());
        arrived.take(&mut events);
        let now = newest(&seen);
        (0..sources)
            .all(|number| now.contains_key(format!("alarmbus/{}/snapshot", device(number).1).as_str()))
            .then_some(())
    })
    .await;
    let current = started.elapsed();
    // A new alarm updates its value topics at once.
    let before = Instant::now();
    assert!(load::send(&camera, 7, "VEHICLE", 77, 1, None, &mut sent).await);
    let topic = format!("alarmbus/{}/last", device(7).1);
    eventually(PATIENCE, "the latest alarm", async || {
        seen.extend(values.drain());
        arrived.take(&mut events);
        newest(&seen).get(topic.as_str()).is_some_and(|last| last.json()["event"] == "vehicle").then_some(())
    })
    .await;
    let shown = before.elapsed();

    let most = drain(&mut arrived, &mut events, &bridge, &sent).await;
    let drained = started.elapsed();
    println!(
        "{} alarms: values after {current:?}, a new one after {shown:?}, all after \
         {drained:?}, {} MB",
        sent.count(),
        most >> 20
    );
    arrived.check(&sent);
    assert_eq!(arrived.duplicates, 0, "one session, one delivery");
    assert!(sent.count() - 1 <= arrived.replayed, "{} are marked late", arrived.replayed);
    assert!(most < MEMORY, "{most} bytes while it drains");
    assert!(shown < Duration::from_secs(2), "the new alarm showed after {shown:?}");
    seen.extend(values.drain());
    never_backward(&seen);
    assert!(bridge.terminate().await.success());
}

/// Receives events until all answered alarms have arrived; returns the peak memory of the bridge.
async fn drain(arrived: &mut Arrived, events: &mut Subscriber, bridge: &Bridge, sent: &Sent) -> u64 {
    let (mut most, mut since) = (0, Instant::now());
    while arrived.alarms.len() < sent.count() {
        let count = arrived.alarms.len();
        arrived.take(events);
        most = most.max(bridge.resident());
        if count < arrived.alarms.len() {
            since = Instant::now();
        }
        assert!(since.elapsed() < PATIENCE, "{} of {} came", arrived.alarms.len(), sent.count());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    most
}

/// Checks that `last` of each source never goes back.
fn never_backward(messages: &[Received]) {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for message in messages.iter().filter(|message| message.topic.ends_with("/last")) {
        let seq = message.json()["seq"].as_u64().unwrap();
        let before = last.insert(&message.topic, seq);
        assert!(before.is_none_or(|before| before <= seq), "{} ran backward", message.topic);
    }
}

/// Waits for the token that a session publishes when everything is sent.
async fn token(subscriber: &mut Subscriber, seen: &mut Vec<Received>) {
    eventually(PATIENCE, "the token", async || {
        let new = subscriber.drain();
        let found = new.iter().any(|message| {
            message.topic == "alarmbus/bridge/token"
                && !message.retain
                && !message.text().starts_with("probe-")
        });
        seen.extend(new);
        found.then_some(())
    })
    .await;
}

/// A bridge whose ten devices have a current picture each, on a broker behind a proxy; all of it is published.
async fn with_pictures(broker: &Mosquitto, proxy: &Proxy) -> (Bridge, Subscriber) {
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let bridge = Bridge::start(&config(proxy.port(), "")).await;
    token(&mut subscriber, &mut Vec::new()).await;
    let (camera, mut sent) = (bridge.camera(), Sent::default());
    for number in 0..10 {
        let jpeg = picture(number as u64, 3_000);
        assert!(load::send(&camera, number, "PEOPLE", number as u64, 1, Some(&jpeg), &mut sent).await);
    }
    let mut arrived = Arrived::default();
    arrived.complete(&mut subscriber, &sent, PATIENCE).await;
    (bridge, subscriber)
}

#[tokio::test]
async fn a_broker_that_kept_its_retained_topics_gets_no_picture_twice() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    let (bridge, mut subscriber) = with_pictures(&broker, &proxy).await;
    for _ in 0..2 {
        proxy.cut();
        let mut seen = Vec::new();
        token(&mut subscriber, &mut seen).await;
        let pictures = seen.iter().filter(|message| message.topic.contains("/snapshot/")).count();
        let small = seen.iter().filter(|message| message.topic.ends_with("/last")).count();
        assert_eq!((pictures, small), (0, 10), "{}", bridge.log());
    }
}

#[tokio::test]
async fn a_broker_that_forgot_its_retained_topics_gets_all_back_pictures_last() {
    let mut broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    let (_bridge, subscriber) = with_pictures(&broker, &proxy).await;
    drop(subscriber);
    proxy.set(Mode::Refuse);
    broker.restart().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    proxy.set(Mode::Pass);
    let mut seen = Vec::new();
    token(&mut subscriber, &mut seen).await;
    let at = |end: &str| -> Vec<usize> {
        (0..10)
            .map(|number| {
                let topic = format!("alarmbus/{}/{end}", device(number).1);
                let found = seen.iter().position(|message| message.topic == topic);
                found.unwrap_or_else(|| panic!("{topic} did not come back"))
            })
            .collect()
    };
    let pictures = [at("snapshot"), at("snapshot/person"), at("snapshot_info")].concat();
    let small = [at("last"), at("state/person"), at("device")].concat();
    assert!(small.iter().max() < pictures.iter().min(), "pictures go last");
    assert!(at("snapshot").is_sorted_by(|a, b| a > b), "the latest picture goes first: {:?}", at("snapshot"));
    assert!(seen.iter().all(|message| !message.topic.contains("/event/")), "no event is sent twice");
}

/// The `dropped` of the sink, once the backlog is empty.
async fn dropped(subscriber: &mut Subscriber) -> u64 {
    let done = |message: &Received| {
        message.topic == "alarmbus/bridge/health" && !message.retain && {
            let health = message.json();
            health["backlog"] == 0 && health["dropped"] != 0
        }
    };
    subscriber.wait_for(PATIENCE, done).await.json()["dropped"].as_u64().unwrap()
}

#[tokio::test]
async fn a_backlog_past_its_bytes_drops_the_oldest_and_says_so() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, quiet: true, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let bridge = Bridge::start(&config(proxy.port(), "[storage]\nbacklog_max_bytes = \"8MiB\"")).await;
    let sent = fill(&bridge.camera(), 5, 7_680).await;
    eventually(PATIENCE, "the finding", async || bridge.log().contains("backlog_dropped").then_some(()))
        .await;
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let mut health = Subscriber::connect(broker.port(), "alarmbus/bridge/health").await;
    proxy.set(Mode::Pass);
    let dropped = dropped(&mut health).await;
    let mut arrived = Arrived::default();
    eventually(SOON, "what was kept", async || {
        arrived.take(&mut events);
        (sent.of.values().all(|ids| arrived.alarms.contains_key(&ids[ids.len() - 1].0))).then_some(())
    })
    .await;
    arrived.check_order();
    let missing = arrived.missing(&sent) as u64;
    println!("{missing} of {} were dropped, {dropped} entries", sent.count());
    assert!(0 < missing && missing < sent.count() as u64, "{missing} of {} are missing", sent.count());
    // Each device's first alarm made an activity record beside it.
    assert!(missing <= dropped && dropped <= missing + 5, "{missing} are missing, {dropped} are told");
    assert!(bridge.log().contains("undelivered alarms were dropped"), "{}", bridge.log());
}

#[tokio::test]
async fn a_backlog_past_its_age_drops_the_oldest_and_says_so() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let mut bridge = Bridge::start(&config(proxy.port(), "")).await;
    let old = fill(&bridge.camera(), 1, 512).await;
    assert!(bridge.terminate().await.success());
    let database = rusqlite::Connection::open(bridge.storage().join("outbox.db")).unwrap();
    let eight_days = 8 * 24 * 60 * 60 * 1_000;
    let aged = database.execute("UPDATE entry SET at = at - ?1", [eight_days]).unwrap();
    assert!(512 <= aged);
    drop(database);
    bridge.restart().await;
    let new = fill(&bridge.camera(), 1, 256).await;
    // They are dropped in several steps.
    eventually(PATIENCE, "all of them dropped", async || {
        (bridge.api("/sinks").await["sinks"][0]["dropped"] == aged).then_some(())
    })
    .await;
    assert!(bridge.log().contains("backlog_dropped"));
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    proxy.set(Mode::Pass);
    let mut arrived = Arrived::default();
    arrived.complete(&mut events, &new, PATIENCE).await;
    assert_eq!((arrived.missing(&old), arrived.alarms.len()), (512, 256));
}

#[tokio::test]
async fn a_removed_sink_holds_nothing_and_a_new_one_begins_with_what_is_current() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    proxy.set(Mode::Refuse);
    let with_mqtt = config(proxy.port(), "");
    let mut bridge = Bridge::start(&with_mqtt).await;
    let old = fill(&bridge.camera(), 1, 256).await;
    bridge.configure("[stdout]\nenabled = true\n");
    assert!(bridge.terminate().await.success());
    bridge.restart().await;
    let camera = bridge.camera();
    let mut sent = Sent::default();
    assert!(load::send(&camera, 1, "PEOPLE", 7, 1, None, &mut sent).await);
    let (id, _) = &sent.of[&device(1).1][0];
    eventually(SOON, "the new alarm on standard output", async || bridge.log().contains(id).then_some(()))
        .await;
    let first = &old.of[&device(0).1][0].0;
    assert!(!bridge.log().contains(first), "a new sink begins at now");
    let database = bridge.storage().join("outbox.db");
    let sinks = eventually(SOON, "the sink to be forgotten", async || {
        let database = rusqlite::Connection::open(&database).ok()?;
        let names: Result<Vec<String>, _> =
            database.prepare("SELECT name FROM sink").ok()?.query_map([], |row| row.get(0)).ok()?.collect();
        names.ok().filter(|names| names.len() == 1)
    })
    .await;
    assert_eq!(sinks, ["stdout"]);

    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    bridge.configure(&with_mqtt);
    assert!(bridge.terminate().await.success());
    proxy.set(Mode::Pass);
    bridge.restart().await;
    let mut seen = Vec::new();
    token(&mut subscriber, &mut seen).await;
    let now = newest(&seen);
    let last = |number: usize| now[format!("alarmbus/{}/last", device(number).1).as_str()].json();
    assert_eq!(last(0)["id"], old.of[&device(0).1][255].0.as_str());
    assert_eq!(last(1)["id"], id.as_str());
    assert!(seen.iter().all(|message| !message.topic.contains("/event/")), "and with no old event");
}

#[tokio::test]
async fn another_base_topic_leaves_nothing_at_the_old_one() {
    let broker = Mosquitto::with(Settings { extra: ROOMY, ..Settings::default() }).await;
    let proxy = Proxy::start(broker.port()).await;
    let (mut bridge, _subscriber) = with_pictures(&broker, &proxy).await;
    let renamed = config(proxy.port(), "").replace("[mqtt]", "[mqtt]\nbase_topic = \"cameras\"");
    bridge.configure(&renamed);
    assert!(bridge.terminate().await.success());
    let mut subscriber = Subscriber::connect(broker.port(), "cameras/#").await;
    bridge.restart().await;
    let snapshot = format!("cameras/{}/snapshot", device(3).1);
    assert_eq!(subscriber.topic(&snapshot).await.payload, picture(3, 3_000));
    subscriber.topic("cameras/bridge/token").await;
    let left = eventually(SOON, "nothing retained below the old topic", async || {
        let mut old = Subscriber::connect(broker.port(), "alarmbus/#").await;
        // What is retained goes to a new subscriber before anything that is published later.
        old.publish("alarmbus/end", b"", false).await;
        old.topic("alarmbus/end").await;
        let left: Vec<String> = old.drain().into_iter().map(|message| message.topic).collect();
        left.is_empty().then_some(())
    });
    left.await;
}
