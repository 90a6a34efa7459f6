//! Messages over the server's `max_payload`.

use alarmbus::config;
use alarmbus::render::{Message, MessagePart};
use alarmbus::sink::{Outcome, Sink};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::{Server, connected, delivered, jetstream_of, log, refusal, sent, settings, sink, value};

/// A picture of so many bytes, none like the other.
fn picture(rest: &str, size: usize) -> Message {
    let bytes: Vec<u8> = (0..size).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Message { content_type: "image/jpeg", sha256: Some(digest), ..value(rest, &bytes) }
}

#[tokio::test]
async fn an_oversize_picture_is_an_object_under_its_digest() {
    let server = Server::start().await;
    let (mut sink, session) = connected(&server).await;
    let limit = session.max_payload.unwrap();
    let fits = picture("a/snapshot", limit - 1000);
    assert_eq!(sent(&mut sink, fits).await, delivered());

    // With its headers it does not fit, although its bytes alone do.
    for size in [limit - 10, 3 * limit] {
        let large = picture("a/snapshot/person", size);
        let key = format!("{}.jpg", large.sha256.clone().unwrap());
        let stored = Outcome::Delivered { object: Some(key.clone()), heard: None };
        assert_eq!(sent(&mut sink, large.clone()).await, stored);
        let again = Message { retain: false, part: MessagePart::Picture, ..large.clone() };
        assert_eq!(sent(&mut sink, again).await, stored, "the same picture as a log message");

        let bucket = jetstream_of(&server).await.get_object_store("ALARMBUS_SNAPSHOTS").await.unwrap();
        let mut object = bucket.get(&key).await.unwrap();
        let mut bytes = Vec::new();
        object.read_to_end(&mut bytes).await.unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.len(), Some(digest)), (size, large.sha256));
    }
    let bucket = jetstream_of(&server).await.get_stream("OBJ_ALARMBUS_SNAPSHOTS").await.unwrap();
    let made = &bucket.cached_info().config;
    assert_eq!((made.max_age.as_secs(), made.max_bytes, made.num_replicas), (604_800, 1 << 30, 1));
}

#[tokio::test]
async fn an_older_picture_does_not_pass_for_the_latest() {
    let server = Server::start().await;
    let (mut sink, session) = connected(&server).await;
    let stream = jetstream_of(&server).await.get_stream("ALARMBUS_LAST").await.unwrap();
    let subject = "alarmbus.a.snapshot.person";
    let small = picture("a/snapshot/person", 1000);
    assert_eq!(sent(&mut sink, small.clone()).await, delivered());
    let large = picture("a/snapshot/person", session.max_payload.unwrap() + 1);
    sent(&mut sink, large.clone()).await;
    assert!(stream.get_last_raw_message_by_subject(subject).await.is_err());
    // A small one right behind a large one stays.
    let receipts = [sink.send(large).await.unwrap(), sink.send(small.clone()).await.unwrap()];
    for receipt in receipts {
        receipt.await.unwrap();
    }
    assert_eq!(stream.get_last_raw_message_by_subject(subject).await.unwrap().payload, small.payload);
}

#[tokio::test]
async fn a_bucket_deleted_under_us_is_made_again() {
    let server = Server::with(true, "max_payload: 65536").await;
    let (mut sink, _) = connected(&server).await;
    assert!(matches!(
        sent(&mut sink, picture("a/snapshot", 200_000)).await,
        Outcome::Delivered { object: Some(_), .. }
    ));
    jetstream_of(&server).await.delete_object_store("ALARMBUS_SNAPSHOTS").await.unwrap();
    let outcome = sent(&mut sink, picture("a/snapshot", 200_001)).await;
    assert!(matches!(outcome, Outcome::Later(_)), "{outcome:?}");
    assert!(matches!(
        sent(&mut sink, picture("a/snapshot", 200_001)).await,
        Outcome::Delivered { object: Some(_), .. }
    ));
}

#[tokio::test]
async fn anything_else_oversize_is_refused_and_the_link_stays() {
    let server = Server::with(true, "max_payload: 4096").await;
    let (mut js, _) = connected(&server).await;
    let mut core = sink(config::Nats { jetstream: false, ..settings(&server) });
    core.connect().await.unwrap();
    for sink in [&mut js, &mut core] {
        let (code, reason) =
            refusal(sent(sink, log("a/event/person", MessagePart::Event, &[b'x'; 5000])).await);
        assert_eq!(code, "too_large");
        assert!(reason.contains("4096 bytes"), "{reason}");
        assert_eq!(sent(sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());
    }
    let (code, _) = refusal(sent(&mut core, picture("a/snapshot", 5000)).await);
    assert_eq!(code, "too_large", "core NATS has no object store");
}
