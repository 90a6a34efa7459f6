//! Load of thousands of alarms, and the count of those answered and those that arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Bridge, Camera, Subscriber};

/// The long versions, as `tests/bench/README.md` describes them.
pub(crate) fn long() -> bool {
    std::env::var_os("ALARMBUS_LONG").is_some()
}

/// Shape of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Number of devices, each with a sender of its own that waits for its answers.
    pub(crate) sources: usize,
    /// Reports per second, of all devices together.
    pub(crate) per_second: usize,
    /// Every so many reports one has a picture of so many bytes; 0: none.
    pub(crate) picture_every: u64,
    pub(crate) picture_bytes: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { sources: 20, per_second: 100, picture_every: 0, picture_bytes: 0 }
    }
}

/// Alarms answered 200: the identifiers of each source in the order of the answers, with the number each carries.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sent {
    pub(crate) of: HashMap<String, Vec<(String, u64)>>,
    /// Number of reports without an answer; their alarms may arrive or not.
    pub(crate) unanswered: usize,
}

impl Sent {
    /// Number of alarms answered 200.
    pub(crate) fn count(&self) -> usize {
        self.of.values().map(Vec::len).sum()
    }

    /// Adds the results of another load.
    pub(crate) fn merge(&mut self, other: Self) {
        for (source, ids) in other.of {
            self.of.entry(source).or_default().extend(ids);
        }
        self.unanswered += other.unanswered;
    }
}

/// The MAC address of the device of a number, and its source.
pub(crate) fn device(number: usize) -> (String, String) {
    let mac = format!("02-00-00-00-{:02x}-{:02x}", number >> 8, number & 0xff);
    let source = mac.replace('-', "");
    (mac, source)
}

/// A minimal JPEG: dimensions in its head, then bytes that no other picture has.
pub(crate) fn picture(number: u64, bytes: usize) -> Vec<u8> {
    let mut jpeg =
        b"\xff\xd8\xff\xc0\x00\x11\x08\x01\x00\x02\x00\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01".to_vec();
    jpeg.extend_from_slice(&number.to_be_bytes());
    jpeg.resize(bytes.max(64) - 2, 0x55);
    jpeg.extend_from_slice(b"\xff\xd9");
    jpeg
}

/// A report of a device with this number of alarms; each carries a number of its own (from `first` on) in `extra`.
pub(crate) fn report(mac: &str, kind: &str, first: u64, alarms: usize) -> Value {
    let entry = |number: u64| json!({"dateTime": "20261005150501", "event_type": [kind], "number": number});
    let list: Vec<Value> = (first..).take(alarms).map(entry).collect();
    json!({"mac": mac, "event_list": list})
}

/// Sends one report of a device and records the answer; returns whether there was one.
pub(crate) async fn send(
    camera: &Camera,
    number: usize,
    kind: &str,
    first: u64,
    alarms: usize,
    jpeg: Option<&[u8]>,
    sent: &mut Sent,
) -> bool {
    let (mac, source) = device(number);
    let report = report(&mac, kind, first, alarms);
    let request = match jpeg {
        Some(jpeg) => camera.multipart_request(&report, jpeg),
        None => camera.request("application/json", report.to_string().as_bytes()),
    };
    let answer = match camera.try_raw(&request).await {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => panic!("answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(_) => {
            sent.unanswered += 1;
            return false;
        }
    };
    let answer = answer.json();
    let ids = answer["ids"].as_array().expect("the answer has ids").iter().zip(first..);
    let ids: Vec<_> =
        ids.map(|(id, number)| (id.as_str().expect("an id is a text").to_owned(), number)).collect();
    assert_eq!(ids.len(), alarms, "one id for each alarm");
    sent.of.entry(source).or_default().extend(ids);
    true
}

/// Cameras that push until they are stopped.
pub(crate) struct Load {
    target: Arc<Mutex<Camera>>,
    senders: JoinSet<Sent>,
    stop: CancellationToken,
}

impl Load {
    /// Starts pushing to a bridge.
    pub(crate) fn start(bridge: &Bridge, plan: Plan) -> Self {
        let mut this = Self {
            target: Arc::new(Mutex::new(bridge.camera())),
            senders: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        for number in 0..plan.sources {
            let (target, stop) = (Arc::clone(&this.target), this.stop.clone());
            this.senders.spawn(push(number, plan, target, stop));
        }
        this
    }

    /// Sets the bridge to push to.
    pub(crate) fn aim(&self, bridge: &Bridge) {
        *lock(&self.target) = bridge.camera();
    }

    /// Stops; returns the answered alarms.
    pub(crate) async fn stop(mut self) -> Sent {
        self.stop.cancel();
        let mut sent = Sent::default();
        while let Some(of_one) = self.senders.join_next().await {
            sent.merge(of_one.expect("a sender ends well"));
        }
        sent
    }
}

fn lock(target: &Mutex<Camera>) -> MutexGuard<'_, Camera> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One device: a report, its answer, the next one.
async fn push(number: usize, plan: Plan, target: Arc<Mutex<Camera>>, stop: CancellationToken) -> Sent {
    let mut sent = Sent::default();
    let pause = Duration::from_secs_f64(plan.sources as f64 / plan.per_second as f64);
    let mut next = Instant::now() + pause.mul_f64(number as f64 / plan.sources as f64);
    for count in 0_u64.. {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(next) => next = Instant::now().max(next + pause),
        }
        let camera = lock(&target).clone();
        let first = number as u64 * 1_000_000 + count;
        let with_picture =
            plan.picture_every != 0 && (count + number as u64).is_multiple_of(plan.picture_every);
        let jpeg = with_picture.then(|| picture(first, plan.picture_bytes));
        let kind = match count % 3 {
            0 => "PEOPLE",
            1 => "MOTION",
            _ => "VEHICLE",
        };
        send(&camera, number, kind, first, 1, jpeg.as_deref(), &mut sent).await;
    }
    sent
}

/// Alarms received by a subscriber, by first arrival.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Source, sequence number and own number of each alarm.
    pub(crate) alarms: HashMap<String, (String, u64, u64)>,
    /// The sequence numbers of each source in order of first arrival.
    pub(crate) order: HashMap<String, Vec<u64>>,
    pub(crate) duplicates: usize,
    pub(crate) replayed: usize,
}

impl Arrived {
    /// Adds one event message.
    pub(crate) fn event(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("no {key}: {event}")).to_owned();
        let (id, source, seq) = (text("id"), text("source"), event["seq"].as_u64().expect("a seq"));
        let number = event["extra"]["number"].as_u64().unwrap_or_else(|| panic!("no number: {event}"));
        let this = (source.clone(), seq, number);
        if let Some(before) = self.alarms.get(&id) {
            assert_eq!(*before, this, "one id, two alarms");
            self.duplicates += 1;
            return;
        }
        self.replayed += usize::from(event["replayed"] == true);
        self.alarms.insert(id, this);
        self.order.entry(source).or_default().push(seq);
    }

    /// Adds all events a subscriber has received so far.
    pub(crate) fn take(&mut self, subscriber: &mut Subscriber) {
        for message in subscriber.drain() {
            if message.topic.contains("/event/") {
                self.event(&message.json());
            }
        }
    }

    /// Number of answered alarms that have not arrived.
    pub(crate) fn missing(&self, sent: &Sent) -> usize {
        sent.of.values().flatten().filter(|(id, _)| !self.alarms.contains_key(id)).count()
    }

    /// Receives until no answered alarm is missing.
    ///
    /// # Panics
    /// When nothing more arrived for `patience`; the message has the number of missing ones.
    pub(crate) async fn complete(&mut self, subscriber: &mut Subscriber, sent: &Sent, patience: Duration) {
        let mut since = Instant::now();
        loop {
            let before = self.alarms.len();
            self.take(subscriber);
            if before < self.alarms.len() {
                since = Instant::now();
            } else {
                let (got, all) = (self.alarms.len(), sent.count());
                let missing = if got < all { all - got } else { self.missing(sent) };
                if missing == 0 {
                    return;
                }
                assert!(
                    since.elapsed() < patience,
                    "{missing} of {all} answered alarms are missing, {got} came"
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Checks that every answered alarm arrived with its own number, in the order of the answers, and that no source
    /// has a gap.
    pub(crate) fn check(&self, sent: &Sent) {
        for (source, ids) in &sent.of {
            let mut last = 0;
            for (id, number) in ids {
                let (of, seq, carried) =
                    self.alarms.get(id).unwrap_or_else(|| panic!("{id} of {source} is lost"));
                assert_eq!((of, carried), (source, number), "{id} is another alarm");
                assert!(last < *seq, "{source}: answered in another order than numbered");
                last = *seq;
            }
        }
        self.check_order();
    }

    /// Checks that each source's alarms arrived in order and without a gap.
    pub(crate) fn check_order(&self) {
        for (source, order) in &self.order {
            for pair in order.windows(2) {
                assert_eq!(pair[0] + 1, pair[1], "{source}: out of order, or a gap, after {}", pair[0]);
            }
        }
    }
}
