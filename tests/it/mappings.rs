//! Users' mapping files: in the configuration, on reload, in `check`, `decode` and `mapping draft`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::web::get;
use crate::support::{Bridge, Camera, Mosquitto, SOON, Subscriber, eventually};

/// A mapping of an unknown maker.
const ACME: &str = "name = \"acme\"\ntitle = \"Acme\"\nkind = \"/what\"\ntime = \"/when\"\n[kinds]\nZAP = \"person\"\nPING = \"alive\"\n\
                    [state]\ndefault = \"start\"\n[device]\nid = \"/who\"\n[[recognise]]\nhas = [\"/what\", \"/who\"]\n\
                    [[samples]]\nrequest = \"acme.json\"\nevent = \"person\"\ndevice = \"gate\"\n";

fn report(what: &str) -> Value {
    json!({"what": what, "who": "gate", "when": "2026-11-28 12:20:05"})
}

fn config(broker: &Mosquitto, webhook: &str) -> String {
    format!(
        "[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n[[webhooks]]\nid = \"first\"\npath = \"/alarm/first-secret-of-this-test\"\n{webhook}",
        broker.url()
    )
}

/// Writes a file beside the configuration.
fn beside(bridge: &Bridge, name: &str, text: &str) {
    let folder = bridge.config().parent().expect("it is in a folder").to_owned();
    fs::write(folder.join(name), text).expect("the folder can be written");
}

/// Topic of the event of a report.
async fn topic_of(subscriber: &mut Subscriber, camera: &Camera, report: &Value) -> (String, Value) {
    let answer = camera.json(report).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.json()["ids"][0].clone();
    let event = subscriber
        .wait_for(SOON, |message| message.topic.contains("/event/") && message.json()["id"] == id)
        .await;
    (event.topic.clone(), event.json())
}

#[tokio::test]
async fn a_mapping_is_used_reloaded_and_kept_when_it_becomes_bad() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let mut bridge = Bridge::prepare(&config(&broker, "mapping = \"acme.toml\"\n"));
    beside(&bridge, "acme.toml", ACME);
    bridge.restart().await;
    let camera = bridge.camera();
    let (topic, event) = topic_of(&mut subscriber, &camera, &report("ZAP")).await;
    assert_eq!((topic.as_str(), &event["device"]["vendor"]), ("alarmbus/gate/event/person", &json!("acme")));
    assert_eq!(camera.json(&report("PING")).await.json()["alarms"], 0, "a sign of life is not an alarm");

    beside(&bridge, "acme.toml", &ACME.replace("\"person\"", "\"vehicle\""));
    bridge.hang_up();
    eventually(SOON, "the changed mapping", async || {
        (topic_of(&mut subscriber, &camera, &report("ZAP")).await.0 == "alarmbus/gate/event/vehicle")
            .then_some(())
    })
    .await;

    beside(&bridge, "acme.toml", "name = \"acme\"\nkindd = \"/what\"\ntime = 5\n");
    bridge.hang_up();
    eventually(SOON, "the refusal", async || bridge.log().contains("not reloaded").then_some(())).await;
    let log = bridge.log();
    assert!(log.contains("acme.toml:2: kindd: no such key: did you mean kind"), "{log}");
    assert!(
        log.contains("acme.toml:3: time: a text in quotes or a list, in [ ], is expected here, not 5"),
        "{log}"
    );
    assert_eq!(topic_of(&mut subscriber, &camera, &report("ZAP")).await.0, "alarmbus/gate/event/vehicle");
    let findings = get(bridge.admin(), "/api/v1/findings", &[]).await.json().to_string();
    assert!(findings.contains("reload_refused"), "{findings}");

    let (status, output) = bridge.command(&["check", "--print"]).await;
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains("2 mistakes") && output.contains("acme.toml:2: kindd"), "{output}");
}

#[tokio::test]
async fn check_says_what_a_mapping_is_and_whether_its_samples_pass() {
    let broker = Mosquitto::start().await;
    let bridge = Bridge::prepare(&config(&broker, "mapping = [\"acme.toml\"]\nvendor = \"reolink\"\n"));
    beside(&bridge, "acme.toml", ACME);
    beside(&bridge, "acme.json", &report("ZAP").to_string());
    let (status, output) = bridge.command(&["check"]).await;
    assert!(status.success(), "{output}");
    assert!(
        output.contains("webhook first: mapping") && output.contains("all of its samples (1) pass"),
        "{output}"
    );
    beside(&bridge, "acme.json", &report("PING").to_string());
    let (status, output) = bridge.command(&["check"]).await;
    assert_eq!(status.code(), Some(69), "{output}");
    assert!(output.contains("acme.json: it is alive, and person is expected"), "{output}");
    bridge.configure(&config(&broker, "mapping = \"nothing.toml\"\nvendor = \"reolnk\"\n"));
    let (status, output) = bridge.command(&["check"]).await;
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(
        output.contains("nothing.toml is not there") && output.contains("did you mean reolink"),
        "{output}"
    );
}

#[tokio::test]
async fn a_webhook_fixes_the_device_and_one_is_added_with_a_mapping() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let mut bridge =
        Bridge::start(&config(&broker, "device = { id = \"yard\", name = \"Back yard\" }\n")).await;
    let vigi =
        json!({"ip": "192.0.2.1", "mac": "02-1a-2b-3c-4d-5e", "event_list": [{"event_type": "PEOPLE"}]});
    let (topic, event) = topic_of(&mut subscriber, &bridge.camera(), &vigi).await;
    assert_eq!(
        (topic.as_str(), &event["device"]["name"]),
        ("alarmbus/yard/event/person", &json!("Back yard"))
    );

    beside(&bridge, "acme.toml", ACME);
    let file = bridge.config().parent().unwrap().join("acme.toml");
    let add = ["webhook", "add", "second", "--device", "door", "--mapping", file.to_str().unwrap()];
    let (status, path) = bridge.command(&add).await;
    assert!(status.success(), "{path}");
    for _ in 0..2 {
        let second = Camera { path: path.trim().to_owned(), ..bridge.camera() };
        assert_eq!(topic_of(&mut subscriber, &second, &report("ZAP")).await.0, "alarmbus/door/event/person");
        bridge.restart().await;
    }
    let (status, output) = bridge.command(&["webhook", "add", "third", "--vendor", "nobody"]).await;
    assert!(!status.success() && output.contains("reolink"), "{output}");
    fs::write(&file, "name = 5\n").unwrap();
    let (status, output) =
        bridge.command(&["webhook", "add", "third", "--mapping", file.to_str().unwrap()]).await;
    assert!(!status.success() && output.contains("acme.toml:1: name"), "{output}");
}

#[tokio::test]
async fn decode_sums_up_and_explains_and_a_draft_is_a_mapping() {
    let bridge = Bridge::prepare("");
    let folder = bridge.config().parent().unwrap().to_owned();
    beside(&bridge, "acme.toml", ACME);
    beside(&bridge, "acme.json", &report("ZAP").to_string());
    let path = |name: &str| folder.join(name).display().to_string();
    let (status, output) =
        bridge.command(&["decode", &path("acme.json"), "--mapping", &path("acme.toml")]).await;
    assert!(status.success(), "{output}");
    for said in [
        "event    person (the device says \"ZAP\"), start",
        "device   gate (acme)",
        "time     2026-11-28 12:20:05",
        "picture  none",
        "mapping acme recognises this; \"ZAP\" is person",
        "/what  found \"ZAP\"",
        "\"topic\": \"alarmbus/gate/event/person\"",
    ] {
        assert!(output.contains(said), "{said}\n{output}");
    }
    let (status, draft) = bridge.command(&["mapping", "draft", &path("acme.json"), "--name", "fresh"]).await;
    assert!(status.success() && draft.contains("#   /what = ZAP"), "{draft}");
    beside(&bridge, "fresh.toml", &draft);
    let (status, output) =
        bridge.command(&["decode", &path("acme.json"), "--mapping", &path("fresh.toml")]).await;
    assert!(status.success() && output.contains("mapping fresh recognises this"), "{output}");
    let (status, output) = bridge.command(&["decode", &path("acme.json"), "--vendor", "nobody"]).await;
    assert!(status.code() == Some(64) && output.contains("reolink"), "{output}");
    assert!(Path::new(&path("acme.json")).is_file());
}

#[tokio::test]
async fn every_mapping_file_of_the_documentation_reads_its_samples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/makers");
    let listed = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<String> = listed
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| format!("\"{}\"", path.display()))
        .collect();
    assert!(files.len() >= 10, "{files:?}");
    let broker = Mosquitto::start().await;
    let bridge = Bridge::prepare(&config(&broker, &format!("mapping = [{}]\n", files.join(", "))));
    let (status, output) = bridge.command(&["check"]).await;
    assert!(status.success(), "{output}");
    assert_eq!(output.matches(" pass\n").count(), files.len(), "{output}");
    let named: Vec<&str> = output.lines().filter(|line| line.contains("of maker")).collect();
    for sample in fs::read_dir(folder.join("samples")).unwrap() {
        let path = sample.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let used =
            files.iter().any(|file| fs::read_to_string(file.trim_matches('"')).unwrap().contains(&name));
        assert!(used || name.starts_with('.'), "{name} belongs to no file of {named:?}");
    }
}
