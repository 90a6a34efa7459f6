//! Authentication and permissions.

use alarmbus::config::{self, Secret};
use alarmbus::render::MessagePart;
use alarmbus::sink::{Notice, Outcome, Sink};

use super::{Server, delivered, down, log, next_notice, refusal, sent, settings, sink, value};

const USERS: &str = r#"
authorization {
    users = [
        { user: "bridge", password: "right" }
        { user: "narrow", password: "x", permissions: {
            publish: { deny: ["alarmbus.*.event.denied", "alarmbus.denied.state.*"] } } }
        { user: "fixed", password: "x", permissions: { publish: { deny: ["$JS.API.STREAM.>"] } } }
        { user: "deaf", password: "x", permissions: { subscribe: ["foo"] } }
        { user: "poor", password: "x", permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>"] } } }
    ]
}"#;

fn user(server: &Server, name: &str, password: &str) -> config::Nats {
    config::Nats { user: Some(name.into()), password: Some(Secret::new(password)), ..settings(server) }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_telling_it() {
    let server = Server::with(true, USERS).await;
    sink(user(&server, "bridge", "right")).connect().await.unwrap();
    let (code, reason) = down(user(&server, "bridge", "wr0ng")).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("user \"bridge\"") && reason.contains("authorization violation"), "{reason}");
    assert!(!reason.contains("wr0ng"), "{reason}");
    let (code, reason) = down(settings(&server)).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("no user"), "{reason}");
    let address = format!("nats://bridge:right@127.0.0.1:{}", server.port());
    sink(config::Nats { servers: vec![address], ..config::Nats::default() }).connect().await.unwrap();
}

#[tokio::test]
async fn a_password_file_is_read() {
    let server = Server::with(true, USERS).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "right\n").unwrap();
    let mut with = user(&server, "bridge", "");
    (with.password, with.password_file) = (None, Some(file.path().into()));
    sink(with.clone()).connect().await.unwrap();
    with.password_file = Some("/nowhere/password".into());
    let (_, reason) = down(with).await;
    assert!(reason.contains("nats.password_file: /nowhere/password"), "{reason}");
}

#[tokio::test]
async fn tokens_and_nkeys_work() {
    let server = Server::with(true, "authorization { token: \"s3cret\" }").await;
    let with = |token: &str| config::Nats { token: Some(Secret::new(token)), ..settings(&server) };
    sink(with("s3cret")).connect().await.unwrap();
    assert_eq!(down(with("other")).await.0, "broker_refused");

    // The key pair of the NATS documentation.
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let server = Server::with(true, &format!("authorization {{ users = [ {{ nkey: {public} }} ] }}")).await;
    let with = |seed: &str| config::Nats { nkey: Some(Secret::new(seed)), ..settings(&server) };
    sink(with(seed)).connect().await.unwrap();
    let (code, reason) = down(with("SUNONSENSE")).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("nkey seed") && !reason.contains("NONSENSE"), "{reason}");
}

#[tokio::test]
async fn bad_credentials_files_are_named() {
    let server = Server::start().await;
    let with = |path: &str| config::Nats { credentials: Some(path.into()), ..settings(&server) };
    let (code, reason) = down(with("/nowhere/x.creds")).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("nats.credentials: /nowhere/x.creds"), "{reason}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no credentials").unwrap();
    assert!(down(with(&file.path().display().to_string())).await.1.contains("nats.credentials"));
}

#[tokio::test]
async fn a_subject_that_may_not_be_published_is_refused_at_once() {
    let server = Server::with(true, USERS).await;
    let mut sink = sink(user(&server, "narrow", "x"));
    sink.connect().await.unwrap();
    let started = tokio::time::Instant::now();
    // Many at once: the client drops events beyond 128.
    let mut receipts = Vec::new();
    for _ in 0..40 {
        receipts.push(sink.send(log("a/event/denied", MessagePart::Event, b"{}")).await.unwrap());
        receipts.push(sink.send(value("denied/state/person", b"ON")).await.unwrap());
    }
    let allowed = sink.send(log("a/event/person", MessagePart::Event, b"{}")).await.unwrap();
    for receipt in receipts {
        let (code, reason) = refusal(receipt.await.unwrap());
        assert_eq!(code, "permission");
        assert!(reason.contains("Permissions Violation for Publish to \"alarmbus."), "{reason}");
    }
    assert_eq!(allowed.await.unwrap(), delivered());
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "not by waiting for acknowledgements");
}

#[tokio::test]
async fn whoever_may_not_look_at_the_streams_publishes_all_the_same() {
    let server = Server::with(true, USERS).await;
    sink(user(&server, "bridge", "right")).connect().await.unwrap();
    let mut sink = sink(user(&server, "fixed", "x"));
    let session = sink.connect().await.unwrap();
    assert_eq!(session.retained, alarmbus::sink::Retained::Unreadable);
    let notice = next_notice(&mut sink).await;
    assert!(
        matches!(&notice, Notice::Problem { detail, .. } if detail.contains("Permissions Violation")),
        "{notice:?}"
    );
    assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
    assert_eq!(
        sent(&mut sink, value("a/state/person", b"")).await,
        delivered(),
        "emptied, though not purged"
    );
}

#[tokio::test]
async fn whoever_may_not_make_the_streams_is_told() {
    let server = Server::with(true, USERS).await;
    let (code, reason) = down(user(&server, "poor", "x")).await;
    assert_eq!(code, "stream_missing");
    assert!(reason.contains("may not create it"), "{reason}");
}

#[tokio::test]
async fn whoever_may_not_subscribe_hears_why_nothing_is_acknowledged() {
    let server = Server::with(true, USERS).await;
    let (code, reason) = down(user(&server, "deaf", "x")).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("allow the user to subscribe to _INBOX."), "{reason}");
    let mut core = sink(config::Nats { jetstream: false, ..user(&server, "deaf", "x") });
    core.connect().await.unwrap();
    let outcome = sent(&mut core, log("a/event/person", MessagePart::Event, b"{}")).await;
    assert_eq!(outcome, Outcome::Delivered { object: None, heard: None });
}
