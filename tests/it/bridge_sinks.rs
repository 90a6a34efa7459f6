//! Several sinks, refusals, standard output, and a start without configuration.

use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::published::{CAMERA, assert_valid, jpeg, report, report_of, sha256};
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually, port};

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_holds_no_other_and_gets_everything_later() {
    let broker = Mosquitto::start().await;
    let mut nats = Nats::start().await;
    nats.stop().await;
    let mut events = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[nats]\nservers = [\"{}\"]\n", broker.url(), nats.url());
    let bridge = Bridge::start(&config).await;
    let mut ids = Vec::new();
    for kind in ["PEOPLE", "VEHICLE", "PEOPLE", "INTRUSION", "PEOPLE"] {
        let answer = bridge.camera().multipart(&report(kind), &jpeg(5)).await;
        ids.push(answer.json()["ids"][0].clone());
        let came = events.wait_for(SOON, |_| true).await.json();
        assert_eq!(Some(&came["id"]), ids.last());
    }
    nats.restart().await;
    let reader = NatsReader::connect(&nats.url()).await;
    let stored = eventually(SOON, "all events on NATS", async || {
        async_nats::jetstream::new(reader.client().clone()).get_stream("ALARMBUS").await.ok()?;
        let mut stored = reader.stored("ALARMBUS").await;
        stored.retain(|stored| stored.subject.contains(".event."));
        (stored.len() == 5).then_some(stored)
    })
    .await;
    let on_nats: Vec<serde_json::Value> = stored
        .iter()
        .map(|stored| serde_json::from_slice::<serde_json::Value>(&stored.payload).unwrap()["id"].clone())
        .collect();
    assert_eq!(on_nats, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_access_list_refuses_is_parked_and_said() {
    let broker = Mosquitto::with(Settings {
        users: vec![("bridge", "secret"), ("reader", "secret")],
        acl: Some(
            "user reader\ntopic read #\n\nuser bridge\ntopic readwrite #\ntopic deny alarmbus/+/event/motion\n",
        ),
        ..Settings::default()
    })
    .await;
    let login = Login { user: Some(("reader", "secret")), ..Login::default() };
    let mut all = Subscriber::login(broker.port(), "alarmbus/#", login).await;
    let config = format!("[mqtt]\nserver = \"{}\"\nuser = \"bridge\"\npassword = \"secret\"\n", broker.url());
    let bridge = Bridge::start(&config).await;
    let camera = bridge.camera();
    for kind in ["PEOPLE", "MOTION", "VEHICLE"] {
        assert_eq!(camera.json(&report(kind)).await.status, 200);
    }
    all.topic(&format!("alarmbus/{CAMERA}/event/person")).await;
    all.topic(&format!("alarmbus/{CAMERA}/event/vehicle")).await;
    let health = all
        .wait_for(SOON, |m| {
            let health = || m.json();
            m.topic == "alarmbus/bridge/health" && health()["parked"] == 1 && health()["backlog"] == 0
        })
        .await
        .json();
    assert_valid("bridge_health", &health);
    let problems = health["problems"].as_array().unwrap();
    let parked = problems.iter().find(|problem| problem["code"] == "parked").expect("a finding");
    let detail = parked["detail"].as_str().unwrap();
    assert!(detail.contains("event/motion"), "{detail}");
    assert!(bridge.log().lines().any(|line| line.contains("parked") && line.contains("event/motion")));
    assert!(all.drain().iter().all(|m| !m.topic.contains("event/motion")));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_is_lines_of_json() {
    let bridge = Bridge::start("[stdout]\nenabled = true\n[activity]\nhold_seconds = 1\n").await;
    assert_eq!(bridge.mqtt(), None, "a sink is on, so no broker of our own is needed");
    bridge.camera().multipart(&report("PEOPLE"), &jpeg(9)).await;
    let lines = eventually(SOON, "event, start and end on standard output", async || {
        let log = bridge.log();
        let lines: Vec<serde_json::Value> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 3).then_some(lines)
    })
    .await;
    assert_valid("alarm", &lines[0]);
    assert!(lines[0]["snapshot"]["topic"].is_null(), "no picture is sent there: {}", lines[0]);
    assert_eq!(lines[0]["snapshot"]["sha256"], sha256(&jpeg(9)));
    for (line, phase) in lines[1..].iter().zip(["start", "end"]) {
        assert_valid("activity", line);
        assert_eq!(line["phase"], phase);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_sink_a_broker_of_its_own_carries_everything() {
    let bridge = Bridge::start("").await;
    let url = bridge.mqtt().expect("the embedded broker runs").to_owned();
    let port = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let line =
        format!("mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'alarmbus/+/event/+' -t 'alarmbus/+/state/+'");
    eventually(SOON, "the command of the banner", async || bridge.log().contains(&line).then_some(())).await;
    let mut all = Subscriber::connect(port, "alarmbus/#").await;
    let picture = jpeg(3);
    bridge.camera().multipart(&report("PEOPLE"), &picture).await;
    let event = all.topic(&format!("alarmbus/{CAMERA}/event/person")).await;
    assert_valid("alarm", &event.json());
    assert_eq!(all.topic(&format!("alarmbus/{CAMERA}/state/person")).await.text(), "ON");
    assert_eq!(all.topic(&format!("alarmbus/{CAMERA}/snapshot")).await.payload, picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_stays_over_restarts_and_numbers_go_on() {
    let mut bridge = Bridge::start("[stdout]\nenabled = true\n").await;
    let path = bridge.camera().path;
    let events = |bridge: &Bridge| -> Vec<serde_json::Value> {
        let log = bridge.log();
        let json = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        json.filter(|line| line["seq"].is_u64()).collect()
    };
    bridge.camera().json(&report("PEOPLE")).await;
    let first = eventually(SOON, "the first event", async || events(&bridge).pop()).await;
    bridge.kill();
    bridge.restart().await;
    assert_eq!(bridge.camera().path, path);
    bridge.camera().json(&report_of("98-ba-5f-8b-10-04", "PEOPLE")).await;
    bridge.camera().json(&report("PEOPLE")).await;
    let second = eventually(SOON, "the next event", async || {
        events(&bridge).into_iter().find(|event| event["source"] == CAMERA && event["id"] != first["id"])
    })
    .await;
    assert_eq!(second["seq"].as_u64(), first["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(second["activity_id"], first["activity_id"], "the activity went on over the restart");
    assert_eq!(second["phase"], "update");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_every_sink_beside_a_running_bridge() {
    let (broker, nats) = (Mosquitto::start().await, Nats::start().await);
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[nats]\nservers = [\"{}\"]\n", broker.url(), nats.url());
    let bridge = Bridge::start(&config).await;
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    let (status, output) = bridge.command(&["check"]).await;
    assert!(status.success(), "{output}");
    for what in ["ok      mqtt: ", "ok      nats: "] {
        assert!(output.lines().any(|line| line.starts_with(what)), "{what} is missing:\n{output}");
    }
    // The bridge keeps its session: its next alarm arrives on it.
    bridge.camera().json(&report("PEOPLE")).await;
    all.wait_for(SOON, |m| m.topic.contains("/event/person")).await;
    let states: Vec<String> = all
        .drain()
        .iter()
        .filter(|m| m.topic == "alarmbus/bridge/state")
        .map(|m| m.text().to_owned())
        .collect();
    assert_eq!(states, Vec::<String>::new(), "check publishes nothing and takes no session over");

    let config = format!(
        "[mqtt]\nserver = \"mqtt://127.0.0.1:{}\"\n[nats]\nservers = [\"{}\"]\n",
        port::free(),
        nats.url()
    );
    let other = Bridge::prepare(&config);
    let (status, output) = other.command(&["check"]).await;
    assert_eq!(status.code(), Some(69), "{output}");
    let line = output.lines().find(|line| line.starts_with("FAILED  mqtt: ")).expect("mqtt is down");
    assert!(line.contains("nothing listens") && line.contains("start the broker"), "{line}");
}
