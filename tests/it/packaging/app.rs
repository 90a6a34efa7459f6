//! The Home Assistant app: its description matches the program, and the program starts with a simulated Supervisor (a
//! real one needs an operating system of its own).

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use serde_yaml_ng::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{VERSION, docker, yaml};
use crate::support::alarms::report;
use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::web::{ask, get};
use crate::support::{Bridge, Mosquitto, SOON, Subscriber};

/// The token that the Supervisor gives.
const TOKEN: &str = "0123456789abcdef";

/// A simulated Supervisor that answers every request with this status and document; requests are sent to the channel.
async fn supervisor(status: &str, answer: serde_json::Value) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, asked) = mpsc::channel(8);
    let body = answer.to_string();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            if stream.write_all(answer.as_bytes()).await.is_err() {
                continue;
            }
            if sender.send(String::from_utf8_lossy(&request).into_owned()).await.is_err() {
                return;
            }
        }
    });
    (address, asked)
}

/// A bridge in the app's surroundings, not started yet.
fn app(supervisor: &str, options: &serde_json::Value, config: &str) -> Bridge {
    let mut bridge = Bridge::prepare(config);
    fs::create_dir_all(bridge.storage()).unwrap();
    fs::write(bridge.storage().join("options.json"), options.to_string()).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    bridge.environment(vec![pair("SUPERVISOR_TOKEN", TOKEN), pair("SUPERVISOR", supervisor)]);
    bridge
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_comes_from_the_supervisor_and_the_page_goes_through_ingress() {
    let users = vec![("addons", "p4ssword"), ("test", "test")];
    let broker = Mosquitto::with(Settings { users, ..Settings::default() }).await;
    let service = json!({"result": "ok", "data": {
        "addon": "core_mosquitto", "host": "127.0.0.1", "port": broker.port(), "ssl": false,
        "username": "addons", "password": "p4ssword", "protocol": "3.1.1",
    }});
    let (address, mut asked) = supervisor("200 OK", service).await;
    let options = json!({"log_level": "debug", "settings": ["activity.hold_seconds=1"]});
    let mut bridge = app(&address, &options, "[admin]\npassword = \"p4ge\"\nproxies = [\"127.0.0.1\"]\n");
    bridge.restart().await;

    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("GET /services/mqtt HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nAuthorization: Bearer {TOKEN}\r\n")), "{request}");
    assert!(!bridge.log().contains(TOKEN) && !bridge.log().contains("p4ssword"), "{}", bridge.log());

    let login = Login { user: Some(("test", "test")), ..Login::default() };
    let mut events = Subscriber::login(broker.port(), "alarmbus/+/+/#", login).await;
    assert_eq!(bridge.camera().json(&report(7, "PEOPLE")).await.status, 200);
    events.wait_for(SOON, |message| message.topic.ends_with("/event/person")).await;
    // The hold of one second was set in the dialog.
    events
        .wait_for(SOON, |message| message.topic.ends_with("/state/person") && message.text() == "OFF")
        .await;

    let headers = ["X-Ingress-Path: /api/hassio_ingress/t0ken", "X-Remote-User-Id: u"];
    let page = get(bridge.admin(), "/", &headers).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'self'"), "{page:?}");
    let text = page.text();
    for link in ["href=\"", "src=\"", "action=\"", "data-events=\""] {
        for target in text.split(link).skip(1) {
            assert!(
                !target.starts_with('/') || target.starts_with("/api/hassio_ingress/t0ken/"),
                "{link}{target}"
            );
        }
    }
    assert!(text.contains("href=\"/api/hassio_ingress/t0ken/setup\""), "{text}");
    let source = crate::support::alarms::source(7);
    let rename = format!("POST /devices/{source}/rename");
    let answer = ask(bridge.admin(), &rename, &headers, "name=Gate").await;
    let location = answer.header("location").unwrap_or_default().to_owned();
    assert!(answer.status == 303 && location.starts_with("/api/hassio_ingress/t0ken/"), "{answer:?}");
    // Other clients have to log in.
    assert_ne!(get(bridge.admin(), "/", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_it_says_so_and_takes_alarms() {
    let error = json!({"result": "error", "message": "Service not enabled"});
    let (address, _asked) = supervisor("400 Bad Request", error).await;
    let mut bridge = app(&address, &json!({}), "");
    bridge.restart().await;
    assert!(bridge.log().contains("install the Mosquitto broker"), "{}", bridge.log());
    assert_eq!(bridge.camera().json(&report(7, "PEOPLE")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_ones_own_goes_first_and_mistakes_are_named() {
    let (address, mut asked) = supervisor("500 Internal Server Error", json!({})).await;
    let broker = Mosquitto::start().await;
    let mut bridge = app(&address, &json!({"mqtt_server": broker.url(), "mqtt_user": null}), "");
    bridge.restart().await;
    assert!(asked.try_recv().is_err(), "the Supervisor was asked");

    let file = bridge.storage().join("options.json");
    bridge.kill();
    for (options, expected) in [
        (
            "{\"settings\": [\"mqtt.sever=x\"]}",
            "option settings: mqtt.sever: no such key: did you mean server?",
        ),
        ("{\"log_level\": \"loud\"}", "option log_level"),
        ("{", "options.json: is not a JSON object"),
        ("{}", "the Supervisor does not report the address of the MQTT broker"),
    ] {
        fs::write(&file, options).unwrap();
        let (status, log) = bridge.command(&["serve"]).await;
        assert!(!status.success() && log.contains(expected), "{options}: {status}: {log}");
    }
}

/// The keys of a mapping.
fn keys(value: &Value) -> BTreeSet<String> {
    let keys = value.as_mapping().expect("a mapping").keys();
    keys.map(|key| key.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn its_description_is_whole() {
    let config = yaml("home-assistant-app/config.yaml");
    for key in
        ["name", "version", "slug", "description", "arch", "startup", "options", "schema", "ingress_port"]
    {
        assert!(!config[key].is_null(), "config.yaml has no {key}");
    }
    assert_eq!(config["version"], VERSION);
    assert_eq!(config["services"][0], "mqtt:want");
    let schema = keys(&config["schema"]);
    assert!(keys(&config["options"]).is_subset(&schema));
    for (option, kind) in config["schema"].as_mapping().unwrap() {
        let Some(kind) = kind.as_str() else { continue };
        let optional = kind.ends_with('?');
        let given = !config["options"][option].is_null();
        assert!(optional != given, "{option:?} is neither optional nor given, or both");
    }
}

#[test]
fn its_translations_and_images_are_whole() {
    let config = yaml("home-assistant-app/config.yaml");
    let schema = keys(&config["schema"]);
    for language in ["en", "de"] {
        let translation = yaml(&format!("home-assistant-app/translations/{language}.yaml"));
        assert_eq!(keys(&translation["configuration"]), schema, "{language}");
        assert_eq!(keys(&translation["network"]), keys(&config["ports"]), "{language}");
    }
    for (name, width, height) in [("icon.png", 128, 128), ("logo.png", 372, 100)] {
        let image = fs::read(docker("home-assistant-app").join(name)).unwrap();
        let number = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
        assert!(image.starts_with(b"\x89PNG"), "{name}");
        assert_eq!((number(16), number(20)), (width, height), "{name}");
    }
    for page in ["DOCS.md", "README.md", "CHANGELOG.md"] {
        assert!(docker("home-assistant-app").join(page).try_exists().unwrap(), "{page}");
    }
}

/// Every option of the dialog is known to the program and sets the key it is named after.
#[tokio::test(flavor = "multi_thread")]
async fn every_option_is_known() {
    let config = yaml("home-assistant-app/config.yaml");
    let values = json!({
        "mqtt_server": "mqtt://127.0.0.1:1", "mqtt_user": "u", "mqtt_password": "p", "public_url": "https://a.example",
        "timezone": "Europe/Berlin", "log_level": "debug", "settings": ["activity.hold_seconds=7"],
    });
    let named: BTreeSet<String> = values.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys(&config["schema"]), named);
    let bridge = app("127.0.0.1:1", &values, "");
    let (status, printed) = bridge.command(&["check", "--print"]).await;
    assert!(status.success(), "{printed}");
    let keys =
        ["mqtt.server", "mqtt.user", "mqtt.password", "admin.public_url", "time.timezone", "log.level"];
    for key in [keys.as_slice(), &["activity.hold_seconds"]].concat() {
        let line = printed.lines().find(|line| line.starts_with(&format!("{key} = ")));
        assert!(line.is_some_and(|line| line.contains("# option ")), "{key}: {printed}");
    }
}
