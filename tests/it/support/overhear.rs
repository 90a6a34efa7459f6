//! The MQTT conversation of bridge and broker on one connection: published events and their acknowledgements.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Time at which the acknowledgement of each event, by its id, was passed to the bridge.
pub(crate) type Acknowledged = Arc<Mutex<HashMap<String, Instant>>>;

/// One connection.
#[derive(Default)]
pub(crate) struct Conversation {
    up: Vec<u8>,
    down: Vec<u8>,
    /// Events without an acknowledgement, by packet identifier.
    waiting: HashMap<u16, String>,
    acknowledged: Acknowledged,
}

impl Conversation {
    /// Creates it; acknowledgements are noted in `acknowledged`.
    pub(crate) fn new(acknowledged: Acknowledged) -> Self {
        Self { acknowledged, ..Self::default() }
    }

    /// Reads bytes from the bridge.
    pub(crate) fn up(&mut self, bytes: &[u8]) {
        self.up.extend_from_slice(bytes);
        while let Some((first, body)) = packet(&mut self.up) {
            if first >> 4 == 3 {
                self.waiting.extend(event(first, &body));
            }
        }
    }

    /// Reads bytes from the broker.
    pub(crate) fn down(&mut self, bytes: &[u8]) {
        self.down.extend_from_slice(bytes);
        while let Some((first, body)) = packet(&mut self.down) {
            let number = (first >> 4 == 4).then(|| u16::from_be_bytes([body[0], body[1]]));
            if let Some(id) = number.and_then(|number| self.waiting.remove(&number)) {
                let mut all = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(id, Instant::now());
            }
        }
    }
}

/// Removes the first packet, if it is complete: its first byte, and the bytes after its length.
fn packet(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (length, digits) = number(bytes.get(1..)?)?;
    let end = 1 + digits + length;
    if bytes.len() < end {
        return None;
    }
    let packet: Vec<u8> = bytes.drain(..end).collect();
    Some((packet[0], packet[1 + digits..].to_vec()))
}

/// A number of one to four bytes, and how many they are.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// Packet identifier and event id of an MQTT 5 publish at QoS 1, if it is an event.
fn event(first: u8, body: &[u8]) -> Option<(u16, String)> {
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let topic = std::str::from_utf8(&body[2..2 + length]).expect("topics are text");
    if first & 0b110 == 0 || !topic.contains("/event/") {
        return None;
    }
    let rest = &body[2 + length..];
    let (properties, digits) = number(&rest[2..]).expect("the properties have a length");
    let payload: serde_json::Value =
        serde_json::from_slice(&rest[2 + digits + properties..]).expect("events are JSON");
    Some((
        u16::from_be_bytes([rest[0], rest[1]]),
        payload["id"].as_str().expect("events have an id").to_owned(),
    ))
}

#[test]
fn an_acknowledgement_is_put_to_its_event() {
    let acknowledged = Acknowledged::default();
    let mut both = Conversation::new(Arc::clone(&acknowledged));
    let publish = b"\x32\x19\x00\x09a/event/b\x01\x02\x00{\"id\":\"x1\"}";
    both.up(&publish[..5]);
    both.up(&publish[5..]);
    both.down(b"\x40\x02\x01\x03\x40");
    assert!(acknowledged.lock().unwrap().is_empty(), "another one's");
    both.down(b"\x04\x01\x02\x00\x00");
    assert!(acknowledged.lock().unwrap().contains_key("x1"));
}
