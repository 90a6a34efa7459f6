//! An MQTT 5 subscriber that keeps what it got, and publishes too.

use std::time::Duration;

use bytes::Bytes;
use rumqttc_v5::mqttbytes::QoS;
use rumqttc_v5::mqttbytes::v5::{Packet, Publish};
use rumqttc_v5::{AsyncClient, Event, EventLoop, MqttOptions, PublishOptions, PublishResult};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::SOON;

/// Capacity for messages that the test has not read yet.
const CHANNEL: usize = 100_000;

/// A received message.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) user_properties: Vec<(String, String)>,
}

impl Received {
    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payload is text")
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{}: {error}", self.topic))
    }

    /// A user property's value.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.user_properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Login of a subscriber.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    /// User and password.
    pub(crate) user: Option<(&'static str, &'static str)>,
    /// Client id of a stored session, so that nothing is missed while a connection is down.
    pub(crate) session: Option<&'static str>,
}

/// A connected client, subscribed at QoS 1, that reconnects by itself.
pub(crate) struct Subscriber {
    client: AsyncClient,
    messages: mpsc::Receiver<Received>,
    seen: Vec<Received>,
    pump: JoinHandle<()>,
}

impl Subscriber {
    /// Connects to 127.0.0.1 and returns when the broker has confirmed the subscription.
    pub(crate) async fn connect(port: u16, filter: &str) -> Self {
        Self::login(port, filter, Login::default()).await
    }

    /// Connects with a user or a stored session.
    pub(crate) async fn login(port: u16, filter: &str, login: Login) -> Self {
        let (client, events) = AsyncClient::builder(options(port, &login)).capacity(100).build();
        let (sender, messages) = mpsc::channel(CHANNEL);
        let (ready, mut subscribed) = mpsc::channel(1);
        let pump = tokio::spawn(pump(client.clone(), events, filter.to_owned(), sender, ready));
        tokio::time::timeout(SOON, subscribed.recv()).await.expect("the broker confirms the subscription");
        Self { client, messages, seen: Vec::new(), pump }
    }

    /// Publishes at QoS 1 and returns the broker's reason code, as text (`Success`, `NotAuthorized` …), or
    /// `unacknowledged: …` when the link broke before it came.
    pub(crate) async fn publish(&self, topic: &str, payload: &[u8], retain: bool) -> String {
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(retain);
        let notice = self.client.publish_tracked(topic, payload.to_vec(), options).await.expect("queued");
        let result = tokio::time::timeout(SOON, notice.wait_async()).await.expect("the broker answers");
        match result {
            Ok(PublishResult::Qos1(ack)) => format!("{:?}", ack.reason),
            Ok(other) => panic!("a QoS 1 publish was answered with {other:?}"),
            Err(error) => format!("unacknowledged: {error}"),
        }
    }

    /// Removes and returns the first message that `wanted` accepts; the others stay.
    ///
    /// # Panics
    /// When none arrives in time; lists the received ones.
    pub(crate) async fn wait_for(&mut self, limit: Duration, wanted: impl Fn(&Received) -> bool) -> Received {
        let end = tokio::time::Instant::now() + limit;
        let mut from = 0;
        loop {
            if let Some(at) = self.seen.iter().skip(from).position(&wanted) {
                return self.seen.remove(from + at);
            }
            from = self.seen.len();
            match tokio::time::timeout_at(end, self.messages.recv()).await {
                Ok(Some(message)) => self.seen.push(message),
                _ => panic!("waited {limit:?} in vain; came: {:#?}", self.topics()),
            }
        }
    }

    /// The first message on a topic.
    pub(crate) async fn topic(&mut self, topic: &str) -> Received {
        self.wait_for(SOON, |message| message.topic == topic).await
    }

    /// Removes and returns all messages received so far.
    pub(crate) fn drain(&mut self) -> Vec<Received> {
        let mut all = std::mem::take(&mut self.seen);
        while let Ok(message) = self.messages.try_recv() {
            all.push(message);
        }
        all
    }

    fn topics(&self) -> Vec<&str> {
        self.seen.iter().map(|message| message.topic.as_str()).collect()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Options without limits of the client's own.
fn options(port: u16, login: &Login) -> MqttOptions {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).expect("the system has random bytes");
    let id = login.session.map_or_else(|| format!("it-{:x}", u64::from_le_bytes(random)), str::to_owned);
    let mut options = MqttOptions::new(id, ("127.0.0.1", port));
    options.set_keep_alive(5).set_unlimited_incoming_packet_size();
    if login.session.is_some() {
        options.set_clean_start(false).set_session_expiry_interval(Some(3_600));
    }
    if let Some((user, password)) = login.user {
        options.set_credentials(user, password);
    }
    options
}

/// Drives the connection: subscribes after every connect, and passes messages on.
async fn pump(
    client: AsyncClient,
    mut events: EventLoop,
    filter: String,
    messages: mpsc::Sender<Received>,
    ready: mpsc::Sender<()>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe(&filter, QoS::AtLeastOnce).expect("the queue has room");
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                // Nobody waits for a later one.
                let _already_told = ready.try_send(());
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                messages.try_send(received(publish)).expect("the test looks at its messages");
            }
            Ok(_) => {}
            Err(error) => {
                println!("[subscriber] {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Converts a received message.
fn received(publish: Publish) -> Received {
    let properties = publish.properties.unwrap_or_default();
    Received {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        retain: publish.retain,
        content_type: properties.content_type,
        user_properties: properties.user_properties,
    }
}
