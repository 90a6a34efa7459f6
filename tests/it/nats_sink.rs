//! The NATS sink against a real nats-server.

mod core;
mod jetstream;
mod jwt;
mod large;
mod login;
mod outage;
mod tls;

use std::time::Duration;

use alarmbus::config;
use alarmbus::model::EventName;
use alarmbus::render::{Message, MessagePart};
use alarmbus::sink::nats::{NatsSink, Timing};
use alarmbus::sink::{Notice, Outcome, Session, Sink};
use bytes::Bytes;
use uuid::Uuid;

use crate::support::{Nats as Server, SOON};

/// The configuration for a server.
fn settings(server: &Server) -> config::Nats {
    config::Nats { servers: vec![server.url()], ..config::Nats::default() }
}

/// A sink that renews its state often.
fn sink(config: config::Nats) -> NatsSink {
    NatsSink::new(config, None, None)
        .with_timing(Timing { renew: Duration::from_millis(50), ..Timing::default() })
}

/// A sink in a session.
async fn connected(server: &Server) -> (NatsSink, Session) {
    let mut sink = sink(settings(server));
    let session = sink.connect().await.unwrap();
    (sink, session)
}

/// The reason why there is no session.
async fn down(config: config::Nats) -> (&'static str, String) {
    let error = sink(config).connect().await.unwrap_err();
    (error.code.as_str(), error.reason)
}

/// A log message at `alarmbus/<rest>`.
fn log(rest: &str, part: MessagePart, payload: &[u8]) -> Message {
    Message {
        topic: format!("alarmbus/{rest}"),
        payload: Bytes::copy_from_slice(payload),
        retain: false,
        content_type: "application/json",
        part,
        id: Some(Uuid::now_v7()),
        event: Some(EventName::new("person")),
        time: Some("2026-10-05T16:25:31+08:00".into()),
        sha256: None,
        replay_of: None,
    }
}

/// A value at `alarmbus/<rest>`.
fn value(rest: &str, payload: &[u8]) -> Message {
    Message {
        retain: true,
        part: MessagePart::Value,
        content_type: "text/plain",
        ..log(rest, MessagePart::Value, payload)
    }
}

/// Sends a message and waits for its outcome.
async fn sent(sink: &mut NatsSink, message: Message) -> Outcome {
    let receipt = sink.send(message).await.unwrap();
    tokio::time::timeout(SOON, receipt).await.unwrap().unwrap()
}

fn delivered() -> Outcome {
    Outcome::Delivered { object: None, heard: None }
}

/// The code of a refusal, and its reason.
fn refusal(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Refused(refusal) => (refusal.code.as_str(), refusal.reason),
        other => panic!("not refused but {other:?}"),
    }
}

async fn next_notice(sink: &mut NatsSink) -> Notice {
    tokio::time::timeout(SOON, sink.notice()).await.unwrap()
}

/// A plain client of the server, independent of the sink.
async fn outside(server: &Server) -> async_nats::Client {
    async_nats::connect(server.url()).await.unwrap()
}

/// The JetStream of a plain client.
async fn jetstream_of(server: &Server) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(outside(server).await)
}
