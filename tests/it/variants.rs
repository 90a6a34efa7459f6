//! Small pictures and pictures with boxes drawn: at addresses and on the bus.

use crate::support::api::picture;
use crate::support::published::{CAMERA, report};
use crate::support::{Bridge, Mosquitto, Nats, NatsReader, SOON, Subscriber, eventually, nats_client};

/// Width and height of a JPEG, from its frame header.
fn sides(jpeg: &[u8]) -> (u16, u16) {
    let at = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame header");
    let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
    (number(at + 7), number(at + 5))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_has_a_small_form_and_one_with_boxes() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\npictures = [\"small\", \"boxes\"]\n", broker.url());
    let bridge = Bridge::start(&config).await;
    let whole = picture(640);
    let answer = bridge.camera().multipart(&report("PEOPLE"), &whole).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let topic = format!("alarmbus/{CAMERA}/picture/person/{id}");
    let small = all.topic(&format!("{topic}/small")).await;
    let boxes = all.topic(&format!("{topic}/boxes")).await;
    assert_eq!((sides(&small.payload), sides(&boxes.payload)), ((320, 320), (640, 640)));
    assert!(!small.retain && small.property("id") == Some(&id));

    let get = async |query: &str| bridge.page(&format!("/snapshots/{id}.jpg{query}")).get().await;
    assert_eq!(get("").await.whole(), whole);
    assert_eq!(get("?size=small").await.whole(), small.payload, "one variant is made for all");
    assert_eq!(get("?boxes=true").await.whole(), boxes.payload);
    assert_eq!(sides(&get("?size=small&boxes=true").await.whole()), (320, 320));
    for wrong in ["?size=huge", "?boxes=perhaps"] {
        assert_eq!(get(wrong).await.status, 400, "{wrong}");
    }
}

/// On NATS both variants reach a subscriber, and the stream keeps both.
#[tokio::test(flavor = "multi_thread")]
async fn variants_are_published_on_nats_too_and_nowhere_unless_they_are_set() {
    let (nats, broker) = (Nats::start().await, Mosquitto::start().await);
    let mut all = Subscriber::connect(broker.port(), "alarmbus/+/event/+").await;
    let mut unset = Subscriber::connect(broker.port(), "alarmbus/+/picture/#").await;
    let reader = NatsReader::connect(&nats.url()).await;
    let mut pictures = reader.subscribe("alarmbus.*.picture.>").await;
    let config = format!(
        "[nats]\nservers = [\"{}\"]\npictures = [\"small\", \"boxes\"]\n[mqtt]\nserver = \"{}\"\n",
        nats.url(),
        broker.url()
    );
    let bridge = Bridge::start(&config).await;
    let answer = bridge.camera().multipart(&report("PEOPLE"), &picture(640)).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let subject = format!("alarmbus.{CAMERA}.picture.person.{id}");
    let mut found = Vec::new();
    for _ in 0..2 {
        let message = nats_client::next(&mut pictures).await;
        found.push((message.subject.to_string(), sides(&message.payload)));
    }
    found.sort();
    assert_eq!(found, [(format!("{subject}.boxes"), (640, 640)), (format!("{subject}.small"), (320, 320))]);
    for (subject, sides_of_it) in found {
        let stored = reader.last("ALARMBUS", &subject).await.unwrap();
        assert_eq!(sides(&stored), sides_of_it, "{subject}");
    }
    all.topic(&format!("alarmbus/{CAMERA}/event/person")).await;
    assert!(unset.drain().is_empty(), "a variant was published where none is set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_cannot_be_decoded_costs_its_variants_only() {
    let broker = Mosquitto::start().await;
    let mut all = Subscriber::connect(broker.port(), "alarmbus/#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\npictures = [\"small\"]\n", broker.url());
    let bridge = Bridge::start(&config).await;
    // The header is whole, and no table or scan follows.
    let damaged =
        b"\xff\xd8\xff\xc0\x00\x11\x08\x01\x00\x01\x00\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xd9";
    let answer = bridge.camera().multipart(&report("PEOPLE"), damaged).await;
    let id = answer.json()["ids"][0].as_str().unwrap().to_owned();
    let event = all.wait_for(SOON, |m| m.topic.contains("/event/person")).await.json();
    assert_eq!(event["snapshot"]["bytes"], damaged.len());
    let finding = bridge.finding("picture_not_drawn").await;
    assert!(finding["detail"].as_str().unwrap().contains(&id), "{finding}");
    assert!(all.drain().iter().all(|message| !message.topic.ends_with("/small")));
    let refused = eventually(SOON, "an answer", async || {
        Some(bridge.page(&format!("/snapshots/{id}.jpg?size=small")).get().await)
    })
    .await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.json()["remedy"].as_str().unwrap().contains("without `size`"));
}
