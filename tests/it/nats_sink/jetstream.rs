//! Streams, identities, values.

use std::time::Duration;

use alarmbus::config;
use alarmbus::findings::FindingCode;
use alarmbus::render::MessagePart;
use alarmbus::sink::nats::{NatsSink, Timing};
use alarmbus::sink::{Notice, Outcome, Retained, Sink};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use futures_util::StreamExt;

use super::{
    Server, connected, delivered, down, jetstream_of, log, next_notice, outside, refusal, sent, settings,
    sink, value,
};

#[tokio::test]
async fn the_streams_are_made_as_promised() {
    let server = Server::start().await;
    let (mut sink, session) = connected(&server).await;
    assert_eq!(session.retained, Retained::Lost, "there was nothing yet");
    assert_eq!((session.max_payload, session.window), (Some(1_048_576), 256));
    assert!(session.description.contains("JetStream"), "{}", session.description);
    let traits = sink.traits();
    assert!(traits.values && traits.one_per_source && traits.acknowledges && !traits.discovery);

    let js = jetstream_of(&server).await;
    let stream = js.get_stream("ALARMBUS").await.unwrap();
    let made = &stream.cached_info().config;
    assert_eq!(made.subjects, ["alarmbus.*.event.*", "alarmbus.*.activity.*", "alarmbus.*.picture.>"]);
    assert_eq!((made.retention, made.discard), (RetentionPolicy::Limits, DiscardPolicy::Old));
    assert_eq!((made.max_age, made.max_bytes), (Duration::from_secs(604_800), 1 << 30));
    assert_eq!(made.num_replicas, 1);
    let stream = js.get_stream("ALARMBUS_LAST").await.unwrap();
    let made = &stream.cached_info().config;
    assert_eq!((made.max_messages_per_subject, made.max_bytes), (1, -1));

    assert_eq!(sink.connect().await.unwrap().retained, Retained::Kept);
    let (_, session) = connected(&server).await;
    assert_eq!(session.retained, Retained::Kept, "another sink finds them");
}

#[tokio::test]
async fn a_log_message_is_stored_once_with_its_identity() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    let message = log("98ba5f8b1003/event/person", MessagePart::Event, b"{}");
    assert_eq!(sent(&mut sink, message.clone()).await, delivered());
    assert_eq!(sent(&mut sink, message.clone()).await, delivered(), "a duplicate is a success");
    for (part, path) in [
        (MessagePart::ActivityStart, "activity/person".to_owned()),
        (MessagePart::ActivityEnd, "activity/person".into()),
        (MessagePart::Picture, format!("picture/person/{}", message.id.unwrap())),
    ] {
        let again = log(&format!("98ba5f8b1003/{path}"), part, b"x");
        assert_eq!(sent(&mut sink, again).await, delivered());
    }

    let stream = jetstream_of(&server).await.get_stream("ALARMBUS").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 4);
    let stored = stream.get_raw_message(1).await.unwrap();
    assert_eq!(stored.subject.as_str(), "alarmbus.98ba5f8b1003.event.person");
    let header = |name: &str| stored.headers.get(name).map(ToString::to_string).unwrap();
    let id = message.id.unwrap().to_string();
    assert_eq!(header("Nats-Msg-Id"), format!("{id}:event"));
    assert_eq!((header("id"), header("event")), (id, "person".into()));
    assert_eq!(header("Content-Type"), "application/json");
    assert_eq!(header("time"), "2026-10-05T16:25:31+08:00");
    for (sequence, word) in [(2, ":activity-start"), (3, ":activity-end"), (4, ":picture")] {
        let stored = stream.get_raw_message(sequence).await.unwrap();
        let id = stored.headers.get("Nats-Msg-Id").unwrap().to_string();
        assert!(id.ends_with(word), "{id}");
    }
}

#[tokio::test]
async fn of_each_value_the_newest_is_kept() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    // The same alarm's id twice, and the same value again: neither may be discarded as a duplicate.
    let on = value("a/state/person", b"ON");
    for message in [on.clone(), value("a/state/person", b"OFF"), on, value("a/snapshot", b"\xff\xd8\xff")] {
        assert_eq!(sent(&mut sink, message).await, delivered());
    }
    for rest in ["count/person", "snapshot/person", "snapshot_info", "snapshot_info/person", "last", "device"]
    {
        assert_eq!(sent(&mut sink, value(&format!("a/{rest}"), b"1")).await, delivered(), "{rest}");
    }
    for rest in ["info", "health", "token"] {
        assert_eq!(sent(&mut sink, value(&format!("bridge/{rest}"), b"1")).await, delivered(), "{rest}");
    }
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 11);
    let stored = stream.get_last_raw_message_by_subject("alarmbus.a.state.person").await.unwrap();
    assert_eq!(&stored.payload[..], b"ON");
    assert!(stored.headers.get("Nats-Msg-Id").is_none());
}

#[tokio::test]
async fn an_emptied_value_is_forgotten_and_what_follows_is_not() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    sent(&mut sink, value("a/state/person", b"ON")).await;
    sent(&mut sink, value("a/state/motion", b"ON")).await;
    assert_eq!(sent(&mut sink, value("a/state/person", b"")).await, delivered());
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    assert!(stream.get_last_raw_message_by_subject("alarmbus.a.state.person").await.is_err());
    assert!(stream.get_last_raw_message_by_subject("alarmbus.a.state.motion").await.is_ok());

    // A value that is sent before the purge is executed survives it.
    for _ in 0..50 {
        let emptied = sink.send(value("a/state/person", b"")).await.unwrap();
        let after = sink.send(value("a/state/person", b"OFF")).await.unwrap();
        assert_eq!((emptied.await.unwrap(), after.await.unwrap()), (delivered(), delivered()));
        let stored = stream.get_last_raw_message_by_subject("alarmbus.a.state.person").await.unwrap();
        assert_eq!(&stored.payload[..], b"OFF");
    }
}

#[tokio::test]
async fn an_existing_stream_is_used_as_it_is() {
    let server = Server::start().await;
    let js = jetstream_of(&server).await;
    let own = Config {
        name: "ALARMBUS".into(),
        subjects: vec![
            "alarmbus.*.event.>".into(),
            "alarmbus.*.activity.*".into(),
            "alarmbus.*.picture.>".into(),
        ],
        max_messages: 2,
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    js.create_stream(own).await.unwrap();
    let (mut sink, _) = connected(&server).await;
    let made = js.get_stream("ALARMBUS").await.unwrap();
    assert_eq!(
        (made.cached_info().config.max_messages, made.cached_info().config.discard),
        (2, DiscardPolicy::New)
    );
    for _ in 0..2 {
        assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
    }
    let full = sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await;
    assert!(
        matches!(&full, Outcome::Later(reason) if reason.contains("maximum messages exceeded")),
        "{full:?}"
    );
    made.purge().await.unwrap();
    assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
}

#[tokio::test]
async fn a_stream_that_lacks_our_subjects_is_an_error_that_names_them() {
    let server = Server::start().await;
    let js = jetstream_of(&server).await;
    let own =
        Config { name: "ALARMBUS".into(), subjects: vec!["alarmbus.*.event.*".into()], ..Config::default() };
    js.create_stream(own).await.unwrap();
    let (code, reason) = down(settings(&server)).await;
    assert_eq!(code, "stream_missing");
    assert!(reason.contains("does not take alarmbus.*.activity.*, alarmbus.*.picture.>"), "{reason}");
    js.delete_stream("ALARMBUS").await.unwrap();

    let other = Config { name: "MINE".into(), subjects: vec!["alarmbus.>".into()], ..Config::default() };
    js.create_stream(other).await.unwrap();
    let (code, reason) = down(settings(&server)).await;
    assert_eq!(code, "stream_missing");
    assert!(reason.contains("another stream takes some of its subjects"), "{reason}");
}

#[tokio::test]
async fn without_jetstream_there_is_no_session() {
    let server = Server::with(false, "").await;
    let (code, reason) = down(settings(&server)).await;
    assert_eq!(code, "stream_missing");
    assert!(reason.contains("JetStream is not enabled") && reason.contains("-js"), "{reason}");
}

#[tokio::test]
async fn a_bad_topic_is_refused_and_harms_nothing() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    for topic in ["a/event/x y", "a/event/*", "a//x", "a/event/x.y"] {
        let outcome = sent(&mut sink, log(topic, MessagePart::Event, b"{}")).await;
        assert_eq!(refusal(outcome).0, "topic_invalid", "{topic}");
    }
    assert_eq!(sent(&mut sink, log("a/event/x", MessagePart::Event, b"{}")).await, delivered());
}

#[tokio::test]
async fn the_prefix_is_used_and_a_bad_one_is_told() {
    let server = Server::start().await;
    for prefix in ["a b", "", "a..b", "alarms.>"] {
        let (_, reason) = down(config::Nats { subject_prefix: prefix.into(), ..settings(&server) }).await;
        assert!(reason.contains("nats.subject_prefix"), "{reason}");
    }
    let mut sink = sink(config::Nats { subject_prefix: "site.alarms".into(), ..settings(&server) });
    sink.connect().await.unwrap();
    let mut message = value("", b"ON");
    message.topic = "site.alarms/a/state/person".into();
    assert_eq!(sent(&mut sink, message).await, delivered());
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    assert!(stream.get_last_raw_message_by_subject("site.alarms.a.state.person").await.is_ok());
}

#[tokio::test]
async fn the_bridge_state_is_renewed_while_the_session_is_open_and_ends_offline() {
    let server = Server::start().await;
    let mut sink = sink(settings(&server));
    let mut states = outside(&server).await.subscribe("alarmbus.bridge.state").await.unwrap();
    sink.connect().await.unwrap();
    assert_eq!(sent(&mut sink, value("bridge/state", b"online")).await, delivered());
    let mut times = Vec::new();
    while times.len() < 3 {
        let message = tokio::time::timeout(super::SOON, states.next()).await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(json["state"], "online");
        times.push(json["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    }
    assert!(times.is_sorted() && times.first() < times.last(), "{times:?}");
    sink.close().await;

    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    let stored = stream.get_last_raw_message_by_subject("alarmbus.bridge.state").await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
    assert_eq!(json["state"], "offline");
    let last = stream.get_info().await.unwrap().state.last_sequence;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stream.get_info().await.unwrap().state.last_sequence, last, "nothing follows offline");
    assert!(sink.send(value("bridge/state", b"online")).await.is_err(), "the session is over");
}

#[tokio::test]
async fn instances_share_the_streams_and_have_their_own_bridge_subjects() {
    let server = Server::start().await;
    let (mut first, _) = connected(&server).await;
    let mut second = NatsSink::new(settings(&server), Some("north"), None).with_timing(Timing::default());
    assert_eq!(second.connect().await.unwrap().retained, Retained::Kept);
    assert_eq!(sent(&mut first, value("bridge/state", b"online")).await, delivered());
    assert_eq!(sent(&mut second, value("bridge-north/state", b"online")).await, delivered());
    // Not its own: passed on as it is.
    assert_eq!(sent(&mut second, value("bridge/health", b"{}")).await, delivered());
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    let stored = stream.get_last_raw_message_by_subject("alarmbus.bridge-north.state").await.unwrap();
    assert!(stored.payload.starts_with(b"{\"state\":\"online\""), "{stored:?}");
}

#[tokio::test]
async fn a_stream_deleted_under_us_is_made_again() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    let js = jetstream_of(&server).await;
    js.delete_stream("ALARMBUS").await.unwrap();
    let message = log("a/event/person", MessagePart::Event, b"{}");
    let outcome = sent(&mut sink, message.clone()).await;
    assert!(matches!(&outcome, Outcome::Later(reason) if reason.contains("no stream takes")), "{outcome:?}");
    let notice = next_notice(&mut sink).await;
    assert!(matches!(notice, Notice::Problem { code: FindingCode::StreamMissing, .. }), "{notice:?}");
    while sent(&mut sink, message.clone()).await != delivered() {}
    assert_eq!(js.get_stream("ALARMBUS").await.unwrap().cached_info().state.messages, 1);
}

#[tokio::test]
async fn lost_values_are_told_with_the_next_session() {
    let server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    let js = jetstream_of(&server).await;
    js.delete_stream("ALARMBUS_LAST").await.unwrap();
    let outcome = sent(&mut sink, value("a/state/person", b"ON")).await;
    assert!(matches!(outcome, Outcome::Later(_)), "{outcome:?}");
    let down = loop {
        match next_notice(&mut sink).await {
            Notice::Problem { code, .. } => assert_eq!(code, FindingCode::StreamMissing),
            Notice::Down(down) => break down,
            other => panic!("{other:?}"),
        }
    };
    assert!(down.reason.contains("connecting again to send all values"), "{down}");
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Lost);
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Kept);

    // A sink that begins with the token of another stream finds the same.
    let mut sink = NatsSink::new(settings(&server), None, Some("2026-01-01 0:00:00.0 +00:00:00".into()));
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Lost);
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Kept);

    // The stream was created again by another client: its values are lost too.
    let same = js.get_stream("ALARMBUS_LAST").await.unwrap().cached_info().config.clone();
    js.delete_stream("ALARMBUS_LAST").await.unwrap();
    js.create_stream(same).await.unwrap();
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Lost);
}
