//! The MQTT sink with a real mosquitto: meaning of receipts, data of a session.

use std::time::Duration;

use alarmbus::config::sinks::MqttVersion;
use alarmbus::config::{HomeAssistant, Mqtt as Config, Secret};
use alarmbus::findings::FindingCode;
use alarmbus::model::EventName;
use alarmbus::render::{Message, MessagePart};
use alarmbus::sink::mqtt::{MqttSettings, MqttSink};
use alarmbus::sink::{Notice, Outcome, RefusalCode, Retained, Session, Sink};
use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::mosquitto::Settings;
use crate::support::mqtt_client::Login;
use crate::support::{Mosquitto, SOON, Subscriber};

pub(crate) const EVENT: &str = "alarmbus/98ba5f8b1003/event/person";
const STATE: &str = "alarmbus/98ba5f8b1003/state/person";
const TOKEN: &str = "alarmbus/bridge/token";
const DISCOVERY: &str = "homeassistant/device/alarmbus_98ba5f8b1003/config";

/// Settings of a bridge with instance id `it`, changed as wanted.
pub(crate) fn settings(server: &str, change: impl FnOnce(&mut Config)) -> MqttSettings {
    let mut config = Config { server: Some(server.into()), ..Config::default() };
    change(&mut config);
    MqttSettings::new(&config, &HomeAssistant::default(), "it", None, None).expect("usable settings")
}

/// A connected sink.
pub(crate) async fn connect(settings: MqttSettings) -> (MqttSink, Session) {
    let mut sink = MqttSink::new(settings);
    let session = sink.connect().await.expect("the broker accepts");
    (sink, session)
}

pub(crate) fn message(topic: &str, payload: impl Into<Bytes>, retain: bool) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.into(),
        retain,
        content_type: "application/json",
        part: if retain { MessagePart::Value } else { MessagePart::Event },
        id: None,
        event: None,
        time: None,
        sha256: None,
        replay_of: None,
    }
}

/// Sends and waits for the outcome.
pub(crate) async fn deliver(sink: &mut MqttSink, message: Message) -> Outcome {
    let receipt = sink.send(message).await.expect("the session is up");
    timeout(SOON, receipt).await.expect("an outcome in time").expect("an outcome")
}

/// The first notice that matches.
pub(crate) async fn notice(sink: &mut MqttSink, wanted: impl Fn(&Notice) -> bool) -> Notice {
    let mut seen = Vec::new();
    let found = timeout(SOON, async {
        loop {
            let notice = sink.notice().await;
            if wanted(&notice) {
                return notice;
            }
            seen.push(notice);
        }
    });
    match found.await {
        Ok(notice) => notice,
        Err(_) => panic!("not told; came: {seen:?}"),
    }
}

#[tokio::test]
async fn a_delivery_carries_all_properties_and_values_are_retained() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let (mut sink, session) = connect(settings(&broker.url(), |config| config.expire_seconds = 60)).await;
    assert_eq!((session.window, session.retained), (20, Retained::Lost), "{session:?}");

    let id = Uuid::now_v7();
    let sent = Message {
        id: Some(id),
        event: Some(EventName::new("person")),
        time: Some("2026-10-05T16:25:31+08:00".into()),
        ..message(EVENT, "{}", false)
    };
    assert!(matches!(deliver(&mut sink, sent).await, Outcome::Delivered { .. }));
    let got = subscriber.topic(EVENT).await;
    assert_eq!((got.text(), got.content_type.as_deref()), ("{}", Some("application/json")));
    assert_eq!(got.property("id"), Some(id.to_string().as_str()));
    assert_eq!(got.property("event"), Some("person"));
    assert_eq!(got.property("time"), Some("2026-10-05T16:25:31+08:00"));

    assert!(matches!(deliver(&mut sink, message(STATE, "ON", true)).await, Outcome::Delivered { .. }));
    let mut late = Subscriber::connect(broker.port(), "alarmbus/+/state/+").await;
    let state = late.topic(STATE).await;
    assert_eq!((state.text(), state.retain), ("ON", true));
}

#[tokio::test]
async fn nobody_and_somebody_listening_are_told_apart() {
    let broker = Mosquitto::start().await;
    let (mut sink, _) = connect(settings(&broker.url(), |_| ())).await;
    let nobody = deliver(&mut sink, message(EVENT, "{}", false)).await;
    assert_eq!(nobody, Outcome::Delivered { object: None, heard: Some(false) });
    let _subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let somebody = deliver(&mut sink, message(EVENT, "{}", false)).await;
    assert_eq!(somebody, Outcome::Delivered { object: None, heard: Some(true) });
}

#[tokio::test]
async fn offline_is_published_when_the_bridge_dies_and_when_it_stops() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/bridge/state").await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let (sink, _) = connect(settings(&broker.url(), |config| config.version = version)).await;
        drop(sink);
        assert_eq!(subscriber.topic("alarmbus/bridge/state").await.text(), "offline", "the will");
        let (mut sink, _) = connect(settings(&broker.url(), |config| config.version = version)).await;
        timeout(Duration::from_secs(1), sink.close()).await.expect("a quick goodbye");
        assert_eq!(subscriber.topic("alarmbus/bridge/state").await.text(), "offline", "the goodbye");
    }
    let mut late = Subscriber::connect(broker.port(), "alarmbus/bridge/state").await;
    assert!(late.topic("alarmbus/bridge/state").await.retain);
    assert_eq!(late.drain().len() + subscriber.drain().len(), 0, "a clean stop says it once");
}

#[tokio::test]
async fn a_refusal_by_the_access_list_is_a_refusal_and_the_link_stays() {
    let broker = Mosquitto::with(Settings {
        users: vec![("cam", "secret"), ("all", "secret")],
        acl: Some("user cam\ntopic write alarmbus/98ba5f8b1003/state/#\nuser all\ntopic readwrite #\n"),
        ..Settings::default()
    })
    .await;
    let (mut sink, _) = connect(settings(&broker.url(), |config| {
        (config.user, config.password) = (Some("cam".into()), Some(Secret::new("secret")));
    }))
    .await;
    let Outcome::Refused(refusal) = deliver(&mut sink, message(EVENT, "{}", false)).await else {
        panic!("not refused");
    };
    assert_eq!(refusal.code, RefusalCode::Permission);
    assert!(refusal.reason.contains("0x87"), "{}", refusal.reason);
    assert!(matches!(deliver(&mut sink, message(STATE, "ON", true)).await, Outcome::Delivered { .. }));
}

#[tokio::test]
async fn the_window_is_the_brokers_and_everything_goes_through_it() {
    let broker = Mosquitto::with(Settings { extra: "max_inflight_messages 3", ..Settings::default() }).await;
    let mut subscriber = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let (mut sink, session) = connect(settings(&broker.url(), |_| ())).await;
    assert_eq!(session.window, 3);
    broker.freeze();
    let mut receipts = Vec::new();
    for n in 0..3 {
        receipts.push(sink.send(message(EVENT, n.to_string(), false)).await.expect("a place in the window"));
    }
    let full = timeout(Duration::from_millis(300), sink.send(message(EVENT, "3", false))).await;
    assert!(full.is_err(), "the fourth waits");
    broker.thaw();
    for n in 3..300 {
        receipts.push(sink.send(message(EVENT, n.to_string(), false)).await.expect("the session is up"));
    }
    for receipt in receipts {
        assert!(matches!(timeout(SOON, receipt).await, Ok(Ok(Outcome::Delivered { .. }))));
    }
    for n in 0..300 {
        assert_eq!(subscriber.topic(EVENT).await.text(), n.to_string(), "in order");
    }
}

#[tokio::test]
async fn a_message_over_the_brokers_limit_is_refused_here() {
    let broker = Mosquitto::with(Settings { max_packet_size: Some(10_000), ..Settings::default() }).await;
    let (mut sink, session) = connect(settings(&broker.url(), |_| ())).await;
    let fits = session.max_payload.expect("a limit");
    assert!((5_000..10_000).contains(&fits), "{fits}");
    let largest = deliver(&mut sink, message(EVENT, vec![b'x'; fits], false)).await;
    assert!(matches!(largest, Outcome::Delivered { .. }), "{largest:?}");
    let Outcome::Refused(refusal) = deliver(&mut sink, message(EVENT, vec![b'x'; 10_000], false)).await
    else {
        panic!("not refused");
    };
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    assert!(refusal.reason.contains("takes 10000"), "{}", refusal.reason);
    assert!(matches!(deliver(&mut sink, message(EVENT, "{}", false)).await, Outcome::Delivered { .. }));
}

#[tokio::test]
async fn the_retained_store_is_kept_lost_or_unreadable() {
    let mut broker = Mosquitto::start().await;
    let (mut sink, first) = connect(settings(&broker.url(), |_| ())).await;
    let token = first.token.expect("a token");
    assert!(matches!(
        deliver(&mut sink, message(TOKEN, token.clone(), true)).await,
        Outcome::Delivered { .. }
    ));

    let second = sink.connect().await.expect("the broker accepts");
    assert_eq!(second.retained, Retained::Unknown);
    let verdict = |notice: &Notice| matches!(notice, Notice::Retained(_));
    assert_eq!(notice(&mut sink, verdict).await, Notice::Retained(Retained::Kept));

    broker.restart().await;
    let mut restarted = MqttSettings { last_token: Some(token), ..settings(&broker.url(), |_| ()) };
    let (mut sink, _) = connect(restarted.clone()).await;
    assert_eq!(notice(&mut sink, verdict).await, Notice::Retained(Retained::Lost), "it kept nothing");

    let other = Subscriber::connect(broker.port(), "nothing").await;
    other.publish(TOKEN, b"somebody else's", true).await;
    restarted.client_id = "alarmbus-2".into();
    let (mut sink, _) = connect(restarted).await;
    assert_eq!(notice(&mut sink, verdict).await, Notice::Retained(Retained::Lost), "it is another's");
}

#[tokio::test]
async fn a_token_that_may_not_be_read_is_a_finding_and_no_loss() {
    let broker = Mosquitto::with(Settings {
        users: vec![("cam", "secret")],
        acl: Some("user cam\ntopic write alarmbus/#\n"),
        ..Settings::default()
    })
    .await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let mut settings = settings(&broker.url(), |config| {
            config.version = version;
            (config.user, config.password) = (Some("cam".into()), Some(Secret::new("secret")));
        });
        settings.last_token = Some("t1".into());
        let (mut sink, _) = connect(settings).await;
        let problem = notice(&mut sink, |notice| matches!(notice, Notice::Problem { .. })).await;
        assert!(
            matches!(problem, Notice::Problem { code: FindingCode::RetainedUnreadable, .. }),
            "{problem:?}"
        );
        let verdict = notice(&mut sink, |notice| matches!(notice, Notice::Retained(_))).await;
        assert_eq!(verdict, Notice::Retained(Retained::Unreadable));
    }
}

#[tokio::test]
async fn birth_and_deletions_by_others_are_told_and_our_own_are_not() {
    let broker = Mosquitto::start().await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let (mut sink, _) = connect(settings(&broker.url(), |config| config.version = version)).await;
        let other = Subscriber::connect(broker.port(), "nothing").await;
        // The subscription is in place when the first birth is heard.
        let born = async {
            loop {
                other.publish("homeassistant/status", b"online", false).await;
                if timeout(Duration::from_millis(200), sink.notice()).await == Ok(Notice::Birth) {
                    return;
                }
            }
        };
        timeout(SOON, born).await.expect("the birth is told");
        for payload in ["{}", ""] {
            deliver(&mut sink, message(DISCOVERY, payload, true)).await;
        }
        deliver(&mut sink, message(DISCOVERY, "{}", true)).await;
        other.publish(DISCOVERY, b"", true).await;
        other.publish("homeassistant/device/zigbee_1/config", b"", true).await;
        other.publish("homeassistant/status", b"online", false).await;
        let mut told = Vec::new();
        while told.last() != Some(&Notice::Birth) || told.len() < 2 {
            told.push(timeout(SOON, sink.notice()).await.expect("a notice"));
        }
        told.retain(|notice| *notice != Notice::Birth);
        assert_eq!(told, [Notice::Emptied(DISCOVERY.into())], "{version:?}");
    }
}

#[tokio::test]
async fn retained_states_are_read_back_all_of_them() {
    const STATES: usize = 3_000;
    let broker = Mosquitto::start().await;
    let (mut sink, _) = connect(settings(&broker.url(), |_| ())).await;
    for n in 0..STATES {
        let state = message(&format!("alarmbus/98ba5f8b{n:04}/state/person"), "ON", true);
        drop(sink.send(state).await.expect("the session is up"));
    }
    deliver(&mut sink, message("alarmbus/98ba5f8b1003/last", "{}", true)).await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let (mut sink, _) = connect(settings(&broker.url(), |config| {
            (config.version, config.client_id) = (version, Some("reader".into()));
        }))
        .await;
        sink.read_back("alarmbus/+/state/+").await.expect("the session is up");
        let mut topics = std::collections::BTreeSet::new();
        while topics.len() < STATES {
            let found = notice(&mut sink, |notice| matches!(notice, Notice::Found { .. })).await;
            let Notice::Found { topic, payload } = found else { unreachable!() };
            assert_eq!((payload.as_ref(), topic.contains("/state/")), (b"ON".as_slice(), true), "{topic}");
            topics.insert(topic);
        }
    }
}

#[tokio::test]
async fn mqtt_3_1_1_delivers_and_big_pictures_pass() {
    let broker = Mosquitto::start().await;
    let mut subscriber = Subscriber::login(broker.port(), "alarmbus/#", Login::default()).await;
    let (mut sink, session) =
        connect(settings(&broker.url(), |config| config.version = MqttVersion::V311)).await;
    assert!(session.description.contains("MQTT 3.1.1"), "{}", session.description);
    for bytes in [2, 200_000, 5_000_000] {
        let picture = Bytes::from(vec![7; bytes]);
        let outcome =
            deliver(&mut sink, message("alarmbus/98ba5f8b1003/snapshot", picture.clone(), true)).await;
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        assert_eq!(subscriber.topic("alarmbus/98ba5f8b1003/snapshot").await.payload, picture);
    }
}
