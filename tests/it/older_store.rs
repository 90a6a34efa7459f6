//! A database older than what was published from it, another one, or none in its place: it is said, no state stays ON,
//! and no `seq` is used twice. A kill raises nothing of the kind.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::alarms::{send, source};
use crate::support::seed::Random;
use crate::support::{Bridge, Mosquitto, Subscriber, eventually};

/// Maximum time for a start, the check of the broker's retained messages, and a hold.
const LONG: Duration = Duration::from_secs(40);

fn config(broker: &Mosquitto) -> String {
    format!(
        "[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n[activity]\nhold_seconds = 2\n",
        broker.url()
    )
}

/// Codes of findings about the database.
async fn findings(bridge: &Bridge) -> Vec<String> {
    let json = bridge.api("/findings").await;
    let all = json["findings"].as_array().expect("a list of findings");
    let codes = all.iter().filter_map(|finding| finding["code"].as_str());
    codes.filter(|code| code.starts_with("database")).map(str::to_owned).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for file in fs::read_dir(from).expect("it is there") {
        let file = file.expect("it can be read");
        let kind = file.file_type().expect("it has a type");
        if kind.is_dir() {
            copy(&file.path(), &to.join(file.file_name()));
        } else if kind.is_file() {
            fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
        }
    }
}

/// States and the highest `seq` of each source, as received by a subscriber.
#[derive(Default)]
struct Seen {
    states: HashMap<String, bool>,
    seq: HashMap<String, u64>,
}

impl Seen {
    fn take(&mut self, subscriber: &mut Subscriber) {
        for message in subscriber.drain() {
            let levels: Vec<&str> = message.topic.split('/').collect();
            match levels.as_slice() {
                [_, source, "state", _] if *source != "bridge" => {
                    self.states.insert(message.topic.clone(), message.text() == "ON");
                }
                [_, source, "event", _] => {
                    let seq = message.json()["seq"].as_u64().expect("a number");
                    let before = self.seq.insert((*source).to_owned(), seq);
                    assert!(before.is_none_or(|before| before < seq), "{source}: {before:?}, then {seq}");
                }
                _ => {}
            }
        }
    }
}

/// Change to the storage folder while the bridge is down; an earlier copy of the folder exists.
type Harm = fn(storage: &Path, earlier: &Path);

/// A bridge with its broker and a subscriber.
struct Scene {
    broker: Mosquitto,
    bridge: Bridge,
    subscriber: Subscriber,
    seen: Seen,
}

impl Scene {
    async fn start() -> Self {
        let broker = Mosquitto::start().await;
        let bridge = Bridge::start(&config(&broker)).await;
        let subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        Self { broker, bridge, subscriber, seen: Seen::default() }
    }

    /// Waits until the received state matches.
    async fn sees(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) {
        eventually(LONG, what, async || {
            self.seen.take(&mut self.subscriber);
            wanted(&self.seen).then_some(())
        })
        .await;
    }

    /// Sends an alarm of each camera; all have higher numbers than before.
    async fn send_more(&mut self, cameras: &[u8]) {
        let before = self.seen.seq.clone();
        for camera in cameras {
            send(&self.bridge.camera(), *camera, "PEOPLE", None).await;
        }
        let is_higher = |seen: &Seen, camera: &u8| before[&source(*camera)] < seen.seq[&source(*camera)];
        self.sees("more alarms", |seen| cameras.iter().all(|camera| is_higher(seen, camera))).await;
    }

    /// Runs longer than a copy of the folder: sends alarms of a kind and of a device that the copy does not have.
    async fn run_past_a_copy(&mut self, earlier: &Path) {
        for _ in 0..3 {
            send(&self.bridge.camera(), 1, "PEOPLE", None).await;
        }
        assert!(self.bridge.terminate().await.success());
        copy(&self.bridge.storage(), earlier);
        self.bridge.restart().await;
        for (camera, kind) in [(1, "PEOPLE"), (1, "PEOPLE"), (1, "VEHICLE"), (2, "PEOPLE")] {
            send(&self.bridge.camera(), camera, kind, None).await;
        }
        self.sees("all of it", |seen| seen.seq.len() == 2 && seen.states.len() == 3).await;
        has_start(&self.broker, 2).await;
    }
}

/// Waits until the broker retains the token of a start, which is published last.
async fn has_start(broker: &Mosquitto, start: u64) {
    let mut tokens = Subscriber::connect(broker.port(), "alarmbus/bridge/token").await;
    eventually(LONG, &format!("the token of start {start}"), async || {
        let message = tokens.drain().pop()?;
        let found = message.text().split('.').nth(2)?.split('-').next()?.parse::<u64>().ok()?;
        (found == start).then_some(())
    })
    .await;
}

/// Copies the folder, runs on, applies the change, and starts the bridge again. Returns its findings about the
/// database.
async fn after(harm: Harm) -> Vec<String> {
    let mut scene = Scene::start().await;
    let earlier = scene.bridge.storage().with_extension("earlier");
    scene.run_past_a_copy(&earlier).await;
    scene.bridge.kill();
    harm(&scene.bridge.storage(), &earlier);
    scene.bridge.restart().await;
    scene.sees("every state OFF", |seen| seen.states.values().all(|on| !on)).await;
    // By now the broker's retained messages have been read.
    let found = findings(&scene.bridge).await;
    scene.send_more(&[1, 2]).await;
    // The findings are gone after the next start.
    assert!(scene.bridge.terminate().await.success());
    scene.bridge.restart().await;
    scene.send_more(&[1]).await;
    assert_eq!(findings(&scene.bridge).await, Vec::<String>::new());
    fs::remove_dir_all(&earlier).expect("it is there");
    found
}

fn remove(storage: &Path, names: &[&str]) {
    for name in names {
        // A clean stop leaves no -wal.
        fs::remove_file(storage.join(name)).ok();
    }
}

#[tokio::test]
async fn a_restored_folder_is_noticed_by_what_the_broker_holds() {
    let found = after(|storage, earlier| {
        fs::remove_dir_all(storage).expect("it is there");
        copy(earlier, storage);
    });
    assert_eq!(found.await, ["database_older"]);
}

#[tokio::test]
async fn a_restored_database_is_noticed_by_its_witness() {
    let found = after(|storage, earlier| {
        remove(storage, &["outbox.db-wal", "outbox.db-shm"]);
        fs::copy(earlier.join("outbox.db"), storage.join("outbox.db")).expect("it can be copied");
    });
    assert_eq!(found.await, ["database_older"]);
}

#[tokio::test]
async fn a_lost_log_is_noticed() {
    assert_eq!(after(|storage, _| remove(storage, &["outbox.db-wal"])).await, ["database_older"]);
}

#[tokio::test]
async fn a_database_cut_to_nothing_is_noticed_and_its_log_kept() {
    let found = after(|storage, _| {
        fs::write(storage.join("outbox.db"), "").expect("it can be cut");
    });
    assert_eq!(found.await, ["database_older"]);
}

#[tokio::test]
async fn a_deleted_database_is_noticed() {
    let found = after(|storage, _| remove(storage, &["outbox.db", "outbox.db-wal", "outbox.db-shm"]));
    assert_eq!(found.await, ["database_older"]);
}

#[tokio::test]
async fn the_database_of_another_bridge_is_noticed() {
    let mut other = Bridge::start("").await;
    send(&other.camera(), 9, "PEOPLE", None).await;
    assert!(other.terminate().await.success());
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker)).await;
    send(&bridge.camera(), 1, "PEOPLE", None).await;
    assert!(bridge.terminate().await.success());
    fs::copy(other.storage().join("outbox.db"), bridge.storage().join("outbox.db"))
        .expect("it can be copied");
    bridge.restart().await;
    assert!(findings(&bridge).await.contains(&"database_foreign".to_owned()));
}

#[tokio::test]
async fn a_witness_that_says_nothing_raises_nothing_and_is_made_anew() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker)).await;
    let witness = bridge.storage().join("witness");
    let spoil: [(&str, &dyn Fn()); 4] = [
        ("deleted", &|| fs::remove_file(&witness).expect("it is there")),
        ("cut", &|| fs::write(&witness, "alarm").expect("it can be written")),
        ("empty", &|| fs::write(&witness, "").expect("it can be written")),
        ("garbage", &|| fs::write(&witness, [0xa5; 9_000]).expect("it can be written")),
    ];
    for (how, spoil) in spoil {
        send(&bridge.camera(), 1, "PEOPLE", None).await;
        assert!(bridge.terminate().await.success());
        spoil();
        bridge.restart().await;
        send(&bridge.camera(), 1, "PEOPLE", None).await;
        assert_eq!(fs::metadata(&witness).expect("it is there").len(), 4_096 + 96, "{how}");
        assert_eq!(findings(&bridge).await, Vec::<String>::new(), "{how}");
    }
}

#[tokio::test]
async fn a_folder_of_a_version_without_a_witness_raises_nothing() {
    let mut bridge = Bridge::start("").await;
    send(&bridge.camera(), 1, "PEOPLE", None).await;
    assert!(bridge.terminate().await.success());
    fs::remove_file(bridge.storage().join("witness")).expect("it is there");
    let database = rusqlite::Connection::open(bridge.storage().join("outbox.db")).expect("it opens");
    let notes = "DELETE FROM note WHERE key IN ('store', 'starts', 'seq_floor', 'no_floor')";
    database.execute(notes, []).expect("it can be written");
    drop(database);
    for _ in 0..2 {
        bridge.restart().await;
        send(&bridge.camera(), 1, "PEOPLE", None).await;
        assert_eq!(findings(&bridge).await, Vec::<String>::new());
        assert!(!bridge.log().contains("`witness`"));
        assert!(bridge.terminate().await.success());
        assert!(bridge.storage().join("witness").is_file());
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_raises_nothing() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker)).await;
    let mut random = Random::seeded();
    for round in 0..8_u64 {
        let camera = bridge.camera();
        let busy = tokio::spawn(async move {
            for n in 0_u8.. {
                let report = crate::support::alarms::report(n % 7, "PEOPLE");
                let request = camera.request("application/json", report.to_string().as_bytes());
                if camera.try_raw(&request).await.is_err() {
                    break;
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(40 + random.below(800))).await;
        bridge.kill();
        busy.abort();
        bridge.restart().await;
        has_start(&broker, round + 2).await;
        assert_eq!(findings(&bridge).await, Vec::<String>::new(), "round {round}");
    }
}
