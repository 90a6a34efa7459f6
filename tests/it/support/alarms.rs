//! Alarms counted by id, from camera to subscriber.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Camera, Subscriber, eventually};

/// The bridge's answer to one alarm.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) durable: bool,
}

/// One alarm of a camera, as sent.
pub(crate) fn report(camera: u8, kind: &str) -> Value {
    json!({"ip": format!("192.168.0.{camera}"), "mac": format!("98-BA-5F-8B-10-{camera:02X}"), "device_name": "Yard",
        "event_list": [{"dateTime": "20261005150501", "event_type": [kind]}]})
}

/// The source of such a camera.
pub(crate) fn source(camera: u8) -> String {
    format!("98ba5f8b10{camera:02x}")
}

/// Bytes that pass for a JPEG of this size.
pub(crate) fn jpeg(bytes: usize) -> Vec<u8> {
    let mut jpeg =
        b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01".to_vec();
    jpeg.resize(bytes - 2, 0x55);
    jpeg.extend_from_slice(b"\xff\xd9");
    jpeg
}

/// Sends one alarm, with a picture if there is one.
pub(crate) async fn send(to: &Camera, camera: u8, kind: &str, picture: Option<&[u8]>) -> Sent {
    let report = report(camera, kind);
    let answer = match picture {
        Some(picture) => to.multipart(&report, picture).await,
        None => to.json(&report).await,
    };
    let json = answer.json();
    assert_eq!(answer.status, 200, "{json}");
    let id = json["ids"][0].as_str().unwrap_or_else(|| panic!("no id: {json}")).to_owned();
    Sent { id, durable: json["durable"] == true }
}

/// Sends several, from cameras in turn.
pub(crate) async fn send_some(to: &Camera, count: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    for n in 0..count {
        let camera = u8::try_from(n % 5).expect("few cameras");
        sent.push(send(to, camera, "PEOPLE", None).await);
    }
    sent
}

/// Alarms as a subscriber got them.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Number of arrivals of each alarm.
    pub(crate) ids: HashMap<String, usize>,
    /// The sequence numbers of each source, each once, in the order they first came.
    pub(crate) order: BTreeMap<String, Vec<u64>>,
    /// Phase of each alarm, and whether it was replayed.
    pub(crate) phases: HashMap<String, (String, bool)>,
}

impl Arrived {
    /// Adds the messages received so far on event topics.
    pub(crate) fn take(&mut self, subscriber: &mut Subscriber) {
        for message in subscriber.drain() {
            if !message.topic.contains("/event/") {
                continue;
            }
            let alarm = message.json();
            let text = |key: &str| alarm[key].as_str().unwrap_or_default().to_owned();
            let times = self.ids.entry(text("id")).or_default();
            *times += 1;
            if *times == 1 {
                self.order.entry(text("source")).or_default().extend(alarm["seq"].as_u64());
            }
            self.phases.insert(text("id"), (text("phase"), alarm["replayed"] == true));
        }
    }

    /// Waits until every alarm that was answered 200 has arrived.
    pub(crate) async fn all(&mut self, subscriber: &mut Subscriber, sent: &[Sent], limit: Duration) {
        let what = format!("{} alarms", sent.len());
        eventually(limit, &what, async || {
            self.take(subscriber);
            let missing = sent.iter().filter(|sent| !self.ids.contains_key(&sent.id)).count();
            (missing == 0).then_some(())
        })
        .await;
    }

    /// Checks that the alarms of every source arrived in the order of commit.
    #[track_caller]
    pub(crate) fn in_order(&self) {
        for (source, order) in &self.order {
            assert!(order.is_sorted(), "{source}: {order:?}");
        }
    }
}
