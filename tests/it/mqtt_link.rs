//! The MQTT sink when the connection fails or breaks: each cause has its own message, and nothing is sent again.

use std::time::Duration;

use alarmbus::config::Secret;
use alarmbus::config::sinks::MqttVersion;
use alarmbus::sink::mqtt::{MqttSettings, MqttSink};
use alarmbus::sink::{Notice, Outcome, Retained, Sink, SinkDown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::mqtt_sink::{EVENT, connect, deliver, message, notice, settings};
use crate::support::mosquitto::Settings;
use crate::support::{Mosquitto, SOON, Subscriber, port};

/// Error of a connect.
async fn failure(settings: MqttSettings) -> SinkDown {
    let failed = timeout(SOON, MqttSink::new(settings).connect()).await.expect("a verdict in time");
    failed.expect_err("it cannot connect")
}

#[track_caller]
fn check(down: &SinkDown, code: &str, words: &str) {
    assert_eq!(down.code.as_str(), code, "{}", down.reason);
    assert!(down.reason.contains(words), "{}", down.reason);
}

/// The end of a session.
async fn down(sink: &mut MqttSink) -> SinkDown {
    match notice(sink, |notice| matches!(notice, Notice::Down(_))).await {
        Notice::Down(down) => down,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let closed = settings(&format!("mqtt://127.0.0.1:{}", port::free()), |_| ());
    check(&failure(closed).await, "broker_unreachable", "nothing listens at 127.0.0.1:");
    let unknown = settings("mqtt://no-such-broker.invalid", |_| ());
    check(&failure(unknown).await, "broker_unreachable", "\"no-such-broker.invalid\" is not known to DNS");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let broker = Mosquitto::with(Settings { users: vec![("cam", "right")], ..Settings::default() }).await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let down = failure(settings(&broker.url(), |config| {
            config.version = version;
            (config.user, config.password) = (Some("cam".into()), Some(Secret::new("wrong-word")));
        }))
        .await;
        check(&down, "broker_refused", "user \"cam\"");
        assert!(
            down.reason.contains("mqtt.password") && !down.reason.contains("wrong-word"),
            "{}",
            down.reason
        );
    }
}

#[tokio::test]
async fn a_port_that_is_no_broker_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 16];
            assert!(stream.read(&mut some).await.is_ok_and(|bytes| 0 < bytes), "a CONNECT");
        }
    });
    let down = failure(settings(&format!("mqtt://{address}"), |_| ())).await;
    check(&down, "broker_unreachable", "closed the connection instead of answering");
}

#[tokio::test]
async fn a_hanging_broker_is_given_up_after_ten_seconds() {
    let broker = Mosquitto::start().await;
    broker.freeze();
    let began = Instant::now();
    let down = failure(settings(&broker.url(), |_| ())).await;
    check(&down, "broker_unreachable", "did not answer within 10 s");
    assert!((9..13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    broker.thaw();
}

#[tokio::test]
async fn a_client_id_taken_over_is_said() {
    // mosquitto 2.0 closes without a reason, so the sentence names this cause among others.
    let broker = Mosquitto::start().await;
    let (mut first, _) = connect(settings(&broker.url(), |_| ())).await;
    let (_second, _) = connect(settings(&broker.url(), |_| ())).await;
    check(&down(&mut first).await, "broker_unreachable", "another client uses the client id \"alarmbus-it\"");
}

#[tokio::test]
async fn a_killed_broker_drops_the_receipts_and_nothing_is_sent_twice() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let mut broker = Mosquitto::start().await;
        let (mut sink, _) = connect(settings(&broker.url(), |config| config.version = version)).await;
        assert!(matches!(deliver(&mut sink, message(EVENT, "0", false)).await, Outcome::Delivered { .. }));
        broker.freeze();
        let mut receipts = Vec::new();
        for n in 1..=10 {
            receipts.push(sink.send(message(EVENT, n.to_string(), false)).await.expect("a place"));
        }
        broker.kill();
        for receipt in receipts {
            assert!(timeout(SOON, receipt).await.expect("in time").is_err(), "dropped without an outcome");
        }
        let error = sink.send(message(EVENT, "x", false)).await.expect_err("the session is over");
        assert_eq!(error.code.as_str(), "broker_unreachable");
        check(&down(&mut sink).await, "broker_unreachable", "closed the connection");
        assert!(timeout(Duration::from_millis(100), sink.notice()).await.is_err(), "said once");

        broker.restart().await;
        let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
        sink.connect().await.expect("the broker is back");
        assert!(matches!(
            deliver(&mut sink, message(EVENT, "after", false)).await,
            Outcome::Delivered { .. }
        ));
        assert_eq!(subscriber.topic(EVENT).await.text(), "after");
        assert!(subscriber.drain().is_empty(), "nothing of the old session came");
    }
}

#[tokio::test]
async fn a_frozen_broker_ends_the_session_by_the_keep_alive() {
    let broker = Mosquitto::start().await;
    for (version, payload) in [(MqttVersion::V5, 100), (MqttVersion::V311, 100), (MqttVersion::V5, 3_000_000)]
    {
        let (mut sink, _) = connect(settings(&broker.url(), |config| {
            (config.version, config.keep_alive_seconds) = (version, 1);
        }))
        .await;
        broker.freeze();
        let mut receipts = Vec::new();
        for _ in 0..10 {
            // Large messages wait for room, until the connection ends.
            let Ok(receipt) = sink.send(message(EVENT, vec![0; payload], false)).await else { break };
            receipts.push(receipt);
        }
        assert!(payload > 100 || receipts.len() == 10, "small ones have a place");
        let began = Instant::now();
        check(&down(&mut sink).await, "broker_unreachable", "no sign of life");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        for receipt in receipts {
            assert!(timeout(SOON, receipt).await.expect("in time").is_err());
        }
        broker.thaw();
    }
}

#[tokio::test]
async fn a_stopped_broker_is_named() {
    let mut broker = Mosquitto::start().await;
    let (mut sink, _) = connect(settings(&broker.url(), |_| ())).await;
    broker.stop().await;
    check(&down(&mut sink).await, "broker_unreachable", "it was stopped");
}

#[tokio::test]
async fn a_message_that_cuts_the_link_is_named() {
    let limit = Settings { extra: "message_size_limit 1000", ..Settings::default() };
    let broker = Mosquitto::with(limit).await;
    let (mut sink, _) = connect(settings(&broker.url(), |_| ())).await;
    let receipt = sink.send(message(EVENT, vec![b'x'; 2_000], false)).await.expect("a place");
    assert!(timeout(SOON, receipt).await.expect("in time").is_err(), "dropped");
    check(&down(&mut sink).await, "message_too_large", "refuses a message for its size (PUBACK 0x95)");
}

/// Settings for a peer that reads a CONNECT, answers these bytes, and then stays silent or closes.
async fn peer(answer: &'static [u8], hangs_up: bool) -> MqttSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the bridge connects");
        let mut connect = [0; 512];
        assert!(stream.read(&mut connect).await.is_ok_and(|bytes| 0 < bytes), "a CONNECT");
        stream.write_all(answer).await.expect("answered");
        if !hangs_up {
            stream.read_to_end(&mut Vec::new()).await.ok();
        }
    });
    settings(&format!("mqtt://{address}"), |_| ())
}

#[tokio::test]
async fn a_goodbye_with_a_reason_is_passed_on() {
    // CONNACK, then DISCONNECT with a reason code (MQTT 5, sections 3.2 and 3.14.2.1).
    for (answer, code, words) in [
        (
            &[0x20, 3, 0, 0, 0, 0xE0, 2, 0x97, 0],
            "broker_unreachable",
            "QuotaExceeded (0x97) a quota is exhausted",
        ),
        (&[0x20, 3, 0, 0, 0, 0xE0, 2, 0x8B, 0], "broker_unreachable", "it shuts down"),
        (&[0x20, 3, 0, 0, 0, 0xE0, 2, 0x95, 0], "broker_unreachable", "a message was over its packet limit"),
        (&[0x20, 3, 0, 0, 0, 0xE0, 2, 0x8E, 0], "broker_taken_over", "\"alarmbus-it\""),
    ] {
        let (mut sink, _) = connect(peer(answer, false).await).await;
        check(&down(&mut sink).await, code, words);
    }
}

#[tokio::test]
async fn a_broker_that_knows_only_mqtt_3_1_1_is_named() {
    // The CONNACK of MQTT 3.1.1, return code 1: unacceptable protocol version.
    let down = failure(peer(&[0x20, 2, 0, 1], true).await).await;
    assert!(down.reason.contains("mqtt.version = \"3.1.1\""), "{}", down.reason);
}

#[tokio::test]
async fn a_broker_without_what_is_needed_is_refused() {
    // CONNACK properties: maximum QoS 0; retain available 0 (MQTT 5, section 3.2.2.3).
    check(
        &failure(peer(&[0x20, 5, 0, 0, 2, 0x24, 0], false).await).await,
        "broker_refused",
        "does not offer QoS 1",
    );
    check(
        &failure(peer(&[0x20, 5, 0, 0, 2, 0x25, 0], false).await).await,
        "broker_refused",
        "retained messages",
    );
}

#[tokio::test]
async fn a_subscription_without_an_answer_does_not_hold_the_pictures_for_ever() {
    let mut settings = peer(&[0x20, 3, 0, 0, 0], false).await;
    settings.last_token = Some("t1".into());
    let (mut sink, session) = connect(settings).await;
    assert_eq!(session.retained, Retained::Unknown);
    let verdict = notice(&mut sink, |notice| matches!(notice, Notice::Retained(_))).await;
    assert_eq!(verdict, Notice::Retained(Retained::Unreadable));
}
