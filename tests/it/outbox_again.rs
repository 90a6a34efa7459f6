//! `alarmbus outbox rewind` and `recover`: delivered alarms are sent again, and alarms of a damaged database are
//! delivered, with the same ids.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::support::alarms::{Arrived, Sent, send, send_some};
use crate::support::{Bridge, Mode, Mosquitto, Proxy, SOON, Subscriber, eventually};

/// Ids of the received events, in order, and whether each is marked as late.
fn events(subscriber: &mut Subscriber) -> Vec<(String, bool)> {
    let messages = subscriber.drain().into_iter().filter(|message| message.topic.contains("/event/"));
    let event = |message: crate::support::mqtt_client::Received| {
        let json = message.json();
        (json["id"].as_str().unwrap().to_owned(), json["replayed"] == true)
    };
    messages.map(event).collect()
}

/// Waits for this number of events.
async fn wait_for(subscriber: &mut Subscriber, count: usize) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    eventually(SOON, &format!("{count} events"), async || {
        all.extend(events(subscriber));
        (count <= all.len()).then_some(())
    })
    .await;
    all
}

fn ids(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.id.clone()).collect()
}

#[tokio::test]
async fn a_sink_that_is_rewound_gets_its_history_again() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[time]\nreplay_after_seconds = 3\n", broker.url());
    let bridge = Bridge::start(&config).await;
    let mut old = Vec::new();
    for _ in 0..5 {
        old.push(send(&bridge.camera(), 1, "DOORBELL", None).await);
    }
    let live = wait_for(&mut subscriber, 5).await;
    assert_eq!(live.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ids(&old));
    // The first millisecond after the old ones.
    let answered = jiff::Timestamp::now().as_millisecond();
    let between = eventually(SOON, "the next millisecond", async || {
        let now = jiff::Timestamp::now();
        (answered < now.as_millisecond()).then(|| now.to_string())
    });
    let between = between.await;
    let mut new = Vec::new();
    for _ in 0..3 {
        new.push(send(&bridge.camera(), 1, "DOORBELL", None).await);
    }
    wait_for(&mut subscriber, 3).await;
    // Longer than the limit for late alarms.
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    subscriber.drain();

    let (status, output) = bridge.command(&["outbox", "rewind", "mqtt", "--since", &between]).await;
    assert!(status.success() && output.contains("3 entries of the log are sent again"), "{output}");
    let again = wait_for(&mut subscriber, 3).await;
    assert_eq!(
        again,
        ids(&new).into_iter().map(|id| (id, true)).collect::<Vec<_>>(),
        "these alone, in order"
    );

    let (status, output) = bridge.command(&["outbox", "rewind", "mqtt", "--since", "1h"]).await;
    assert!(status.success() && output.contains("8 entries"), "{output}");
    let again = wait_for(&mut subscriber, 8).await;
    let all: Vec<String> = ids(&old).into_iter().chain(ids(&new)).collect();
    assert_eq!(again, all.into_iter().map(|id| (id, true)).collect::<Vec<_>>());
    // Live alarms are not among them.
    let after = send(&bridge.camera(), 1, "DOORBELL", None).await;
    assert_eq!(wait_for(&mut subscriber, 1).await, [(after.id, false)]);

    for (sink, since, words) in [("nats", "1h", "no sink of this name"), ("mqtt", "yesterday", "--since")] {
        let (status, output) = bridge.command(&["outbox", "rewind", sink, "--since", since]).await;
        assert!(!status.success() && output.contains(words), "{output}");
    }
}

#[tokio::test]
async fn what_a_damaged_database_still_holds_is_recovered() {
    let broker = Mosquitto::start().await;
    let proxy = Proxy::start(broker.port()).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!("[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n", proxy.port());
    let mut bridge = Bridge::start(&config).await;
    let delivered = send_some(&bridge.camera(), 20).await;
    let mut arrived = Arrived::default();
    arrived.all(&mut subscriber, &delivered, SOON).await;
    proxy.set(Mode::Refuse);
    let undelivered = send_some(&bridge.camera(), 60).await;
    assert!(undelivered.iter().all(|sent| sent.durable));
    assert!(bridge.terminate().await.success());
    // The first page, without which SQLite does not recognise a database.
    let database = bridge.storage().join("outbox.db");
    let file = fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.write_all_at(&[0xa5; 4_096], 0).unwrap();
    bridge.restart().await;
    let aside = fs::read_dir(bridge.storage()).unwrap().map(|file| file.unwrap().file_name());
    let aside = aside.map(|name| name.to_string_lossy().into_owned());
    let aside =
        aside.filter(|name| name.contains(".corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm"));
    let aside: Vec<String> = aside.collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    let since = send_some(&bridge.camera(), 5).await;
    proxy.set(Mode::Pass);
    arrived.all(&mut subscriber, &since, SOON).await;
    assert!(
        undelivered.iter().all(|sent| !arrived.ids.contains_key(&sent.id)),
        "they are in the file set aside"
    );

    let (status, output) = bridge.command(&["outbox", "recover", &aside[0]]).await;
    assert!(status.success() && output.contains("0 could not be read"), "{output}");
    arrived.all(&mut subscriber, &undelivered, SOON).await;
    assert!(undelivered.iter().all(|sent| arrived.phases[&sent.id].1), "they are late, and say so");
    let (status, output) = bridge.command(&["outbox", "recover", &aside[0]]).await;
    assert!(status.success() && output.contains(" 0 are delivered now"), "{output}");
    let (status, output) = bridge.command(&["outbox", "recover", "outbox.db.corrupt-never"]).await;
    assert!(!status.success() && output.contains("there is no file"), "{output}");
}
