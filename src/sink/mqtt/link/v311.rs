//! MQTT 3.1.1 through rumqttc-v4. The protocol has no reason codes: a refused message is acknowledged like any other.

use std::io;

use parking_lot::Mutex;
use rumqttc_v4::mqttbytes::Error as PacketError;
use rumqttc_v4::{
    AsyncClient, Broker, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming,
    LastWill, MqttOptions, NetworkOptions, PublishNoticeError, PublishOptions, PublishResult, QoS,
    StateError, SubscribeFilter, SubscribeReasonCode,
};

use super::dial::Stream;
use super::events::{BATCH, Events, INBOUND_BYTES, PROTOCOL_BYTES, PendingPublish, QUEUE, Turn, refused};
use crate::render::Message;
use crate::sink::mqtt::packet::{BrokerLimits, Inbound, ReplyAddress, Subscription};
use crate::sink::mqtt::settings::MqttSettings;
use crate::sink::mqtt::trouble::{ConnectRefusal, Trouble};
use crate::sink::{Outcome, RefusalCode};

/// Maximum number of unacknowledged messages; the broker cannot state its limit, 20 is mosquitto's default.
const WINDOW: u16 = 20;
/// Maximum duration of one flush in seconds: a picture on a slow connection needs more than the client's default of 5.
const FLUSH_SECONDS: u64 = 60;

/// Queues requests for the event loop.
#[derive(Debug, Clone)]
pub(in crate::sink::mqtt) struct Client(AsyncClient);

/// Creates the client and its event loop; the first poll connects.
pub(in crate::sink::mqtt) fn open(
    settings: &MqttSettings,
    stream: Stream,
) -> Result<(Client, EventLoop), Trouble> {
    let broker = match settings.server.handshake_url() {
        Some(url) => Broker::websocket(url).map_err(|error| Trouble::Other(error.to_string()))?,
        None => Broker::tcp(settings.server.host.clone(), settings.server.port),
    };
    let mut options = MqttOptions::new(settings.client_id.clone(), broker);
    let once = Mutex::new(Some(stream));
    options
        .set_socket_connector(move |_, _| {
            let stream = once.lock().take();
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

/// Size of the packet, with the longest encoding of its length.
pub(in crate::sink::mqtt) fn packet_bytes(message: &Message) -> usize {
    const HEADER: usize = 5;
    const TOPIC_LENGTH: usize = 2;
    const PACKET_ID: usize = 2;
    HEADER + TOPIC_LENGTH + message.topic.len() + PACKET_ID + message.payload.len()
}

impl Client {
    /// Queues a message.
    pub(in crate::sink::mqtt) async fn publish(&self, message: Message) -> Option<PendingPublish> {
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retain);
        match self.0.publish_tracked(message.topic, message.payload, options).await {
            Ok(notice) => Some(PendingPublish::V311(notice)),
            Err(ClientError::InvalidRequest(_)) => Some(PendingPublish::Settled(refused(
                RefusalCode::TopicInvalid,
                "MQTT does not allow this topic".into(),
            ))),
            Err(_) => None,
        }
    }

    /// Queues the answer to a request.
    pub(in crate::sink::mqtt) async fn answer(&self, topic: String, payload: bytes::Bytes) {
        // The client repeats its request if the connection breaks.
        self.0.publish(topic, payload, PublishOptions::at_most_once()).await.ok();
    }

    /// Subscribes.
    pub(in crate::sink::mqtt) async fn subscribe(
        &self,
        filters: &[Subscription],
    ) -> Option<Vec<Result<(), String>>> {
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
    pub(in crate::sink::mqtt) async fn unsubscribe(&self, filter: &str) {
        // A closed connection has no subscriptions.
        self.0.unsubscribe(filter.to_owned()).await.ok();
    }

    /// Sends DISCONNECT at once.
    pub(in crate::sink::mqtt) async fn disconnect(&self) {
        // A closed connection needs no DISCONNECT.
        self.0.disconnect_now().await.ok();
    }
}

/// Result of the subscription to one filter.
fn granted(code: &SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        SubscribeReasonCode::Failure => Err("0x80, without a reason".into()),
    }
}

impl Events for EventLoop {
    async fn turn(&mut self) -> Result<Turn, Trouble> {
        match self.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Ok(Turn::Accepted(BrokerLimits {
                packet_bytes: None,
                window: usize::from(WINDOW),
                keep_alive: None,
            })),
            Ok(Event::Incoming(Incoming::Publish(publish))) => Ok(Turn::Message(Inbound {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
                reply: ReplyAddress::default(),
            })),
            Ok(_) => Ok(Turn::Other),
            Err(error) => Err(trouble(error)),
        }
    }
}

/// Outcome of a message; `None`: the connection broke.
pub(in crate::sink::mqtt) fn outcome(result: &Result<PublishResult, PublishNoticeError>) -> Option<Outcome> {
    match result {
        Ok(PublishResult::Qos1(_)) => Some(Outcome::Delivered { object: None, heard: None }),
        Ok(_) | Err(_) => None,
    }
}

/// Converts the error that ended a connection.
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

/// Converts the reason of a refused CONNECT.
fn refusal(code: ConnectReturnCode) -> ConnectRefusal {
    match code {
        ConnectReturnCode::BadUserNamePassword => ConnectRefusal::Password,
        ConnectReturnCode::NotAuthorized => ConnectRefusal::NotAuthorized,
        ConnectReturnCode::BadClientId => ConnectRefusal::ClientId,
        ConnectReturnCode::RefusedProtocolVersion => ConnectRefusal::Version,
        ConnectReturnCode::ServiceUnavailable => ConnectRefusal::Unavailable("service unavailable".into()),
        ConnectReturnCode::Success => ConnectRefusal::Other("it accepts and refuses at once".into()),
    }
}
