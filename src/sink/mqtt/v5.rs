//! MQTT 5 through rumqttc-v5.

use std::io;
use std::sync::Mutex;

use rumqttc_v5::mqttbytes::Error as PacketError;
use rumqttc_v5::{
    AsyncClient, Broker, ClientError, ConnAck, ConnectReturnCode, ConnectionError, DisconnectReasonCode,
    Event, EventLoop, Incoming, LastWill, MqttOptions, PubAck, PubAckReason, Publish, PublishNoticeError,
    PublishOptions, PublishProperties, PublishResult, QoS, RetainForwardRule, StateError,
    SubscribeFilterInput, SubscribeReasonCode,
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

/// The most messages unacknowledged at once: more brings no speed (measured), only resends.
const WINDOW: u16 = 100;

/// mosquitto answers it in a PUBACK too (`message_size_limit`), where the client cannot read it and drops the link.
const PACKET_TOO_LARGE: u8 = 0x95;

/// Hands requests to the event loop.
#[derive(Debug, Clone)]
pub(super) struct Client {
    client: AsyncClient,
    /// Expiry of messages that are not retained.
    expire_seconds: Option<u32>,
}

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
        .set_clean_start(true)
        .set_keep_alive(settings.keep_alive_seconds)
        .set_max_packet_size(Some(INBOUND_BYTES))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_max_request_batch(BATCH)
        .set_connect_timeout(super::CONNECT * 2);
    if let Some(topic) = &settings.state_topic {
        options.set_last_will(LastWill::new(topic, "offline", QoS::AtLeastOnce, true, None));
    }
    match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, Some(password)) => {
            options.set_password(password.expose().to_owned());
        }
        (None, None) => {}
    }
    let (client, events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let expire_seconds = (settings.expire_seconds > 0).then_some(settings.expire_seconds);
    Ok((Client { client, expire_seconds }, events))
}

impl Client {
    /// The size of the packet.
    pub(super) fn packet_bytes(&self, message: &Message) -> usize {
        let properties = Some(self.properties(message));
        Publish::new(message.topic.clone(), QoS::AtLeastOnce, message.payload.clone(), properties).size()
    }

    /// Queues a message.
    pub(super) async fn publish(&self, message: Message) -> Option<Pending> {
        let options =
            PublishOptions::at_least_once().retain(message.retain).properties(self.properties(&message));
        match self.client.publish_tracked(message.topic, message.payload, options).await {
            Ok(notice) => Some(Pending::V5(notice)),
            Err(ClientError::InvalidRequest(_)) => {
                Some(Pending::Settled(refused("topic_invalid", "MQTT does not allow this topic".into())))
            }
            Err(_) => None,
        }
    }

    /// What goes with a message (DESIGN 6): content type, `id`, `event`, `time`, and the log lane's expiry.
    fn properties(&self, message: &Message) -> PublishProperties {
        let mut user = Vec::new();
        user.extend(message.id.map(|id| ("id".to_owned(), id.to_string())));
        user.extend(message.event.as_ref().map(|event| ("event".to_owned(), event.to_string())));
        user.extend(message.time.clone().map(|time| ("time".to_owned(), time)));
        PublishProperties {
            message_expiry_interval: self.expire_seconds.filter(|_| !message.retain),
            content_type: (!message.content_type.is_empty()).then(|| message.content_type.to_owned()),
            user_properties: user,
            ..PublishProperties::default()
        }
    }

    /// Subscribes.
    pub(super) async fn subscribe(&self, filters: &[Filter]) -> Option<Vec<Result<(), String>>> {
        let wanted = filters.iter().map(|filter| {
            let stored =
                if filter.stored { RetainForwardRule::OnEverySubscribe } else { RetainForwardRule::Never };
            SubscribeFilterInput::new(filter.path.clone(), QoS::AtMostOnce)
                .no_local(filter.no_local)
                .retain_forward_rule(stored)
        });
        let notice = match self.client.subscribe_many_tracked(wanted).await {
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
        self.client.unsubscribe(filter.to_owned()).await.ok();
    }

    /// Says DISCONNECT at once.
    pub(super) async fn disconnect(&self) {
        // A link that is gone needs no goodbye.
        self.client.disconnect_now().await.ok();
    }
}

/// The broker's word on one filter.
fn granted(code: &SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

impl Events for EventLoop {
    async fn turn(&mut self) -> Result<Turn, Trouble> {
        match self.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(ack))) => limits(&ack).map(Turn::Accepted),
            Ok(Event::Incoming(Incoming::Publish(publish))) => Ok(Turn::Message(Inbound {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
            })),
            Ok(Event::Incoming(Incoming::Disconnect(goodbye))) => {
                let words = goodbye.properties.and_then(|properties| properties.reason_string);
                Err(farewell(goodbye.reason_code, words))
            }
            Ok(_) => Ok(Turn::Other),
            Err(error) => Err(trouble(error)),
        }
    }
}

/// What the broker allows; an error if it lacks what we need.
fn limits(ack: &ConnAck) -> Result<Limits, Trouble> {
    let properties = ack.properties.as_ref();
    if properties.and_then(|p| p.max_qos) == Some(0) {
        return Err(Trouble::Refused(Refused::Unable("QoS 1")));
    }
    if properties.and_then(|p| p.retain_available) == Some(0) {
        return Err(Trouble::Refused(Refused::Unable("retained messages")));
    }
    let bytes = properties.and_then(|p| p.max_packet_size).and_then(|bytes| usize::try_from(bytes).ok());
    let window = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
    Ok(Limits {
        packet_bytes: bytes.filter(|bytes| *bytes < PROTOCOL_BYTES),
        window: usize::from(window.clamp(1, WINDOW)),
        keep_alive: properties.and_then(|p| p.server_keep_alive),
    })
}

/// What became of a message; `None`: the link broke.
pub(super) fn outcome(result: Result<PublishResult, PublishNoticeError>) -> Option<Outcome> {
    match result {
        Ok(PublishResult::Qos1(ack)) => Some(verdict(&ack)),
        Err(PublishNoticeError::RetainNotSupported) => {
            Some(refused("permission", "the broker does not take retained messages".into()))
        }
        Ok(_) | Err(_) => None,
    }
}

/// The meaning of a PUBACK (DESIGN 7): the reason code says whether the broker has the message.
fn verdict(ack: &PubAck) -> Outcome {
    let words = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
    let said = |what: &str| words.map_or_else(|| what.to_owned(), |words| format!("{what} ({words})"));
    match ack.reason {
        PubAckReason::Success => Outcome::Delivered { object: None, heard: None },
        PubAckReason::NoMatchingSubscribers => Outcome::Delivered { object: None, heard: Some(false) },
        PubAckReason::NotAuthorized => {
            let what = "0x87 not authorized: permit this user to publish the topic at the broker";
            refused("permission", said(what))
        }
        PubAckReason::TopicNameInvalid => {
            refused("topic_invalid", said("0x90 topic name invalid: choose another in [topics]"))
        }
        PubAckReason::PayloadFormatInvalid => refused("payload_invalid", said("0x99 payload format invalid")),
        PubAckReason::QuotaExceeded => Outcome::Later(said("0x97 quota exceeded")),
        PubAckReason::PacketIdentifierInUse => Outcome::Later(said("0x91 packet identifier in use")),
        PubAckReason::UnspecifiedError => Outcome::Later(said("0x80 unspecified error")),
        PubAckReason::ImplementationSpecificError => {
            Outcome::Later(said("0x83 implementation specific error"))
        }
    }
}

/// The end of a link, told apart.
fn trouble(error: ConnectionError) -> Trouble {
    match error {
        ConnectionError::ConnectionRefused(code) => Trouble::Refused(refusal(code)),
        ConnectionError::Timeout(_) | ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Trouble::Silent
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => Trouble::Closed,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            farewell(reason_code, reason_string)
        }
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
        ) => Trouble::from(error),
        ConnectionError::MqttState(StateError::Deserialization(PacketError::InvalidConnectReturnCode(
            PACKET_TOO_LARGE,
        ))) => Trouble::TooLarge,
        other => Trouble::Other(other.to_string()),
    }
}

/// The broker's DISCONNECT.
fn farewell(code: DisconnectReasonCode, words: Option<String>) -> Trouble {
    if code == DisconnectReasonCode::SessionTakenOver {
        return Trouble::TakenOver;
    }
    let meaning = match code {
        DisconnectReasonCode::ServerShuttingDown => "it shuts down",
        DisconnectReasonCode::ServerBusy => "it is busy",
        DisconnectReasonCode::KeepAliveTimeout => "it heard nothing from us within the keep-alive",
        DisconnectReasonCode::PacketTooLarge => "a message was over its packet limit",
        DisconnectReasonCode::ReceiveMaximumExceeded => "too many messages were unacknowledged",
        DisconnectReasonCode::MessageRateTooHigh => "messages come faster than it allows",
        DisconnectReasonCode::QuotaExceeded => "a quota is exhausted",
        DisconnectReasonCode::AdministrativeAction => "its administrator ended it",
        DisconnectReasonCode::NotAuthorized => "the user is not authorized (any more)",
        _ => "",
    };
    let words = words.unwrap_or_default();
    let all = [meaning, words.as_str()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
    Trouble::Goodbye(format!("{code:?} ({:#04x}) {}", code as u8, all.join(", ")).trim_end().to_owned())
}

/// Why the broker refuses.
fn refusal(code: ConnectReturnCode) -> Refused {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::BadAuthenticationMethod => {
            Refused::Password
        }
        ConnectReturnCode::NotAuthorized => Refused::NotAuthorized,
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => Refused::ClientId,
        ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion => {
            Refused::Version
        }
        ConnectReturnCode::Banned => Refused::Banned,
        ConnectReturnCode::RetainNotSupported => Refused::Unable("retained messages"),
        ConnectReturnCode::QoSNotSupported => Refused::Unable("QoS 1"),
        ConnectReturnCode::ServiceUnavailable
        | ConnectReturnCode::ServerUnavailable
        | ConnectReturnCode::ServerBusy
        | ConnectReturnCode::QuotaExceeded
        | ConnectReturnCode::UseAnotherServer
        | ConnectReturnCode::ServerMoved
        | ConnectReturnCode::ConnectionRateExceeded => Refused::Unavailable(format!("{code:?}")),
        other => Refused::Other(format!("{other:?}")),
    }
}
