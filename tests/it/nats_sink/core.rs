//! Core NATS: best effort.

use std::time::Duration;

use alarmbus::config;
use alarmbus::render::MessagePart;
use alarmbus::sink::{Retained, Sink};
use futures_util::StreamExt;

use super::{SOON, Server, delivered, log, outside, sent, settings, sink, value};

#[tokio::test]
async fn messages_reach_who_listens_and_nothing_is_stored() {
    let server = Server::start().await;
    let client = outside(&server).await;
    let mut all = client.subscribe("alarmbus.>").await.unwrap();
    client.flush().await.unwrap();
    let mut sink = sink(config::Nats { jetstream: false, ..settings(&server) });
    let session = sink.connect().await.unwrap();
    assert_eq!(session.retained, Retained::Kept);
    assert!(session.description.contains("best effort"), "{}", session.description);
    assert!(!sink.traits().acknowledges);

    assert_eq!(sent(&mut sink, value("a/state/person", b"ON")).await, delivered());
    assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
    assert_eq!(sent(&mut sink, value("a/state/person", b"")).await, delivered());
    assert_eq!(sent(&mut sink, value("bridge/state", b"online")).await, delivered());
    let mut next = async || tokio::time::timeout(SOON, all.next()).await.unwrap().unwrap();
    for (subject, payload) in [
        ("alarmbus.a.state.person", &b"ON"[..]),
        ("alarmbus.a.event.person", b"{}"),
        ("alarmbus.a.state.person", b""),
    ] {
        let message = next().await;
        assert_eq!((message.subject.as_str(), &message.payload[..]), (subject, payload));
    }
    for _ in 0..2 {
        assert!(next().await.payload.starts_with(b"{\"state\":\"online\""));
    }
    sink.close().await;
    while !next().await.payload.starts_with(b"{\"state\":\"offline\"") {}
    assert!(tokio::time::timeout(Duration::from_millis(150), all.next()).await.is_err(), "nothing follows");
    let js = async_nats::jetstream::new(client);
    assert!(js.get_stream("ALARMBUS").await.is_err(), "no stream is made");
}
