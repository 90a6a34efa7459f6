//! Commands that ask a running bridge, with the real binary.

use std::io::Read as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use crate::support::api::{picture, report};
use crate::support::mosquitto::Settings;
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually};

const MAC: &str = "98:ba:5f:8b:10:03";
const SOURCE: &str = "98ba5f8b1003";

/// Runs a command that must exit with 0.
async fn well(bridge: &Bridge, arguments: &[&str]) -> String {
    let (status, output) = bridge.command(arguments).await;
    assert!(status.success(), "{arguments:?}: {status}\n{output}");
    output
}

/// The JSON in the output of a command.
fn json(output: &str) -> Value {
    let start = output.find(['{', '[']).and_then(|at| output.get(at..));
    let start = start.unwrap_or_else(|| panic!("no JSON in {output}"));
    serde_json::from_str(start).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

#[tokio::test]
async fn without_a_bridge_each_says_so() {
    let bridge = Bridge::prepare("");
    for arguments in [&["devices", "ls"][..], &["outbox", "ls"], &["watch"]] {
        let (status, output) = bridge.command(arguments).await;
        assert_eq!(code(status), Some(69), "{output}");
        assert!(output.contains("no bridge runs with the storage folder"), "{output}");
    }
    let (status, output) = bridge.command(&["doctor"]).await;
    assert_eq!(code(status), Some(1), "{output}");
    assert!(output.contains("\u{2717} The bridge runs") && output.contains("alarmbus check"), "{output}");
}

#[tokio::test]
async fn doctor_goes_from_crosses_to_ticks() {
    let bridge = Bridge::start("").await;
    let (status, output) = bridge.command(&["doctor"]).await;
    assert_eq!(code(status), Some(1), "{output}");
    assert!(output.contains("\u{2713} The bridge runs"), "{output}");
    assert!(
        output.contains("\u{b7} Camera connected") && output.contains("press its Test button"),
        "{output}"
    );
    let wrong = Camera { path: "/alarm/wrong".into(), ..bridge.camera() };
    wrong.json(&report(MAC, &["PEOPLE"])).await;
    let output = eventually(SOON, "the wrong path", async || {
        let (_, output) = bridge.command(&["doctor"]).await;
        output.contains("Right port, wrong path").then_some(output)
    })
    .await;
    assert!(output.contains("Type the path exactly"), "{output}");

    let mut bridge = bridge;
    bridge.restart().await;
    let port: u16 = bridge.mqtt().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut subscriber = Subscriber::connect(port, "alarmbus/+/event/+").await;
    bridge.camera().multipart(&report(MAC, &["PEOPLE"]), &picture(16)).await;
    subscriber.topic(&format!("alarmbus/{SOURCE}/event/person")).await;
    let told = eventually(SOON, "a green chain", async || {
        let (status, output) = bridge.command(&["doctor", "--json"]).await;
        println!("{output}");
        status.success().then(|| json(&output))
    })
    .await;
    assert_eq!(told["ok"], true, "{told:#}");
    assert_eq!(told["lines"].as_array().unwrap().len(), 8, "{told:#}");
}

#[tokio::test]
async fn devices_are_listed_and_changed() {
    let bridge = Bridge::start("").await;
    assert!(well(&bridge, &["devices", "ls"]).await.contains("No device has sent an alarm yet"));
    bridge.camera().json(&report(MAC, &["PEOPLE"])).await;
    bridge.alarms(1).await;
    well(&bridge, &["devices", "rename", SOURCE, "Back door"]).await;
    let listed = well(&bridge, &["devices", "ls"]).await;
    assert!(listed.contains(SOURCE) && listed.contains("Back door") && listed.contains("person"), "{listed}");
    well(&bridge, &["devices", "clear", SOURCE]).await;
    let (status, output) = bridge.command(&["devices", "clear", SOURCE]).await;
    assert_eq!(code(status), Some(1), "{output}");
    well(&bridge, &["devices", "remove", SOURCE]).await;
    assert_eq!(json(&well(&bridge, &["devices", "ls", "--json"]).await), Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_webhook_is_added_and_gets_a_new_secret_while_the_old_one_still_works() {
    let mut bridge = Bridge::start("").await;
    let path = |output: &str| {
        output
            .lines()
            .find_map(|line| line.find("/alarm/").and_then(|at| line.get(at..)).map(str::to_owned))
            .unwrap()
    };
    let added = path(&well(&bridge, &["webhook", "add", "porch"]).await);
    let status = async |path: &str, bridge: &Bridge| {
        Camera { path: path.into(), ..bridge.camera() }.json(&report(MAC, &["PEOPLE"])).await.status
    };
    assert_eq!(status(&added, &bridge).await, 200);
    let (old, new) = (
        bridge.camera().path,
        path(&well(&bridge, &["webhook", "rotate", "default", "--overlap", "3"]).await),
    );
    assert_eq!((status(&old, &bridge).await, status(&new, &bridge).await), (200, 200));
    assert!(well(&bridge, &["webhook", "ls"]).await.contains("retired"));
    eventually(SOON, "the end of the old path", async || (status(&old, &bridge).await != 200).then_some(()))
        .await;
    assert_eq!(status(&new, &bridge).await, 200);
    let (refused, output) = bridge.command(&["webhook", "add", "porch"]).await;
    assert_eq!(code(refused), Some(1), "{output}");

    bridge.terminate().await;
    let offline = path(&well(&bridge, &["webhook", "rotate", "porch"]).await);
    bridge.restart().await;
    assert_eq!((status(&added, &bridge).await, status(&offline, &bridge).await), (200, 200));
}

/// Number of parked messages in the health report.
async fn parked_now(bridge: &Bridge) -> Value {
    bridge.api("/health").await["health"]["parked"].clone()
}

#[tokio::test]
async fn what_is_parked_is_shown_tried_again_and_dropped() {
    let acl = "topic readwrite alarmbus/bridge/#\ntopic readwrite homeassistant/#\ntopic read #\n\
               pattern write alarmbus/+/device\npattern write alarmbus/+/last\npattern write alarmbus/+/state/+\n\
               pattern write alarmbus/+/event/person\npattern write alarmbus/+/activity/+\n";
    let broker = Mosquitto::with(Settings { acl: Some(acl), ..Settings::default() }).await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n", broker.url())).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    bridge.camera().json(&report(MAC, &["PEOPLE"])).await;
    subscriber.topic(&format!("alarmbus/{SOURCE}/event/person")).await;
    bridge.camera().json(&report(MAC, &["TAMPER"])).await;
    let parked = eventually(SOON, "something parked", async || {
        let listed = json(&well(&bridge, &["outbox", "ls", "--json"]).await);
        listed["parked"].as_array().filter(|parked| !parked.is_empty()).cloned()
    })
    .await;
    let event = parked.iter().find(|row| row["topic"].as_str().unwrap().contains("/event/")).unwrap();
    let (no, id) = (event["no"].to_string(), event["id"].as_str().unwrap());
    let shown = json(&well(&bridge, &["outbox", "show", &no]).await);
    assert_eq!(shown["alarm"]["id"], id, "{shown:#}");
    assert!(well(&bridge, &["outbox", "retry", &no]).await.starts_with("1 message sent to mqtt again"));
    eventually(SOON, "it is parked again", async || {
        let listed = json(&well(&bridge, &["outbox", "ls", "--json"]).await);
        listed["parked"]
            .as_array()?
            .iter()
            .any(|row| row["id"] == id && row["no"] != event["no"])
            .then_some(())
    })
    .await;
    assert_ne!(parked_now(&bridge).await, 0);
    assert!(
        well(&bridge, &["outbox", "drop", "--all"]).await.contains("deleted; the alarms stay in history")
    );
    assert_eq!(parked_now(&bridge).await, 0, "what is parked now counts");
    assert!(well(&bridge, &["outbox", "ls"]).await.contains("Nothing is parked"));
    let (status, output) = bridge.command(&["outbox", "retry", &no]).await;
    assert_eq!(code(status), Some(1), "{output}");
}

#[tokio::test]
async fn an_alarm_is_watched_and_sent_again() {
    let bridge = Bridge::start("").await;
    let watching = async {
        let (lines, as_json) = tokio::join!(
            bridge.command(&["watch", "--count", "1"]),
            bridge.command(&["watch", "--count", "1", "--json"])
        );
        (lines.1, as_json.1)
    };
    let sending = async {
        // The commands need time to connect, and do not report when they have.
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            bridge.camera().json(&report(MAC, &["PEOPLE"])).await;
        }
    };
    let (line, as_json) = tokio::select! {
        told = watching => told,
        () = sending => unreachable!(),
    };
    assert!(line.contains("Front door") && line.contains("person"), "{line}");
    let alarm = json(&as_json);
    assert_eq!(alarm["source"], SOURCE, "{alarm:#}");
    let port: u16 = bridge.mqtt().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut subscriber = Subscriber::connect(port, "alarmbus/+/event/+").await;
    let said = well(&bridge, &["replay", alarm["id"].as_str().unwrap()]).await;
    assert_eq!(said, "1 alarm is sent again to mqtt, marked as replayed");
    let again = |message: &Value| message["id"] == alarm["id"] && message["replayed"] == true;
    subscriber.wait_for(SOON, |message| again(&message.json())).await;
}

#[tokio::test]
async fn the_archive_for_a_report_holds_nothing_secret() {
    let config = "[admin]\npassword = \"adm1n-passw0rd\"\n[[webhooks]]\npath = \"/alarm/h00k-s3cr3t\"\n\
                  [mqtt]\nserver = \"mqtt://10.9.8.7:1\"\nuser = \"someone\"\npassword = \"mqtt-passw0rd\"\n\
                  [devices.\"98:ba:5f:8b:10:03\"]\nname = \"Porch\"\n";
    let bridge = Bridge::start(config).await;
    let camera = bridge.camera();
    camera.multipart(&report(MAC, &["PEOPLE"]), &picture(200)).await;
    let spoken = "GET / HTTP/1.1\r\nHost: 192.168.77.5\r\nAuthorization: Basic dG9wOnNlY3JldA==\r\nReferer: /alarm/h00k-s3cr3t\r\n\r\n";
    camera.raw(spoken.as_bytes()).await;
    camera
        .raw(&camera.request("text/plain", b"see http://10.9.8.7/alarm/h00k-s3cr3t and 98-BA-5F-8B-10-03"))
        .await;
    eventually(SOON, "three requests", async || {
        (control(&bridge, &["bundle", "-o", "/dev/null"]).await.contains("files")).then_some(())
    })
    .await;
    let file = bridge.storage().join("bundle.tar.gz");
    eventually(SOON, "all captures in it", async || {
        well(&bridge, &["bundle", "--output", file.to_str().unwrap()]).await;
        (entries(&file).iter().filter(|(name, _)| name.contains("requests/")).count() == 3).then_some(())
    })
    .await;
    let entries = entries(&file);
    let all: String = entries.iter().map(|(name, text)| format!("== {name}\n{text}\n")).collect();
    let wire =
        ["h00k-s3cr3t", "adm1n-passw0rd", "mqtt-passw0rd", "dG9wOnNlY3JldA", "\u{fffd}\u{fffd}\u{fffd}"];
    let addresses =
        ["10.9.8.7", "192.168.77.5", "192.168.0.101", "98:ba:5f:8b:10:03", "98-BA-5F-8B-10-03", SOURCE];
    for secret in wire.into_iter().chain(addresses) {
        assert!(!all.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in the archive:\n{all}");
    }
    for expected in [
        "configuration.txt",
        "findings.json",
        "versions.json",
        "POST /alarm/***",
        "02:00:00:00:00:0",
        "PEOPLE",
    ] {
        assert!(all.contains(expected), "{expected} is missing in\n{all}");
    }
}

async fn control(bridge: &Bridge, arguments: &[&str]) -> String {
    bridge.command(arguments).await.1
}

/// The files of an archive.
fn entries(file: &std::path::Path) -> Vec<(String, String)> {
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), String::from_utf8_lossy(&bytes).into_owned())
    };
    archive.entries().unwrap().map(read).collect()
}
