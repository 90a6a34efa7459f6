//! Servers that are absent, die, hang or close.

use std::time::Duration;

use alarmbus::config;
use alarmbus::render::MessagePart;
use alarmbus::sink::nats::Timing;
use alarmbus::sink::{Notice, Outcome, Retained, Sink};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::Proxy;

use super::{
    SOON, Server, connected, delivered, down, jetstream_of, log, next_notice, sent, settings, sink, value,
};

/// A port at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("nats://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn an_absent_server_is_named() {
    let nobody = nobody();
    let place = nobody.strip_prefix("nats://").unwrap();
    let (code, reason) =
        down(config::Nats { servers: vec![nobody.clone()], ..config::Nats::default() }).await;
    assert_eq!(code, "broker_unreachable");
    assert!(reason.contains(&format!("nobody listens at {place}")), "{reason}");
    assert_eq!(down(config::Nats::default()).await.0, "broker_unreachable");
    let bad = config::Nats { servers: vec!["http://user:s3cret@x".into()], ..config::Nats::default() };
    let (_, reason) = down(bad).await;
    assert!(reason.contains("not an address") && !reason.contains("s3cret"), "{reason}");
}

#[tokio::test]
async fn the_next_server_is_taken_when_one_is_down() {
    let server = Server::start().await;
    let servers = vec![nobody(), server.url()];
    let mut sink = sink(config::Nats { servers, ..config::Nats::default() });
    let session = sink.connect().await.unwrap();
    assert!(session.description.contains(&format!("127.0.0.1:{}", server.port())), "{}", session.description);
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_at_most_ten_seconds() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("nats://{}", mute.local_addr().unwrap());
    let started = Instant::now();
    let (code, reason) =
        down(config::Nats { servers: vec![server.clone(), server], ..config::Nats::default() }).await;
    assert_eq!(code, "broker_unreachable");
    assert!(reason.contains("does not answer"), "{reason}");
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_killed_server_ends_the_session_and_drops_what_is_in_flight() {
    let mut server = Server::start().await;
    let (mut sink, _) = connected(&server).await;
    sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await;
    // Frozen, it takes messages and acknowledges none.
    server.freeze();
    let mut receipts = Vec::new();
    for _ in 0..20 {
        receipts.push(sink.send(log("a/event/person", MessagePart::Event, b"{}")).await.unwrap());
    }
    server.kill();
    let notice = next_notice(&mut sink).await;
    assert!(
        matches!(&notice, Notice::Down(down) if down.code.as_str() == "broker_unreachable"),
        "{notice:?}"
    );
    for receipt in receipts {
        assert!(tokio::time::timeout(SOON, receipt).await.unwrap().is_err(), "dropped, without an outcome");
    }
    assert!(sink.send(log("a/event/person", MessagePart::Event, b"{}")).await.is_err());
    assert!(sink.connect().await.is_err());
    server.restart().await;
    assert_eq!(sink.connect().await.unwrap().retained, Retained::Kept);
    assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
}

#[tokio::test]
async fn the_old_client_never_comes_back() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.port()).await;
    let servers = vec![format!("nats://127.0.0.1:{}", proxy.port())];
    let mut sink = sink(config::Nats { servers, ..config::Nats::default() });
    sink.connect().await.unwrap();
    proxy.cut();
    // Messages handed over before the cut is noticed are refused or lost with the client, but never published later.
    while let Ok(receipt) = sink.send(value("a/state/person", b"OLD")).await {
        receipt.await.ok();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(proxy.connections(), 1, "only the relay connects again");
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 0);
    sink.connect().await.unwrap();
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_hanging_server_means_later() {
    let server = Server::start().await;
    let short = Timing { acknowledge: Duration::from_secs(1), ..Timing::default() };
    let mut sink = sink(settings(&server)).with_timing(short);
    sink.connect().await.unwrap();
    server.freeze();
    let outcome = sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await;
    assert!(
        matches!(&outcome, Outcome::Later(reason) if reason.contains("did not acknowledge")),
        "{outcome:?}"
    );
    // Closing to a hanging server takes bounded time.
    tokio::time::timeout(Duration::from_secs(4), sink.close()).await.unwrap();
}

#[tokio::test]
async fn lame_duck_mode_ends_the_session_in_time() {
    let server = Server::with(true, "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"").await;
    let (mut sink, _) = connected(&server).await;
    server.signal(Signal::USR2);
    let notice = next_notice(&mut sink).await;
    assert!(matches!(&notice, Notice::Down(down) if down.reason.contains("lame duck")), "{notice:?}");
}

#[tokio::test]
async fn the_window_is_kept() {
    let server = Server::start().await;
    let (mut sink, session) = connected(&server).await;
    server.freeze();
    // Until one waits for room; those acknowledged while the server was being frozen do not count.
    let mut receipts = Vec::new();
    let mut next = async || {
        let next = sink.send(log("a/event/person", MessagePart::Event, b"{}"));
        tokio::time::timeout(Duration::from_millis(200), next).await.ok()
    };
    while let Some(receipt) = next().await {
        receipts.push(receipt.unwrap());
    }
    let open = receipts.iter_mut().filter_map(|receipt| receipt.try_recv().err()).count();
    assert_eq!(open, session.window);
}
