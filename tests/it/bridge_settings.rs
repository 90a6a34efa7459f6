//! Effects of the configuration on a running bridge: names of devices, topics, webhooks, protocol.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::mqtt_client::Received;
use crate::support::published::{CAMERA, assert_valid, jpeg, report, report_of};
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_1_carries_the_same() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\nversion = \"3.1.1\"\n", broker.url());
    let mut bridge = Bridge::start(&config).await;
    bridge.camera().multipart(&report("PEOPLE"), &jpeg(8)).await;
    let event = all.topic(&format!("alarmbus/{CAMERA}/event/person")).await;
    assert_valid("alarm", &event.json());
    assert_eq!(all.topic(&format!("alarmbus/{CAMERA}/snapshot/person")).await.payload, jpeg(8));
    bridge.kill();
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "offline").await;
}

/// A configured path that is also a word in reports: it is not treated as a secret, and reports are not changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_a_word_of_the_reports_changes_nothing_in_them() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[[webhooks]]\npath = \"/alarm/camera\"\n", broker.url());
    let bridge = Bridge::start(&config).await;
    let mut second = report("PEOPLE");
    second["event_list"][0]["camera"] = "2".into();
    second["device_name"] = "camera".into();
    assert_eq!(bridge.camera().json(&second).await.status, 200);
    let event = all.topic(&format!("alarmbus/{CAMERA}-2/event/person")).await.json();
    assert_eq!(
        (&event["device"]["channel"], &event["device"]["reported_name"]),
        (&2.into(), &"camera".into())
    );
}

/// Pictures are stored only for configured devices and kinds and up to the configured size; alarms are always stored.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_off_per_kind_and_device_and_past_a_size() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let config = format!(
        "[mqtt]\nserver = \"{}\"\n[snapshots]\nevents_off = [\"person\"]\nmax_bytes = 20000\n\
         [devices.\"98:ba:5f:8b:10:04\"]\nsnapshots = false\n",
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    let (small, large) = (jpeg(8), [jpeg(9), vec![0; 30_000]].concat());
    let (kept, private) = ("98-ba-5f-8b-10-03", "98-ba-5f-8b-10-04");
    for (mac, kind, picture, problem, has_snapshot) in [
        (kept, "MOTION", &small, None, true),
        (kept, "PEOPLE", &small, None, false),
        (private, "MOTION", &small, None, false),
        (kept, "VEHICLE", &large, Some("too_large"), true),
    ] {
        let answer = bridge.camera().multipart(&report_of(mac, kind), picture).await.json();
        let event = all.wait_for(SOON, |m| m.json()["id"] == answer["ids"][0]).await.json();
        assert_eq!(event["snapshot"].is_object(), has_snapshot, "{event:#}");
        assert_eq!(event["snapshot"]["problem"].as_str(), problem, "{event:#}");
    }
    // Only the wanted picture exists: others are deleted.
    eventually(SOON, "one picture in the folder", async || {
        let files = std::fs::read_dir(bridge.storage().join("pictures")).ok()?;
        let files: Vec<_> = files.flatten().map(|file| file.path()).collect();
        let pictures: usize = files
            .iter()
            .map(|path| if path.is_dir() { std::fs::read_dir(path).map_or(0, Iterator::count) } else { 1 })
            .sum();
        (pictures == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_topics_of_its_own() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let config = format!(
        "instance = \"north\"\n[mqtt]\nserver = \"{}\"\nbase_topic = \"site/cams\"\n\
         [topics]\nevent = \"{{base}}/{{vendor}}/{{name}}/{{source}}/alarm/{{event}}\"\n\
         [devices.\"98:ba:5f:8b:10:03\"]\nname = \"Front Door\"\n[homeassistant]\nenabled = false\n",
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    all.wait_for(SOON, |m| m.topic == "site/cams/bridge-north/state" && m.text() == "online").await;
    bridge.camera().json(&report("PEOPLE")).await;
    let event = all.topic(&format!("site/cams/vigi/front_door/{CAMERA}/alarm/person")).await.json();
    assert_valid("alarm", &event);
    assert_eq!(event["device"]["name"], "Front Door");
    assert_eq!(event["device"]["reported_name"], "InSight S445 1.0_1003");
    let others: Vec<String> = all.drain().into_iter().map(|m| m.topic).collect();
    assert!(others.iter().all(|topic| topic.starts_with("site/cams/")), "{others:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_gets_another_source_leaves_nothing_retained_behind() {
    let broker = Mosquitto::start().await;
    let mqtt = format!("[mqtt]\nserver = \"{}\"\n", broker.url());
    let mut bridge = Bridge::start(&mqtt).await;
    let request = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/vigi-nvr-multipart-picture.http");
    let old = "8021ab00000000000000000000000000deadbeef-2";
    let mut all = Subscriber::connect(broker.port(), "#").await;
    bridge.camera().file(&request).await;
    all.wait_for(SOON, |m| m.topic.starts_with(&format!("alarmbus/{old}/event/"))).await;

    bridge.configure(&format!(
        "{mqtt}[devices.\"8021AB00000000000000000000000000DEADBEEF\"]\nmac = \"02:aa:00:00:00:01\"\n"
    ));
    bridge.restart().await;
    bridge.camera().file(&request).await;
    all.wait_for(SOON, |m| m.topic.starts_with("alarmbus/02aa00000001-2/event/")).await;
    let left = |m: &Received| (m.topic.contains(old) && !m.payload.is_empty()).then(|| m.topic.clone());
    eventually(SOON, "no retained topic of the old source", async || {
        let mut late = Subscriber::connect(broker.port(), "#").await;
        // Retained topics arrive in any order: a message published afterwards arrives last.
        late.publish("test/end", b"x", false).await;
        late.topic("test/end").await;
        let found: Vec<String> = late.drain().iter().filter_map(left).collect();
        println!("left: {found:?}");
        found.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_up_webhooks_and_names_and_refuses_mistakes() {
    let webhook = |path: &str, name: &str| {
        format!(
            "[[webhooks]]\npath = \"{path}\"\n[stdout]\nenabled = true\n\
             [devices.\"98:ba:5f:8b:10:03\"]\nname = \"{name}\"\n"
        )
    };
    let bridge = Bridge::start(&webhook("/alarm/first-secret-of-the-test", "Old")).await;
    let mode = std::fs::metadata(bridge.config().with_file_name("ready.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the ready file holds secrets");
    let first = bridge.camera();
    assert_eq!(first.json(&report("PEOPLE")).await.status, 200);

    bridge.configure("[mqtt]\nsever = \"mqtt://x\"\n");
    bridge.hang_up();
    eventually(SOON, "the mistake in the log", async || {
        bridge.log().contains("did you mean server?").then_some(())
    })
    .await;
    assert_eq!(first.json(&report("PEOPLE")).await.status, 200, "the old one stays");

    bridge.configure(&webhook("/alarm/second-secret-of-the-test", "New"));
    bridge.hang_up();
    let second = Camera { path: "/alarm/second-secret-of-the-test".into(), ..first.clone() };
    eventually(SOON, "the new path", async || (second.get().await.status == 200).then_some(())).await;
    assert_eq!(first.get().await.status, 404);
    // Webhook paths are applied first, other settings follow.
    eventually(SOON, "all of it is taken up", async || {
        bridge.log().contains("the configuration was read again").then_some(())
    })
    .await;
    second.json(&report("PEOPLE")).await;
    eventually(SOON, "the new name in an event", async || {
        let log = bridge.log();
        let mut events = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        events.any(|event| event["device"]["name"] == "New").then_some(())
    })
    .await;
    assert!(!bridge.log().contains("secret-of-the-test"), "{}", bridge.log());
}
