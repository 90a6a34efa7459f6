//! The embedded broker with the MQTT sink and with real clients of both versions.

use std::net::TcpListener;
use std::process::Command;

use alarmbus::config::sinks::MqttVersion;
use alarmbus::config::{Broker, Secret};
use alarmbus::sink::embedded::EmbeddedBroker;
use alarmbus::sink::mqtt::MqttSink;
use alarmbus::sink::{Notice, Outcome, Retained, Sink};

use crate::mqtt_sink::{EVENT, connect, deliver, message, notice, settings};
use crate::support::process::Process;
use crate::support::{SOON, Subscriber, eventually};

fn on(address: &str) -> Broker {
    Broker { bind: address.parse().expect("an address"), ..Broker::default() }
}

async fn start() -> EmbeddedBroker {
    EmbeddedBroker::start(&on("127.0.0.1:0")).await.expect("it starts")
}

#[tokio::test]
async fn both_versions_deliver_to_both_versions_and_the_audience_is_known() {
    let embedded = start().await;
    let url = format!("mqtt://{}", embedded.addr);
    let mut sink = MqttSink::new(settings(&url, |_| ())).with_audience(embedded.audience.clone());
    sink.connect().await.expect("it accepts");
    let alone = deliver(&mut sink, message(EVENT, "{}", false)).await;
    assert_eq!(alone, Outcome::Delivered { object: None, heard: Some(false) });

    let port = embedded.addr.port().to_string();
    let mut old = Process::spawn(
        "mosquitto_sub",
        Command::new("mosquitto_sub").args([
            "-V",
            "311",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-t",
            "alarmbus/#",
            "-v",
        ]),
    );
    let mut new = Subscriber::connect(embedded.addr.port(), "alarmbus/+/event/+").await;
    eventually(SOON, "two subscribers", async || (embedded.audience.subscribers() == 2).then_some(())).await;
    let heard = deliver(&mut sink, message(EVENT, "one", false)).await;
    assert_eq!(heard, Outcome::Delivered { object: None, heard: Some(true) });
    assert_eq!(new.topic(EVENT).await.text(), "one");
    old.wait_for_line("person one").await;

    sink.close().await;
    let (mut sink, _) = connect(settings(&url, |config| config.version = MqttVersion::V311)).await;
    deliver(&mut sink, message(EVENT, "two", false)).await;
    assert_eq!(new.topic(EVENT).await.text(), "two");
    drop((new, old));
    eventually(SOON, "nobody", async || (embedded.audience.subscribers() == 0).then_some(())).await;
    embedded.stop().await;
}

#[tokio::test]
async fn values_are_retained_and_the_token_is_kept() {
    let embedded = start().await;
    let (mut sink, session) = connect(settings(&format!("mqtt://{}", embedded.addr), |_| ())).await;
    let picture = vec![7_u8; 2_000_000];
    deliver(&mut sink, message("alarmbus/98ba5f8b1003/snapshot", picture.clone(), true)).await;
    deliver(&mut sink, message("alarmbus/bridge/token", session.token.expect("a token"), true)).await;
    sink.connect().await.expect("it accepts");
    let verdict = notice(&mut sink, |notice| matches!(notice, Notice::Retained(_))).await;
    assert_eq!(verdict, Notice::Retained(Retained::Kept));
    let mut subscriber = Subscriber::connect(embedded.addr.port(), "alarmbus/+/snapshot").await;
    assert_eq!(subscriber.topic("alarmbus/98ba5f8b1003/snapshot").await.payload, picture);
}

#[tokio::test]
async fn a_taken_port_moves_it_and_the_last_port_is_no_panic() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let embedded = EmbeddedBroker::start(&on(&address.to_string())).await.expect("the next free port");
    assert!(address.port() < embedded.addr.port(), "{}", embedded.addr);
    let last = TcpListener::bind("127.0.0.1:65535");
    let outcome = EmbeddedBroker::start(&on("127.0.0.1:65535")).await;
    if last.is_ok() {
        let error = outcome.expect_err("no port is left");
        assert!(error.contains("no free port from 127.0.0.1:65535"), "{error}");
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_needed_off_loopback() {
    let open = EmbeddedBroker::start(&on("0.0.0.0:0")).await.expect_err("refused");
    assert!(open.contains("set broker.user"), "{open}");
    let broker =
        Broker { user: Some("cam".into()), password: Some(Secret::new("right")), ..on("127.0.0.1:0") };
    let embedded = EmbeddedBroker::start(&broker).await.expect("it starts");
    let url = format!("mqtt://{}", embedded.addr);
    let login = |password: &'static str| {
        settings(&url, |config| {
            (config.user, config.password) = (Some("cam".into()), Some(Secret::new(password)));
        })
    };
    let refused = MqttSink::new(login("wrong")).connect().await.expect_err("refused");
    assert_eq!(refused.code.as_str(), "broker_refused", "{}", refused.reason);
    let anonymous = MqttSink::new(settings(&url, |_| ())).connect().await.expect_err("refused");
    assert_eq!(anonymous.code.as_str(), "broker_refused", "{}", anonymous.reason);
    let (mut sink, _) = connect(login("right")).await;
    assert!(matches!(deliver(&mut sink, message(EVENT, "{}", false)).await, Outcome::Delivered { .. }));
}
