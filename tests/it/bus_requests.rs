//! Requests and mutes over the broker, through real brokers.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::mosquitto::Settings;
use crate::support::published::{CAMERA, report};
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually, nats_client};

const ON: &str = "[requests]\nenabled = true\n";

/// A broker, a subscriber to everything, and a bridge with one alarm that publishes to the broker.
async fn started(config: &str) -> (Mosquitto, Subscriber, Bridge) {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "#").await;
    let bridge = Bridge::start(&format!("[mqtt]\nserver = \"{}\"\n{config}", broker.url())).await;
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    assert_eq!(bridge.camera().json(&report("PEOPLE")).await.status, 200);
    all.topic(&format!("alarmbus/{CAMERA}/event/person")).await;
    (broker, all, bridge)
}

/// Sends a request with a response topic and correlation data, as of MQTT 5; returns the answer.
async fn ask(port: u16, verb: &str, body: &Value, response: &str) -> Value {
    let mut command = Command::new("mosquitto_rr");
    command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &port.to_string(), "-W", "20", "-e", response]);
    command.args(["-t", &format!("alarmbus/bridge/request/{verb}"), "-m", &body.to_string()]);
    command.args(["-D", "publish", "correlation-data", "7", "-F", "%D %p"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (correlation, payload) = text.trim().split_once(' ').unwrap_or_else(|| panic!("{verb}: {text:?}"));
    assert_eq!(correlation, "7", "{text}");
    serde_json::from_str(payload).unwrap_or_else(|error| panic!("{verb}: {error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_at_their_response_topic() {
    let (broker, mut all, bridge) = started(ON).await;
    let at = async |verb: &str, body: Value| ask(broker.port(), verb, &body, "me/answer").await;
    let list = at("list", json!({})).await;
    assert_eq!((&list["ok"], list["data"]["devices"][0]["source"].as_str()), (&json!(true), Some(CAMERA)));
    assert_eq!(
        at("rename", json!({"source": CAMERA, "name": "Gate", "id": 4})).await,
        json!({"ok": true, "data": {}, "id": 4})
    );
    assert_eq!(bridge.api(&format!("/devices/{CAMERA}")).await["name"], "Gate");
    let alarm = bridge.api("/alarms").await["alarms"][0]["alarm"]["id"].clone();
    assert_eq!(at("replay", json!({"alarm": alarm})).await["ok"], true);
    let again = all.wait_for(SOON, |m| m.topic.ends_with("/event/person")).await.json();
    assert_eq!((&again["id"], &again["replayed"]), (&alarm, &json!(true)));
    assert_eq!(at("clear", json!({"source": CAMERA})).await["ok"], true);
    all.wait_for(SOON, |m| m.topic.ends_with("/state/person") && m.text() == "OFF").await;

    for (verb, body, status, words) in [
        ("clear", json!({"source": CAMERA}), 404, "activity in progress"),
        ("rename", json!({"source": "nobody", "name": "x"}), 404, "device of this source"),
        ("rename", json!({"source": CAMERA}), 400, "missing field `name`"),
        ("mute", json!({"source": CAMERA, "seconds": 0}), 400, "1 to"),
        ("mute", json!({"source": CAMERA, "span": 9}), 400, "unknown field `span`"),
        ("explode", json!({}), 404, "no request \"explode\""),
        ("list", json!(["x"]), 400, "not a JSON object"),
    ] {
        let answer = at(verb, body).await;
        assert_eq!((&answer["ok"], answer["status"].as_u64()), (&json!(false), Some(status)), "{answer}");
        assert!(
            answer["detail"].as_str().unwrap().contains(words)
                || answer["remedy"].as_str().unwrap().contains(words),
            "{answer}"
        );
        assert!(!answer["remedy"].as_str().unwrap().is_empty(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_response_topic_the_answer_comes_at_the_usual_one() {
    let (_broker, mut all, _bridge) = started(&format!("version = \"3.1.1\"\n{ON}")).await;
    all.publish("alarmbus/bridge/request/list", b"{\"limit\":1}", false).await;
    let answer = all.topic("alarmbus/bridge/response/list").await;
    assert!(!answer.retain && answer.json()["ok"] == true, "{answer:?}");
}

/// A retained request is executed once, when it is sent, and never again at a reconnect; odd payloads get an answer, and a
/// huge one does no harm. With a second broker, each answers its own clients about the same devices.
#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_do_no_harm_and_each_broker_has_its_answer() {
    let nats = Nats::start().await;
    let reader = NatsReader::connect(&nats.url()).await;
    let (broker, mut all, mut bridge) =
        started(&format!("{ON}[nats]\nservers = [\"{}\"]\njetstream = false\n", nats.url())).await;
    let ask = |verb: &str| format!("alarmbus/bridge/request/{verb}");
    let mut lists = Subscriber::connect(broker.port(), "alarmbus/bridge/response/list").await;
    all.publish(&ask("list"), b"{\"id\":\"kept\"}", true).await;
    let answer = lists.topic("alarmbus/bridge/response/list").await.json();
    assert_eq!((&answer["ok"], &answer["id"]), (&json!(true), &json!("kept")));
    bridge.terminate().await;
    bridge.restart().await;
    all.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    for (verb, payload, status) in [
        ("rename", &b"\xff\xfe{"[..], 400),
        ("explode", b"{}", 404),
        ("clear", b"[1,2]", 400),
        ("mute", &[b'['; 5_000], 400),
    ] {
        all.publish(&ask(verb), payload, false).await;
        let answer = all.topic(&format!("alarmbus/bridge/response/{verb}")).await.json();
        assert_eq!((&answer["ok"], answer["status"].as_u64()), (&json!(false), Some(status)), "{answer}");
    }
    all.publish(&ask("rename"), &vec![b' '; 2 << 20], false).await;
    all.publish(&ask("list"), b"{\"id\":\"second\"}", false).await;
    let answer = lists.topic("alarmbus/bridge/response/list").await.json();
    assert_eq!(answer["id"], "second", "the retained request was executed again");
    let renamed = json!({"source": CAMERA, "name": "Gate"}).to_string();
    all.publish(&ask("rename"), renamed.as_bytes(), false).await;
    assert_eq!(all.topic("alarmbus/bridge/response/rename").await.json()["ok"], true);
    let list = reader.client().request("alarmbus.bridge.request.list", "{}".into()).await.unwrap();
    let list: Value = serde_json::from_slice(&list.payload).unwrap();
    assert_eq!(list["data"]["devices"][0]["name"], "Gate", "{list}");
    assert_eq!(bridge.api("/sinks").await["sinks"].as_array().map(Vec::len), Some(2));
}

/// Answers cannot be sent to topics of the bridge.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_topic_of_the_bridges_own_is_refused() {
    let (broker, mut all, _bridge) = started(ON).await;
    let port = broker.port().to_string();
    let response = format!("alarmbus/{CAMERA}/state/person");
    let arguments =
        ["-V", "mqttv5", "-h", "127.0.0.1", "-p", &port, "-t", "alarmbus/bridge/request/list", "-m", "{}"];
    let sent = Command::new("mosquitto_pub")
        .args(arguments)
        .args(["-D", "publish", "response-topic", &response])
        .status();
    assert!(sent.unwrap().success());
    let answer = all.topic("alarmbus/bridge/response/list").await.json();
    assert_eq!(answer["status"], 400, "{answer}");
    let wrong = all.drain().into_iter().find(|m| m.topic == response && m.text().starts_with('{'));
    assert!(wrong.is_none(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_unless_it_is_enabled() {
    let (broker, all, bridge) = started("[requests]\nmute_topic = false\n").await;
    all.publish(
        "alarmbus/bridge/request/rename",
        format!("{{\"source\":\"{CAMERA}\",\"name\":\"x\"}}").as_bytes(),
        false,
    )
    .await;
    all.publish(&format!("alarmbus/{CAMERA}/mute/set"), b"ON", false).await;
    // An effect of the request would have been published before this alarm.
    bridge.camera().json(&report("VEHICLE")).await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/+/last").await;
    all.wait_for(SOON, |m| m.json()["event"] == "vehicle").await;
    let device = bridge.api(&format!("/devices/{CAMERA}")).await;
    assert_ne!(device["name"], "x");
    assert_eq!(device["mutes"], json!([]));
}

/// The broker's access list decides who may send requests.
#[tokio::test(flavor = "multi_thread")]
async fn the_access_list_of_the_broker_says_who_may_ask() {
    let acl = "user bridge\ntopic readwrite #\nuser guest\ntopic read #\ntopic readwrite alarmbus/bridge/request/list\n";
    let users = vec![("bridge", "b"), ("guest", "g")];
    let broker = Mosquitto::with(Settings { acl: Some(acl), users, ..Settings::default() }).await;
    let login = crate::support::mqtt_client::Login { user: Some(("guest", "g")), session: None };
    let mut guest = Subscriber::login(broker.port(), "alarmbus/bridge/#", login).await;
    let config = format!("[mqtt]\nserver = \"{}\"\nuser = \"bridge\"\npassword = \"b\"\n{ON}", broker.url());
    let bridge = Bridge::start(&config).await;
    guest.wait_for(SOON, |m| m.topic == "alarmbus/bridge/state" && m.text() == "online").await;
    bridge.camera().json(&report("PEOPLE")).await;
    let body = format!("{{\"source\":\"{CAMERA}\",\"name\":\"x\"}}");
    assert_eq!(
        guest.publish("alarmbus/bridge/request/rename", body.as_bytes(), false).await,
        "NotAuthorized"
    );
    guest.publish("alarmbus/bridge/request/list", b"{}", false).await;
    let list = guest.topic("alarmbus/bridge/response/list").await.json();
    assert_ne!(list["data"]["devices"][0]["name"], "x", "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_marks_alarms_ends_by_itself_and_survives_a_restart() {
    let (broker, mut all, mut bridge) = started("").await;
    let set = format!("alarmbus/{CAMERA}/mute/set");
    let device = format!("alarmbus/{CAMERA}/device");
    all.publish(&set, b"ON", false).await;
    let muted = all.wait_for(SOON, |m| m.topic == device && m.json()["muted"] == true).await.json();
    assert_eq!(muted["mutes"], json!([{"event": null, "until": null}]));
    bridge.restart().await;
    bridge.camera().json(&report("VEHICLE")).await;
    let event = all.topic(&format!("alarmbus/{CAMERA}/event/vehicle")).await.json();
    assert_eq!(event["muted"], true);
    let activity = all.topic(&format!("alarmbus/{CAMERA}/activity/vehicle")).await.json();
    assert_eq!(activity["muted"], true);
    all.wait_for(SOON, |m| m.topic.ends_with("/state/vehicle") && m.text() == "ON").await;
    all.publish(&set, b"OFF", false).await;
    all.wait_for(SOON, |m| m.topic == device && m.json()["muted"] == false && !m.retain).await;
    all.publish(&set, br#"{"event":"pet","seconds":2}"#, false).await;
    all.wait_for(SOON, |m| m.topic == device && m.json()["mutes"][0]["event"] == "pet").await;
    bridge.camera().json(&report("PET")).await;
    assert_eq!(all.topic(&format!("alarmbus/{CAMERA}/event/pet")).await.json()["muted"], true);
    all.wait_for(SOON, |m| m.topic == device && m.json()["mutes"] == json!([])).await;
    all.publish(&set, b"perhaps", false).await;
    let codes = async || bridge.api("/findings").await["findings"].to_string();
    eventually(SOON, "the finding", async || codes().await.contains("bus_request_refused").then_some(()))
        .await;
    drop(broker);
}

#[tokio::test(flavor = "multi_thread")]
async fn home_assistant_gets_a_switch_and_no_event_of_what_is_muted() {
    let (_broker, mut all, bridge) = started("").await;
    let topic = format!("homeassistant/device/alarmbus_{CAMERA}/config");
    bridge.camera().json(&report("doorbell")).await;
    let announced =
        all.wait_for(SOON, |m| m.topic == topic && m.json()["cmps"]["doorbell"].is_object()).await.json();
    let switch = &announced["cmps"]["mute-switch"];
    assert_eq!(
        (switch["p"].as_str(), switch["cmd_t"].as_str()),
        (Some("switch"), Some(&*format!("alarmbus/{CAMERA}/mute/set")))
    );
    for key in ["alarm", "doorbell"] {
        let template = announced["cmps"][key]["val_tpl"].as_str().unwrap();
        assert!(template.contains("not value_json.muted"), "{key}: {template}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_requests_are_answered() {
    let nats = Nats::start().await;
    let reader = NatsReader::connect(&nats.url()).await;
    let mut events = reader.subscribe("alarmbus.*.event.*").await;
    let bridge = Bridge::start(&format!("[nats]\nservers = [\"{}\"]\n{ON}", nats.url())).await;
    bridge.camera().json(&report("VEHICLE")).await;
    nats_client::next(&mut events).await;
    let ask = async |verb: &str, body: Value| -> Value {
        let subject = format!("alarmbus.bridge.request.{verb}");
        let answer = reader.client().request(subject, body.to_string().into()).await.expect("an answer");
        serde_json::from_slice(&answer.payload).unwrap()
    };
    assert_eq!(ask("list", json!({})).await["data"]["devices"][0]["source"], CAMERA);
    assert_eq!(ask("mute", json!({"source": CAMERA, "event": "vehicle", "seconds": 600})).await["ok"], true);
    bridge.camera().json(&report("VEHICLE")).await;
    let event: Value = serde_json::from_slice(&nats_client::next(&mut events).await.payload).unwrap();
    assert_eq!(event["muted"], true);
    assert_eq!(ask("unmute", json!({"source": CAMERA})).await["ok"], true);
    let error = ask("unmute", json!({"source": CAMERA})).await;
    assert_eq!((&error["ok"], error["status"].as_u64()), (&json!(false), Some(404)), "{error}");
    let mut usual = reader.subscribe("alarmbus.bridge.response.list").await;
    reader.client().publish("alarmbus.bridge.request.list", "{}".into()).await.unwrap();
    assert!(nats_client::next(&mut usual).await.payload.starts_with(b"{"));

    // A client that may only ask reaches neither events nor the server through the reply subject.
    for own in [format!("alarmbus.{CAMERA}.event.vehicle"), "$JS.API.STREAM.DELETE.ALARMBUS".into()] {
        let client = reader.client();
        client.publish_with_reply("alarmbus.bridge.request.list", own, "{}".into()).await.unwrap();
        let refused: Value = serde_json::from_slice(&nats_client::next(&mut usual).await.payload).unwrap();
        assert_eq!((&refused["ok"], refused["status"].as_u64()), (&json!(false), Some(400)), "{refused}");
    }
    bridge.camera().json(&report("VEHICLE")).await;
    let event: Value = serde_json::from_slice(&nats_client::next(&mut events).await.payload).unwrap();
    assert_eq!(event["event"], "vehicle", "nothing came between, and the stream is there: {event}");
}
