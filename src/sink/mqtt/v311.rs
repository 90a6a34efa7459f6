//! MQTT 3.1.1 through rumqttc-v4. It has no reasons: a refused message is acknowledged like any other.

use std::io;
use std::sync::Mutex;

use rumqttc_v4::mqttbytes::Error as PacketError;
use rumqttc_v4::{
    AsyncClient, Broker, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming,
    LastWill, MqttOptions, NetworkOptions, PublishNoticeError, PublishOptions, PublishResult, QoS,
    StateError, SubscribeFilter, SubscribeReasonCode,
};

use super::dial::Stream;
use super::link::{
    BATCH, Events, Filter, INBOUND_BYTES, Limits, PROTOCOL_BYTES, Pending, QUEUE, Turn, refused,
};
use super::settings::MqttSettings;
use super::trouble::{Refused, Trouble};
use super::watch::Inbound;
use crate::render::Message;
use crate::sink::Outcome;

/// Messages unacknowledged at once; the broker cannot say what it allows, 20 is mosquitto's own bound.
const WINDOW: u16 = 20;
/// Seconds one flush may take: a picture over a slow link needs more than the client's 5.
const FLUSH_SECONDS: u64 = 60;

/// Hands requests to the event loop.
#[derive(Debug, Clone)]
pub(super) struct Client(AsyncClient);

/// Makes the client and its event loop; the first turn connects.
pub(super) fn open(settings: &MqttSettings, stream: Stream) -> Result<(Client, EventLoop), Trouble> {
    let broker = match settings.server.handshake_url() {
        Some(url) => Broker::websocket(url).map_err(|error| Trouble::Other(error.to_string()))?,
        None => Broker::tcp(settings.server.host.clone(), settings.server.port),
    };
    let mut options = MqttOptions::new(settings.client_id.clone(), broker);
    let once = Mutex::new(Some(stream));
    options
        .set_socket_connector(move |_, _| {
            let stream = once.lock().ok().and_then(|mut once| once.take());
            async move { stream.ok_or_else(|| io::Error::other("the session is over")) }
        })
        .set_clean_session(true)
        .set_keep_alive(settings.keep_alive_seconds)
        .set_max_packet_size(usize::try_from(INBOUND_BYTES).unwrap_or(usize::MAX), PROTOCOL_BYTES)
        .set_max_request_batch(BATCH);
    if let Some(topic) = &settings.state_topic {
        options.set_last_will(LastWill::new(topic, "offline", QoS::AtLeastOnce, true));
    }
    match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        // MQTT 3.1.1 does not allow a password without a user name; an empty one is allowed.
        (None, Some(password)) => {
            options.set_credentials("", password.expose().to_owned());
        }
        (None, None) => {}
    }
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(FLUSH_SECONDS);
    events.set_network_options(network);
    Ok((Client(client), events))
}

/// The size of the packet, its length written in full.
pub(super) fn packet_bytes(message: &Message) -> usize {
    const HEADER: usize = 5;
    const TOPIC_LENGTH: usize = 2;
    const PACKET_ID: usize = 2;
    HEADER + TOPIC_LENGTH + message.topic.len() + PACKET_ID + message.payload.len()
}

impl Client {
    /// Queues a message.
    pub(super) async fn publish(&self, message: Message) -> Option<Pending> {
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retain);
        match self.0.publish_tracked(message.topic, message.payload, options).await {
            Ok(notice) => Some(Pending::V311(notice)),
            Err(ClientError::InvalidRequest(_)) => {
                Some(Pending::Settled(refused("topic_invalid", "MQTT does not allow this topic".into())))
            }
            Err(_) => None,
        }
    }

    /// Subscribes.
    pub(super) async fn subscribe(&self, filters: &[Filter]) -> Option<Vec<Result<(), String>>> {
        let wanted = filters.iter().map(|filter| SubscribeFilter::new(filter.path.clone(), QoS::AtMostOnce));
        let notice = match self.0.subscribe_many_tracked(wanted).await {
            Ok(notice) => notice,
            Err(ClientError::InvalidRequest(_)) => {
                return Some(
                    filters.iter().map(|_| Err("MQTT does not allow this topic filter".into())).collect(),
                );
            }
            Err(_) => return None,
        };
        let ack = notice.wait_async().await.ok()?;
        Some(ack.return_codes.iter().map(granted).collect())
    }

    /// Unsubscribes.
    pub(super) async fn unsubscribe(&self, filter: &str) {
        // A link that is gone has no subscriptions.
        self.0.unsubscribe(filter.to_owned()).await.ok();
    }

    /// Says DISCONNECT at once.
    pub(super) async fn disconnect(&self) {
        // A link that is gone needs no goodbye.
        self.0.disconnect_now().await.ok();
    }
}

/// The broker's word on one filter.
fn granted(code: &SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        SubscribeReasonCode::Failure => Err("0x80, without a reason".into()),
    }
}

impl Events for EventLoop {
    async fn turn(&mut self) -> Result<Turn, Trouble> {
        match self.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Ok(Turn::Accepted(Limits {
                packet_bytes: None,
                window: usize::from(WINDOW),
                keep_alive: None,
            })),
            Ok(Event::Incoming(Incoming::Publish(publish))) => Ok(Turn::Message(Inbound {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
            })),
            Ok(_) => Ok(Turn::Other),
            Err(error) => Err(trouble(error)),
        }
    }
}

/// What became of a message; `None`: the link broke.
pub(super) fn outcome(result: &Result<PublishResult, PublishNoticeError>) -> Option<Outcome> {
    match result {
        Ok(PublishResult::Qos1(_)) => Some(Outcome::Delivered { object: None, heard: None }),
        Ok(_) | Err(_) => None,
    }
}

/// The end of a link, told apart.
fn trouble(error: ConnectionError) -> Trouble {
    match error {
        ConnectionError::ConnectionRefused(code) => Trouble::Refused(refusal(code)),
        ConnectionError::NetworkTimeout
        | ConnectionError::FlushTimeout
        | ConnectionError::MqttState(StateError::AwaitPingResp) => Trouble::Silent,
        ConnectionError::MqttState(StateError::ConnectionAborted) => Trouble::Closed,
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
        ) => Trouble::from(error),
        other => Trouble::Other(other.to_string()),
    }
}

/// Why the broker refuses.
fn refusal(code: ConnectReturnCode) -> Refused {
    match code {
        ConnectReturnCode::BadUserNamePassword => Refused::Password,
        ConnectReturnCode::NotAuthorized => Refused::NotAuthorized,
        ConnectReturnCode::BadClientId => Refused::ClientId,
        ConnectReturnCode::RefusedProtocolVersion => Refused::Version,
        ConnectReturnCode::ServiceUnavailable => Refused::Unavailable("service unavailable".into()),
        ConnectReturnCode::Success => Refused::Other("it accepts and refuses at once".into()),
    }
}
