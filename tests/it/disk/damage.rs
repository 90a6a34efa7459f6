//! A database that is damaged, newer, or gone: it is set aside and reported, a new one is made, and the state in
//! memory is kept.

use std::fs;
use std::path::Path;

use super::{LONG, config, send_until, subscribe, survives_a_kill, through};
use crate::support::alarms::{Arrived, send_some};
use crate::support::{Bridge, Mode, Mosquitto, Proxy, SOON, eventually};

/// Damage to a file: bytes flipped from an offset on, or the file cut there; in thousandths of its length.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Cut(usize),
}

fn damage(path: &Path, how: Damage) {
    let mut bytes = fs::read(path).expect("the file is there");
    let length = bytes.len();
    match how {
        Damage::Flip(at) => {
            let from = length * at / 1000;
            let to = (from + 3_000).min(length);
            bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0xff);
        }
        Damage::Cut(at) => bytes.truncate(length * at / 1000),
    }
    // The same file is overwritten, because other processes have it open.
    let file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("it can be written");
    file.set_len(bytes.len() as u64).expect("it can be cut");
}

fn set_aside(storage: &Path) -> usize {
    let files = fs::read_dir(storage).expect("the folder is there");
    let names = files.map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.contains(".corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .count()
}

#[tokio::test]
async fn a_damaged_file_never_stops_the_start() {
    let broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker, "")).await;
    let mut subscriber = subscribe(&broker).await;
    let webhook = bridge.camera().path;
    for (how, noticed) in [
        (Damage::Flip(0), true),
        (Damage::Cut(500), true),
        (Damage::Cut(2), true),
        (Damage::Cut(0), false),
        (Damage::Flip(300), false),
        (Damage::Flip(700), false),
    ] {
        let sent = send_some(&bridge.camera(), 40).await;
        Arrived::default().all(&mut subscriber, &sent, LONG).await;
        assert!(bridge.terminate().await.success());
        let before = set_aside(&bridge.storage());
        damage(&bridge.storage().join("outbox.db"), how);
        bridge.restart().await;
        assert_eq!(bridge.camera().path, webhook, "{how:?}");
        let mut sent = send_until(&bridge, true).await;
        sent.extend(send_some(&bridge.camera(), 10).await);
        Arrived::default().all(&mut subscriber, &sent, LONG).await;
        if noticed {
            assert_eq!(set_aside(&bridge.storage()), before + 1, "{how:?}");
            let health = bridge.health().await.to_string();
            assert!(health.contains(".corrupt-"), "{how:?}: {health}");
        }
    }
}

#[tokio::test]
async fn damage_while_it_runs_costs_nothing_that_memory_holds() {
    for (file, how) in [
        ("outbox.db", Damage::Flip(0)),
        ("outbox.db", Damage::Cut(300)),
        ("outbox.db", Damage::Flip(500)),
        ("outbox.db-wal", Damage::Flip(400)),
    ] {
        let broker = Mosquitto::start().await;
        let proxy = Proxy::start(broker.port()).await;
        let mut bridge = Bridge::start(&through(proxy.port(), "")).await;
        let mut subscriber = subscribe(&broker).await;
        let first = send_some(&bridge.camera(), 20).await;
        let mut arrived = Arrived::default();
        arrived.all(&mut subscriber, &first, LONG).await;
        // With an empty log beside it, the file itself is read.
        if file == "outbox.db" {
            assert!(bridge.terminate().await.success());
            bridge.restart().await;
        }
        proxy.set(Mode::Refuse);
        let mut sent = send_some(&bridge.camera(), 100).await;
        damage(&bridge.storage().join(file), how);
        sent.extend(send_some(&bridge.camera(), 20).await);
        proxy.set(Mode::Pass);
        arrived.all(&mut subscriber, &sent, LONG).await;
        arrived.in_order();
        assert_eq!(send_until(&bridge, true).await.len(), 1, "{file} {how:?}");
    }
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let bridge = Bridge::prepare("");
    fs::create_dir_all(bridge.storage()).expect("the folder can be made");
    let database = rusqlite::Connection::open(bridge.storage().join("outbox.db")).expect("it can be made");
    database.pragma_update(None, "user_version", 7).expect("it can be written");
    drop(database);
    let (status, output) = bridge.command(&["serve"]).await;
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains("version is 7") && output.contains("this build knows 5"), "{output}");
}

#[tokio::test]
async fn a_folder_deleted_under_it_is_made_anew() {
    let mut broker = Mosquitto::start().await;
    let mut bridge = Bridge::start(&config(&broker, "")).await;
    let webhook = bridge.camera().path;
    broker.kill();
    let mut sent = send_some(&bridge.camera(), 30).await;
    // What is written into it meanwhile makes a removal fail.
    eventually(SOON, "the removal", async || fs::remove_dir_all(bridge.storage()).ok()).await;
    sent.extend(send_some(&bridge.camera(), 30).await);
    sent.extend(send_until(&bridge, true).await);
    eventually(LONG, "the secrets", async || bridge.storage().join("instance").is_file().then_some(())).await;
    survives_a_kill(&mut bridge, &mut broker, &sent, &mut Arrived::default()).await;
    assert_eq!(bridge.camera().path, webhook);
}
